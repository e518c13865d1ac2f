"""Every image and every kernel of narrow codes: convolution, matrix product and pools against the spec."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tests.kernels.compare import Array, kernel_of, spec_of

S8: dict[str, Any] = {"bits": 8, "signed": True}


def every(codes: range, shape: tuple[int, ...]) -> Array:
    """All arrays of that shape with elements among the codes, stacked along a new first axis."""
    elements = int(np.prod(shape))
    return np.array(list(itertools.product(codes, repeat=elements)), np.int8).reshape(-1, *shape)


def assert_equal(op: str, *operands: Array, **parameters: Any) -> None:
    got, expected = kernel_of(op)(*operands, **parameters), spec_of(op)(*operands, **parameters)
    if not isinstance(expected, tuple):
        got, expected = (got,), (expected,)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("bits", [3, 4, 8])
def test_every_row_by_every_column(bits: int, overflow: str) -> None:
    """Three 3-bit codes by three 2-bit weights, 512 x 64, with zero points and a bias."""
    a, b = every(range(-4, 4), (3,)), every(range(-2, 2), (3,)).T
    assert_equal("matmul", a, b, a_zero=1, b_zero=-1, bias=2, accumulator_bits=bits, overflow=overflow)


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize(
    ("strides", "pads", "dilations"),
    [((1, 1), (1, 0, 0, 1), (1, 1)), ((2, 1), (1, 1, 1, 1), (1, 1)), ((1, 2), (0, 1, 2, 1), (2, 1))],
)
def test_every_image_by_every_kernel(
    strides: tuple[int, int], pads: tuple[int, ...], dilations: tuple[int, int], overflow: str
) -> None:
    """2 x 2 images and 2 x 2 kernels of 2-bit codes, 256 x 256, padded with the zero point."""
    x, w = every(range(-2, 2), (1, 2, 2)), every(range(-2, 2), (1, 2, 2))
    window = {"strides": strides, "pads": pads, "dilations": dilations, "groups": 1}
    assert_equal("conv", x, w, x_zero=1, w_zero=0, bias=-1, accumulator_bits=4, overflow=overflow, **window)


WINDOWS = [
    {"kernel": (2, 2), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)},
    {"kernel": (2, 2), "strides": (1, 2), "pads": (1, 0, 0, 1), "dilations": (1, 1)},
    {"kernel": (1, 2), "strides": (2, 1), "pads": (0, 1, 0, 0), "dilations": (1, 2)},
    {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 1, 0), "dilations": (1, 1), "ceil_mode": True},
]


@pytest.mark.parametrize("window", WINDOWS)
def test_the_maximum_of_every_image(window: dict[str, Any]) -> None:
    assert_equal("max_pool", every(range(-2, 2), (1, 2, 3)), **window)


@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize("rounding", ["half_up", "half_even", "half_away", "floor"])
@pytest.mark.parametrize("window", WINDOWS)
def test_the_mean_of_every_image(window: dict[str, Any], rounding: str, count_include_pad: bool) -> None:
    """Counts of 1 to 4 and a shift by one: each quotient that there can be, its ties among them."""
    parameters = {**window, "x_zero": -1, "shift": 1, "rounding": rounding, "count_include_pad": count_include_pad}
    assert_equal("average_pool", every(range(-2, 2), (1, 2, 3)), **parameters, **S8)
