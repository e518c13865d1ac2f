"""Windows of convolutions and pools: their geometry, and the padding that they really read."""

from __future__ import annotations

from dataclasses import dataclass

from intsim.kernels.windows import count
from intsim.plan.packed.image import Image, Padding


@dataclass(frozen=True)
class Geometry:
    """A two-dimensional window: kernel, strides, dilations, and the padding before and after the image."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: Padding


def fits(
    source: Image,
    image: Image,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...],
    ceil_mode: bool = False,
) -> bool:
    """Whether an image has as many lines and columns as there are windows: a declared shape may be wrong."""
    lengths = (
        count(length, k, s, before, after, d, ceil_mode)
        for length, k, s, before, after, d in zip(
            (source.height, source.width), kernel, strides, pads[:2], pads[2:], dilations, strict=True
        )
    )
    return tuple(lengths) == (image.height, image.width)


WRONG_SHAPE = "its declared shape is not that of its result"


def flat(values: tuple[int, ...], neutral: int) -> tuple[int, ...]:
    """What a window of one axis or two has on two axes: height, which is `neutral` where there is none, and width."""
    return (neutral, *values) if len(values) == 1 else values


def window(
    source: Image,
    image: Image,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...],
) -> Geometry:
    """A window and the padding that it really reads, given ONNX's pads: top, left, bottom, right."""
    reach = [
        (count - 1) * s + (k - 1) * d + 1 - begin - length
        for count, s, k, d, begin, length in zip(
            (image.height, image.width),
            strides,
            kernel,
            dilations,
            pads[:2],
            (source.height, source.width),
            strict=True,
        )
    ]
    padding = Padding(pads[0], pads[1], max(reach[0], 0), max(reach[1], 0))
    first, second, third = ((pair[0], pair[1]) for pair in (kernel, strides, dilations))
    return Geometry(first, second, third, padding)
