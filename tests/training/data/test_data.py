from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from intsim.errors import UnusableInput
from intsim.images import Preprocess
from intsim.training.data import (
    Batches,
    Samples,
    read_fashion_mnist,
    read_idx,
    read_images,
    read_jpegs,
    shift_and_flip,
)

Array = np.ndarray[Any, Any]

GRAY = Preprocess("gray", scale=(255.0,), mean=(0.5,), std=(0.25,))


def noise(*shape: int) -> Array:
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def compressed(pixels: Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def packed(path: Path, images: list[bytes], **more: Any) -> Path:
    offset = np.cumsum([0, *map(len, images)])
    arrays = {"jpeg": np.frombuffer(b"".join(images), np.uint8), "offset": offset, "classes": np.array(["a", "b"])}
    np.savez(path, **{**arrays, **more})
    return path


def samples(count: int = 10) -> Samples:
    return Samples(noise(count, 1, 6, 6), GRAY, np.arange(count))


def test_images_of_an_npz_file(tmp_path: Path) -> None:
    pixels = noise(3, 5, 4, 3)
    path = packed(tmp_path / "x.npz", [compressed(p) for p in pixels], label=np.array([4, 0, 2], np.uint8))
    found = read_jpegs(path, Preprocess())
    assert np.array_equal(found.pixels, pixels.transpose(0, 3, 1, 2))
    assert found.labels is not None and found.labels.tolist() == [4, 0, 2]
    assert len(read_jpegs(path, Preprocess(), first=2)) == 2
    assert read_jpegs(packed(tmp_path / "y.npz", [compressed(pixels[0])]), Preprocess()).labels is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"jpeg": np.zeros(3, np.int16)}, "`jpeg` must be uint8, not int16"),
        ({"offset": np.array([0, 5, 4])}, "`offset` must rise from 0 to at most the"),
        ({"offset": np.array([0, 10**9])}, "`offset` must rise from 0 to at most the"),
        ({"offset": np.array([0.0, 1.0])}, r"`offset` must be one row of integers, not float64 \[2\]"),
        ({"label": np.zeros(7, np.int64)}, "2 images need that many labels, not 7"),
    ],
)
def test_an_npz_file_of_another_kind(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    path = packed(tmp_path / "x.npz", [compressed(noise(4, 4))] * 2, **more)
    with pytest.raises(UnusableInput, match=message) as error:
        read_jpegs(path, GRAY)
    assert "\n" not in str(error.value)


def test_an_npz_file_without_images_or_with_bad_ones(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", label=np.zeros(3, np.int64))
    with pytest.raises(UnusableInput, match=r"x\.npz: has no array `jpeg`; it must hold"):
        read_jpegs(tmp_path / "x.npz", GRAY)
    path = packed(tmp_path / "y.npz", [compressed(noise(4, 4)), b"no image at all"])
    with pytest.raises(UnusableInput, match=r"y\.npz, image 1: not a readable image"):
        read_jpegs(path, GRAY)
    path = packed(tmp_path / "z.npz", [compressed(noise(4, 4)), compressed(noise(4, 5))])
    with pytest.raises(UnusableInput, match=r"z\.npz: image 1 has the shape \[1, 4, 5\], the first one \[1, 4, 4\]"):
        read_jpegs(path, GRAY)


def test_idx_files(tmp_path: Path) -> None:
    pixels, labels = noise(3, 28, 28), np.array([1, 9, 0], np.uint8)
    for name, array in (("images-idx3", pixels), ("labels-idx1", labels)):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        (tmp_path / f"t10k-{name}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    found = read_fashion_mnist("t10k", GRAY, tmp_path)
    assert np.array_equal(found.pixels[:, 0], pixels) and found.labels is not None
    assert found.labels.tolist() == [1, 9, 0]


def test_bad_idx_files(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="no such file; for Fashion-MNIST run `apt-get install"):
        read_fashion_mnist("train", GRAY, tmp_path)
    for content in (b"", b"\0\0\x08\2\0\0\0\1\0\0\0\5ab", b"\0\0\x0d\1\0\0\0\1a"):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(UnusableInput, match="x: not an IDX file of unsigned bytes, or truncated"):
            read_idx(tmp_path / "x")
    (tmp_path / "x.gz").write_bytes(b"plain")
    with pytest.raises(UnusableInput, match=r"x\.gz: cannot be read as an IDX file"):
        read_idx(tmp_path / "x.gz")


def test_a_folder_of_images(tmp_path: Path) -> None:
    for name in ("b/1.png", "a/1.png", "a/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(compressed(noise(4, 4)))
    found = read_images(tmp_path, GRAY)
    assert found.classes == ("a", "b") and found.labels is not None
    assert found.labels.tolist() == [0, 0, 1]
    assert np.array_equal(found.pixels[2, 0], noise(4, 4))


def test_reals_are_those_of_the_image_room() -> None:
    x = samples().reals(slice(2, 4))
    assert x.dtype == np.float32
    assert np.array_equal(x, (samples().pixels[2:4].astype(np.float32) / np.float32(255) - np.float32(0.5)) * 4)


def test_batches_without_labels_are_the_default() -> None:
    batches = Batches(samples(), 4)
    found = list(batches)
    assert [len(x) for x in found] == [4, 4, 2] and len(batches) == 3
    assert np.array_equal(torch.cat(found).numpy(), samples().reals())
    assert len(list(Batches(samples(), 4, drop_last=True))) == 2
    with pytest.raises(UnusableInput, match="the data set has no labels"):
        Batches(Samples(samples().pixels, GRAY), 4).labelled(0)


def test_an_epoch_follows_from_seed_and_number_alone() -> None:
    batches = Batches(samples(), 4, seed=5, augment=shift_and_flip)
    first, again = list(batches.labelled(3)), list(batches.labelled(3))
    assert all(
        torch.equal(a, b) for left, right in zip(first, again, strict=True) for a, b in zip(left, right, strict=True)
    )
    assert torch.equal(next(batches.epoch(3, start=2)), first[2][0])
    labels = [torch.cat([y for _, y in batches.labelled(n)]).tolist() for n in (3, 4)]
    assert labels[0] != labels[1] and sorted(labels[0]) == sorted(labels[1]) == list(range(10))


def test_shifted_and_mirrored() -> None:
    pixels = np.full((400, 1, 4, 4), 9, np.uint8)
    pixels[:, :, 1, 0] = 200
    made = shift_and_flip(pixels, np.random.default_rng(0), padding=1)
    assert made.shape == pixels.shape and pixels[0, 0, 1, 0] == 200
    where = {tuple(np.argwhere(image[0] == 200)[0].tolist()) for image in made if (image == 200).any()}
    assert where == {(y, x) for y in (0, 1, 2) for x in (0, 1, 2, 3)}
    black = [(image == 0).sum() for image in made]
    assert min(black) == 0 and max(black) == 7


def test_parts_that_are_held_out() -> None:
    kept, held = samples().split(3, seed=1)
    assert kept.labels is not None and held.labels is not None
    assert sorted([*kept.labels.tolist(), *held.labels.tolist()]) == list(range(10)) and len(held) == 3
    assert np.array_equal(held.pixels, samples().pixels[held.labels])
    with pytest.raises(UnusableInput, match="to hold out images, their number must be 1 to 9, not 10"):
        samples().split(10, seed=1)


def test_bad_samples_and_batches() -> None:
    with pytest.raises(UnusableInput, match="the data set is empty"):
        Samples(np.empty((0, 1, 4, 4), np.uint8), GRAY)
    with pytest.raises(UnusableInput, match=r"10 images need that many labels, not \[3\]"):
        Samples(samples().pixels, GRAY, np.arange(3))
    with pytest.raises(UnusableInput, match="batch must be 1 or more, not 0"):
        Batches(samples(), 0)
    with pytest.raises(UnusableInput, match="augmentation needs a seed"):
        Batches(samples(), 4, augment=shift_and_flip)
