"""How values lie in memory, and which have no packed form."""

from __future__ import annotations

import pytest

from intsim.formats import Format
from intsim.plan.packed.accept import as_input
from intsim.plan.packed.image import Image, Padding, image_of, padded

S8 = Format(8, scale=(0.5,), zero_point=(-3,))
U8 = Format(8, signed=False, scale=(0.5,), zero_point=(113,))


@pytest.mark.parametrize(
    ("shape", "axes"), [((None, 5), (5, 1, 1)), ((2, 5, 7), (5, 1, 7)), ((None, 5, 6, 7), (5, 6, 7))]
)
def test_axes(shape: tuple[int | None, ...], axes: tuple[int, int, int]) -> None:
    image = image_of(shape, S8)
    assert isinstance(image, Image)
    assert (image.channels, image.height, image.width) == axes
    assert image.canonical and image.elements == axes[0] * axes[1] * axes[2]


@pytest.mark.parametrize(
    ("shape", "axes"), [((None, 5, 7), (7, 1, 5)), ((None, 5, 6, 7), (7, 5, 6)), ((None, 5), (5, 1, 1))]
)
def test_axes_of_matrices(shape: tuple[int | None, ...], axes: tuple[int, int, int]) -> None:
    """The last axis becomes the channels; a vector is one as it is."""
    image = image_of(shape, S8, rows=True)
    assert isinstance(image, Image)
    assert image.geometry == (*axes, len(shape) > 2)
    assert image.is_matrix == (len(shape) > 2) != image.canonical


def test_bytes() -> None:
    """Signed codes are stored with 128 added, and so is their zero point; accumulators as they are."""
    signed, unsigned = image_of((None, 17), S8), image_of((None, 17), U8)
    wide = image_of((None, 17), Format(32, zero_point=(0,)), wide=True)
    assert isinstance(signed, Image) and isinstance(unsigned, Image) and isinstance(wide, Image)
    assert (signed.offset, signed.zero, signed.pixel) == (128, 125, 32)
    assert (unsigned.offset, unsigned.zero, unsigned.pixel) == (0, 113, 32)
    assert (wide.offset, wide.zero, wide.pixel) == (0, 0, 128)
    assert [padded(n) for n in (1, 16, 17, 48)] == [16, 16, 32, 48]


@pytest.mark.parametrize(
    ("format", "offset"),
    [
        (Format(16), 0),
        (Format(9, zero_point=(-5,)), 0),
        (Format(15, signed=False, zero_point=(32767,)), 0),
        (Format(16, signed=False, zero_point=(65535,)), -32768),
    ],
)
def test_words(format: Format, offset: int) -> None:
    """Codes of more than 8 bits are stored as i16, which hold all of them."""
    image = image_of((None, 17), format)
    assert isinstance(image, Image)
    assert (image.offset, image.zero, image.pixel) == (offset, format.zero_point[0] + offset, 64)
    least, greatest = image.ends
    assert least <= format.low + offset <= format.high + offset <= greatest
    assert image.kind == image.dtype.str[1:].replace("i2", "i16")


@pytest.mark.parametrize(("format", "size"), [(S8, 1), (Format(16), 2)])
def test_few_channels(format: Format, size: int) -> None:
    pixels = []
    for channels in (1, 4, 5):
        image = image_of((None, channels, 3, 3), format)
        assert isinstance(image, Image)
        pixels.append((image.pixel // size, as_input(image).pixel // size))
    assert pixels == [(16, 4), (16, 4), (16, 16)]


@pytest.mark.parametrize(
    ("shape", "format", "why"),
    [
        ((None, 5), None, "it holds reals"),
        ((None, 5), Format(17), "its codes have 17 bits, packed ones have at most 16"),
        ((None, 2), Format(8, scale=(1.0, 2.0), zero_point=(1, 2), axis=1), "its zero points differ by channel"),
        ((5,), S8, "its shape [5] is no batch of images of a known size"),
        ((1, 2, 3, 4, 5), S8, "its shape [1, 2, 3, 4, 5] is no batch of images of a known size"),
        ((1, None, 3), S8, "its shape [1, None, 3] is no batch of images of a known size"),
        ((1, 0, 3), S8, "its shape [1, 0, 3] is no batch of images of a known size"),
    ],
)
def test_what_is_not_packed(shape: tuple[int | None, ...], format: Format | None, why: str) -> None:
    assert image_of(shape, format) == why


def test_paddings() -> None:
    assert Padding(1, 0, 2, 0) | Padding(0, 3, 1, 0) == Padding(1, 3, 2, 0)
    assert Padding(0, 0, 0, 1).any and not Padding().any
