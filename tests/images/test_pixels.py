from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from intsim.errors import MissingDependency, UnusableInput
from intsim.images import Preprocess
from intsim.images.pixels import MOST_PIXELS, image_reals
from intsim.images.preprocess import Resize

Array = np.ndarray[Any, Any]


def noise(height: int, width: int, channels: int = 3, seed: int = 5) -> Array:
    """u8[height, width, channels]."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def saved(path: Path, pixels: Array, **options: Any) -> Path:
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path, **options)
    return path


RAW = Preprocess(scale=(1.0, 1.0, 1.0))
"""The pixels themselves."""


def test_the_pixels_of_every_format_without_loss(tmp_path: Path) -> None:
    pixels = noise(5, 7)
    for suffix in ("png", "bmp", "ppm", "tif"):
        reals = image_reals(saved(tmp_path / f"x.{suffix}", pixels), RAW)
        assert reals.dtype == np.float32
        assert np.array_equal(reals, pixels.transpose(2, 0, 1))
    assert np.array_equal(image_reals(saved(tmp_path / "x.webp", pixels, lossless=True), RAW)[0], pixels[:, :, 0])


def test_a_jpeg_as_pillow_decodes_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.jpg", noise(16, 24))
    with Image.open(path) as image:
        assert np.array_equal(image_reals(path, RAW), np.asarray(image).transpose(2, 0, 1))


def test_the_reals_are_three_float32_operations(tmp_path: Path) -> None:
    ramp = np.stack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3, axis=2)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    reals = image_reals(saved(tmp_path / "x.png", ramp), Preprocess(mean=mean, std=std))
    for channel in range(3):
        expected = [
            (np.float32(p) / np.float32(255) - np.float32(mean[channel])) / np.float32(std[channel]) for p in range(256)
        ]
        assert all(type(e) is np.float32 for e in expected)
        assert reals[channel].ravel().tolist() == expected
    # In float64, or with the division as a product, other reals come out: the order is part of the definition.
    exact = ((np.arange(256) / 255 - 0.485) / 0.229).astype(np.float32)
    product = (np.arange(256, dtype=np.float32) * np.float32(1 / 255) - np.float32(0.485)) / np.float32(0.229)
    assert (reals[0].ravel() != exact).any() and (reals[0].ravel() != product).any()


def test_the_reals_are_those_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pixels, mean, std = noise(9, 8), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    reals = image_reals(saved(tmp_path / "x.png", pixels), Preprocess(mean=mean, std=std))
    # what torchvision's ToTensor and Normalize do
    tensor = torch.from_numpy(pixels.transpose(2, 0, 1).copy()).to(torch.float32).div(255)
    tensor = tensor.sub_(torch.tensor(mean)[:, None, None]).div_(torch.tensor(std)[:, None, None])
    assert np.array_equal(reals, tensor.numpy())


def test_numbers_for_each_channel_go_with_the_order_of_the_channels(tmp_path: Path) -> None:
    pixels = noise(4, 3)
    path = saved(tmp_path / "x.png", pixels)
    reals = image_reals(path, Preprocess("BGR", scale=(1.0, 2.0, 4.0), mean=(0.0, 8.0, 0.0), std=(1.0, 1.0, 0.5)))
    red, green, blue = pixels.transpose(2, 0, 1).astype(np.float32)
    assert np.array_equal(reals, [blue, green / 2 - 8, red / 4 / 0.5])


def test_gray_is_a_weighted_sum(tmp_path: Path) -> None:
    pixels = noise(32, 32)
    reals = image_reals(saved(tmp_path / "x.png", pixels), Preprocess("gray", scale=(1.0,), mean=(0.0,), std=(1.0,)))
    assert reals.shape == (1, 32, 32)
    weighted = pixels.astype(np.int64) @ np.array([19595, 38470, 7471])
    assert np.array_equal(reals[0], (weighted + (1 << 15)) >> 16)


def test_gray_and_palette_and_transparent_files_as_rgb(tmp_path: Path) -> None:
    gray = noise(6, 6, 1)
    assert np.array_equal(image_reals(saved(tmp_path / "g.png", gray), RAW), [gray.squeeze()] * 3)
    colours = np.where(noise(6, 6, 1) < 128, 0, 255).astype(np.uint8) * np.ones(3, np.uint8)
    Image.fromarray(colours).quantize(4).save(tmp_path / "p.png")
    assert np.array_equal(image_reals(tmp_path / "p.png", RAW), colours.transpose(2, 0, 1))
    rgba = noise(6, 6, 4)
    assert np.array_equal(image_reals(saved(tmp_path / "a.png", rgba), RAW), rgba[:, :, :3].transpose(2, 0, 1))


def test_the_orientation_of_a_camera_is_ignored(tmp_path: Path) -> None:
    pixels = noise(4, 9)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    path = saved(tmp_path / "x.png", pixels, exif=exif)
    with Image.open(path) as image:
        assert image.getexif()[0x0112] == 6
    assert np.array_equal(image_reals(path, RAW), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("name", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_a_resize_is_pillows(tmp_path: Path, name: str) -> None:
    pixels = noise(30, 41)
    path = saved(tmp_path / "x.png", pixels)
    filter = Image.Resampling[name.upper()]
    for resize, size in (
        (Resize(name, shorter_side=12), (16, 12)),  # 41 * 12 / 30 = 16.4
        (Resize(name, height=50, width=7), (7, 50)),
    ):
        expected = np.asarray(Image.fromarray(pixels).resize(size, filter)).transpose(2, 0, 1)
        assert np.array_equal(image_reals(path, Preprocess(resize=resize, scale=(1.0, 1.0, 1.0))), expected)


def bilinear(line: Array, size: int) -> Array:
    """Pillow's bilinear resize along the first axis: weights of 22 fractional bits, rounded half_up, 8 bits."""
    scale = len(line) / size
    support = max(scale, 1.0)
    result = []
    for index in range(size):
        centre = (index + 0.5) * scale
        begin, end = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), len(line))
        weights = [max(0.0, 1.0 - abs((j - centre + 0.5) / support)) for j in range(begin, end)]
        fixed = [int(0.5 + w / sum(weights) * (1 << 22)) for w in weights]
        total = sum(f * line[j].astype(np.int64) for f, j in zip(fixed, range(begin, end), strict=True))
        result.append(np.clip((total + (1 << 21)) >> 22, 0, 255).astype(np.uint8))
    return np.array(result)


@pytest.mark.parametrize("size", [(20, 13), (61, 50)])
def test_a_bilinear_resize_by_hand(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = noise(30, 41)
    height, width = size
    preprocess = Preprocess(resize=Resize("bilinear", height=height, width=width), scale=(1.0, 1.0, 1.0))
    wide = bilinear(pixels.transpose(1, 0, 2), width).transpose(1, 0, 2)
    expected = bilinear(wide, height)
    assert np.array_equal(image_reals(saved(tmp_path / "x.png", pixels), preprocess), expected.transpose(2, 0, 1))


@pytest.mark.parametrize(("side", "top"), [(4, 3), (5, 2), (7, 2), (9, 0), (10, 0)])
def test_the_crop_is_the_centre_with_ties_to_even(tmp_path: Path, side: int, top: int) -> None:
    pixels = noise(10, 12)
    preprocess = Preprocess(crop=(side, 12), scale=(1.0, 1.0, 1.0))
    reals = image_reals(saved(tmp_path / "x.png", pixels), preprocess)
    assert np.array_equal(reals, pixels[top : top + side].transpose(2, 0, 1))
    turned = image_reals(
        saved(tmp_path / "y.png", pixels.transpose(1, 0, 2)), Preprocess(crop=(12, side), scale=(1,) * 3)
    )
    assert np.array_equal(turned, reals.transpose(0, 2, 1))


def test_an_image_smaller_than_the_crop(tmp_path: Path) -> None:
    path = saved(tmp_path / "small.png", noise(10, 12))
    with pytest.raises(UnusableInput, match=r"small\.png: 12 x 10 pixels are fewer than the crop's 12 x 11; resize"):
        image_reals(path, Preprocess(crop=(11, 12)))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "gif", "ppm", "tif"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_a_truncated_image_is_one_error(tmp_path: Path, suffix: str, share: float) -> None:
    content = saved(tmp_path / f"whole.{suffix}", noise(40, 40)).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnusableInput, match=rf"cut\.{suffix}: (not a readable image|0 x 0)") as error:
        image_reals(path, RAW)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "webp"])
def test_changed_bytes_give_pixels_or_one_error(tmp_path: Path, suffix: str) -> None:
    content = saved(tmp_path / f"whole.{suffix}", noise(12, 12)).read_bytes()
    random = np.random.default_rng(1)
    path, failed = tmp_path / f"changed.{suffix}", 0
    for _ in range(150):
        changed = bytearray(content)
        for at in random.integers(0, min(len(content), 200), 3):
            changed[at] = int(random.integers(0, 256))
        path.write_bytes(changed)
        try:
            assert image_reals(path, RAW).shape[0] == 3
        except UnusableInput as error:
            failed += 1
            assert path.name in str(error)
    assert failed > 10


def png(height: int, width: int, rows: bytes, bits: int = 8) -> bytes:
    """A PNG file of that header, in colours, with these rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8193, 9700, 20_000, 1_000_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, b"0" * 100))
    with pytest.raises(UnusableInput, match=r"bomb\.png: ") as error:
        image_reals(path, RAW)
    assert f"{side} x {side} pixels" in str(error.value) or "decompression bomb" in str(error.value)


def test_a_resize_cannot_blow_an_image_up(tmp_path: Path) -> None:
    path = saved(tmp_path / "thin.png", noise(1, 60_000))
    preprocess = Preprocess(resize=Resize("bilinear", shorter_side=256))
    with pytest.raises(UnusableInput, match=rf"thin\.png: resized 15360000 x 256 pixels, not 1 to {MOST_PIXELS}"):
        image_reals(path, preprocess)


def test_more_than_eight_bits_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "deep.png", noise(4, 4, 1).astype(np.uint16) * 257)
    with pytest.raises(UnusableInput, match=r"deep\.png: its pixels are of Pillow's mode I;16, more than 8 bits"):
        image_reals(path, RAW)


def test_what_else_pillow_can_open_stays_closed(tmp_path: Path) -> None:
    Image.fromarray(noise(4, 4)).save(tmp_path / "x.eps")
    (tmp_path / "x.eps").rename(tmp_path / "x.png")
    with pytest.raises(UnusableInput, match=r"x\.png: not a readable image \(none of BMP, GIF"):
        image_reals(tmp_path / "x.png", RAW)


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "x.png", noise(4, 4))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependency, match=r"Pillow, which is not installed: pip install 'intsim\[images\]'"):
        image_reals(path, RAW)


def test_a_png_with_deep_colours_keeps_its_upper_bits(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 1 << 16, (5, 4, 3))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    (tmp_path / "x.png").write_bytes(png(5, 4, rows, bits=16))
    assert np.array_equal(image_reals(tmp_path / "x.png", RAW), (pixels >> 8).transpose(2, 0, 1))


def test_what_the_decoder_logs_is_not_printed(tmp_path: Path) -> None:
    """Pillow logs of strange TIFF files; Python prints that on stderr where no program takes it."""
    path = tmp_path / "x.tif"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack("<HHI", 277, 3, 1)) + 8  # samples a pixel
    content[at : at + 2] = struct.pack("<H", 2048)
    path.write_bytes(content)
    code = "import sys; from intsim.images import *; from intsim.images.pixels import image_reals as f; "
    done = subprocess.run(
        [sys.executable, "-c", f"{code}f(sys.argv[1], Preprocess())", str(path)], capture_output=True, text=True
    )
    assert "UnusableInput" in done.stderr and "Traceback" in done.stderr.splitlines()[0], done.stderr


def test_a_resize_to_no_size_is_an_error() -> None:
    for resize in (Resize("box"), Resize("box", height=3), Resize("box", width=3)):
        with pytest.raises(UnusableInput, match="it needs shorter_side, or height and width"):
            resize.size(4, 4)
