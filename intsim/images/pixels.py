"""One image file as reals: decoded, resized and cropped by Pillow on 8 bits, then scaled in float32."""

from __future__ import annotations

import logging
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from intsim.errors import IntsimError, MissingDependency, UnusableInput
from intsim.files import opened
from intsim.images.preprocess import Preprocess

if TYPE_CHECKING:
    from PIL import Image

Array = np.ndarray[Any, Any]

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is decoded, by content; Pillow's other decoders stay closed (one of them starts a program)."""

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow's kinds of images with at most 8 bits a channel."""

MOST_PIXELS = 1 << 26
"""Pixels of an image, decoded or resized: 64 times 1024 x 1024. A small file can promise any number of them."""


def image_reals(path: str | Path, preprocess: Preprocess) -> Array:
    """The reals of an image file, f32[channels, height, width], in five steps.

    1. Decode: Pillow's pixels of the first frame, as stored: the EXIF orientation is ignored, no colour profile is
       applied, transparency is dropped, palettes are looked up.
    2. Channels: RGB; BGR turns their order round; gray is L = (19595 R + 38470 G + 7471 B + 2**15) >> 16.
    3. Resize, with Pillow's filter: horizontally, then vertically; but for nearest, each of the two is a sum with
       weights of 22 fractional bits, rounded half_up to 8 bits and clipped to 0…255.
    4. Crop of the centre: top = (height - crop) / 2, left likewise, rounded half_even.
    5. real = (pixel / scale - mean) / std: three float32 operations in this order, each rounded half_even.

    Steps 3 to 5 are what torchvision's Resize and CenterCrop (on Pillow images), ToTensor and Normalize compute.
    Errors: UnusableInput names the file: unreadable, truncated, more than MOST_PIXELS, more than 8 bits a channel,
    smaller than the crop. MissingDependency without Pillow.
    """
    return scaled_reals(image_pixels(path, preprocess), preprocess)


def scaled_reals(pixels: Array, preprocess: Preprocess) -> Array:
    """Step 5 for u8[..., channels, height, width]: f32 of that shape."""
    scale, mean, std = (
        np.array(numbers, np.float32)[:, None, None] for numbers in (preprocess.scale, preprocess.mean, preprocess.std)
    )
    reals: Array = (pixels.astype(np.float32) / scale - mean) / std
    return reals


def image_pixels(source: str | Path | IO[bytes], preprocess: Preprocess, name: str = "") -> Array:
    """Steps 1 to 4 of `image_reals`: u8[channels, height, width]. name: what errors call an open file."""
    name = name or str(source)
    image = _decoded(source, "L" if preprocess.channels == "gray" else "RGB", name)
    if preprocess.resize is not None:
        height, width = preprocess.resize.size(image.height, image.width)
        _check_pixels(name, "resized ", height, width)
        image = image.resize((width, height), getattr(_pillow().Resampling, preprocess.resize.interpolation.upper()))
    pixels = np.asarray(image)
    if preprocess.crop is not None:
        pixels = _cropped(name, pixels, *preprocess.crop)
    if preprocess.channels == "gray":
        return pixels[None]
    return (pixels[:, :, ::-1] if preprocess.channels == "BGR" else pixels).transpose(2, 0, 1)


def _decoded(source: str | Path | IO[bytes], mode: str, name: str) -> Image.Image:
    pillow = _pillow()
    with _file(source) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters is checked here; a warning has no file name
        try:
            with pillow.open(file, formats=FORMATS) as image:
                _check_pixels(name, "", image.height, image.width)
                if image.mode not in MODES:
                    raise UnusableInput(
                        f"{name}: its pixels are of Pillow's mode {image.mode}, more than 8 bits a channel; save it "
                        f"with 8 bits"
                    )
                converted: Image.Image = image.convert(mode)
                return converted
        except IntsimError:
            raise
        except Exception as error:  # decoders of hostile files raise anything
            unknown = isinstance(error, pillow.UnidentifiedImageError)
            reason = f"none of {', '.join(FORMATS)}" if unknown else _first_line(error)
            raise UnusableInput(f"{name}: not a readable image ({reason}); mend it or take it away") from error


def _file(source: str | Path | IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    return opened(source) if isinstance(source, str | Path) else nullcontext(source)


def _cropped(name: str, pixels: Array, height: int, width: int) -> Array:
    if pixels.shape[0] < height or pixels.shape[1] < width:
        raise UnusableInput(
            f"{name}: {_size(*pixels.shape[:2])} pixels are fewer than the crop's {_size(height, width)}; resize first"
        )
    # Python's round is half_even.
    top, left = round((pixels.shape[0] - height) / 2), round((pixels.shape[1] - width) / 2)
    return pixels[top : top + height, left : left + width]


def _check_pixels(name: str, what: str, height: int, width: int) -> None:
    if not 1 <= height * width <= MOST_PIXELS:
        raise UnusableInput(f"{name}: {what}{_size(height, width)} pixels, not 1 to {MOST_PIXELS}; make it smaller")


def _size(height: int, width: int) -> str:
    return f"{width} x {height}"


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependency(
            "images are decoded by Pillow, which is not installed: pip install 'intsim[images]'"
        ) from error
    log = logging.getLogger("PIL")
    if not log.handlers:  # Python prints what a library logs where nobody else takes it
        log.addHandler(logging.NullHandler())
    return Image
