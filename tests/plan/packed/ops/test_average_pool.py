"""Average pools and means of images, as the engine runs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim.formats import Format
from intsim.plan import make_plan
from tests.kernels.packed.run import needs_instructions
from tests.plan.packed.chains import Network, form
from tests.plan.packed.paths import agree, agree_all_packed

pytestmark = needs_instructions

X = Format(8, signed=False, scale=(0.25,), zero_point=(113,))
Y = Format(8, scale=(0.0625,), zero_point=(4,))
WORDS = [
    Format(16, signed=False, scale=(0.25,), zero_point=(40000,)),
    Format(12, scale=(0.0625,), zero_point=(4,)),
]
WINDOWS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((20, 7, 6), {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 0, 1, 1), "dilations": (1, 1)}),
    ((64, 6, 7), {"kernel": (2, 3), "strides": (2, 2), "pads": (0, 1, 1, 0), "dilations": (2, 1), "ceil_mode": True}),
    ((33, 9), {"kernel": (4,), "strides": (3,), "pads": (1, 2), "dilations": (1,)}),
]
INTEGERS: dict[str, Any] = {"shift": -1, "x_zero": 113, **form(Y)}
FLOAT32: dict[str, Any] = {"x_scale": np.float32(0.25), "x_zero": 113, "scale": np.float32(0.11), **form(Y)}


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize(("shape", "window"), WINDOWS)
@pytest.mark.parametrize(("x", "y"), [(WORDS[0], WORDS[1]), (WORDS[1], WORDS[0])])
def test_windows_of_16_bits(
    shape: tuple[int, ...], window: dict[str, Any], include: bool, x: Format, y: Format
) -> None:
    net = Network()
    net.input("x", shape, x)
    given = {**window, "count_include_pad": include, "shift": -1, "x_zero": x.zero_point[0], **form(y)}
    net.layer("y#unclamped", "average_pool", "x", y, rounding="half_even", **given)
    net.layer("y", "clip", "y#unclamped", y, low=y.low + 9, high=y.high - 700)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("x", WORDS)
def test_means_of_16_bits(x: Format) -> None:
    net = Network()
    net.input("x", (70, 7, 7), x)
    given = {"axes": (2, 3), "keepdims": True, "shift": -1, "x_zero": x.zero_point[0], **form(x)}
    net.layer("y", "reduce_mean", "x", x, rounding="half_up", **given)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize(("shape", "window"), WINDOWS)
def test_windows(shape: tuple[int, ...], window: dict[str, Any], include: bool) -> None:
    for rounding in ("half_up", "half_even", "toward_zero"):
        net = Network()
        net.input("x", shape, X)
        net.layer(
            "y#unclamped", "average_pool", "x", Y, **window, count_include_pad=include, rounding=rounding, **INTEGERS
        )
        net.layer("y", "clip", "y#unclamped", Y, low=-100, high=101)
        agree_all_packed(net.lowered(), net.given)
    net = Network()
    net.input("x", shape, X)
    net.layer("y", "average_pool_float32", "x", Y, **window, count_include_pad=include, **FLOAT32)
    agree_all_packed(net.lowered(), net.given, threads=2)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("shape", [(20, 5, 8), (64, 9)])
def test_whole_images(shape: tuple[int, ...], keepdims: bool) -> None:
    axes = tuple(range(2, len(shape) + 1))
    for op, parameters in (("reduce_mean", {**INTEGERS, "rounding": "half_away"}), ("reduce_mean_float32", FLOAT32)):
        net = Network()
        net.input("x", shape, X)
        net.layer("y", op, "x", Y, axes=axes, keepdims=keepdims, **parameters)
        agree_all_packed(net.lowered(), net.given)


def test_other_axes_have_no_packed_form() -> None:
    net = Network()
    net.input("x", (20, 5, 8), X)
    net.layer("y", "reduce_mean", "x", Y, axes=(3,), keepdims=True, rounding="half_up", **INTEGERS)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[0].refused == "it is a mean over the axes (3,)"
