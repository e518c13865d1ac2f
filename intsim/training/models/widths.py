"""What every network here asks of its arguments: the images' size, and channels times a width factor."""

from __future__ import annotations

from intsim.errors import UnusableInput

SIZES = (28, 32, 224)
"""The heights (and widths) of images that a network here can be made for."""


def is_small(size: int) -> bool:
    """Whether images of this size get the stem for small images. Errors: UnusableInput for a size not in SIZES."""
    if size not in SIZES:
        raise UnusableInput(f"size must be one of {', '.join(map(str, SIZES))}, not {size!r}")
    return size < 224


def scaled(channels: int, width: float, multiple: int = 1) -> int:
    """channels * width, to the nearest multiple (half_up), at least one of them.

    For a multiple above 1 it is never less than 90% of what was asked (MobileNetV2's rule).
    Errors: UnusableInput for a width that is not positive.
    """
    if not width > 0:
        raise UnusableInput(f"width must be above 0, not {width!r}")
    wanted = channels * width
    nearest = max(multiple, int(wanted + multiple / 2) // multiple * multiple)
    return nearest + multiple if nearest < 0.9 * wanted else nearest
