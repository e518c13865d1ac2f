"""Concat and nearest-neighbour Resize, as the engine runs them."""

from __future__ import annotations

from typing import Any

import pytest

from intsim.formats import Format
from intsim.plan import make_plan
from tests.kernels.packed.run import needs_instructions
from tests.plan.packed.chains import Network
from tests.plan.packed.ops.test_matmul import constant_product
from tests.plan.packed.paths import agree, agree_all_packed

pytestmark = needs_instructions

U8 = Format(8, signed=False, scale=(0.125,), zero_point=(113,))
U16 = Format(16, signed=False, scale=(0.125,), zero_point=(113,))


@pytest.mark.parametrize("channels", [(16, 16), (3, 5, 1), (70, 33)])
@pytest.mark.parametrize("format", [U8, U16])
def test_concat(channels: tuple[int, ...], format: Format) -> None:
    """Of inputs, of what was computed, of one value twice; what reads it is padded with the zero point."""
    net = Network()
    names = [net.input(f"x{i}", (count, 3, 5), format) for i, count in enumerate(channels)]
    names[0] = net.layer("clipped", "clip", names[0], format, low=3, high=250) if channels[0] > 4 else names[0]
    net.layer("all", "concat", " ".join([*names, names[0]]), format, axis=1)
    net.conv("y", "all", 20, format, pads=(0, 2, 2, 0), x_zero=113, accumulator_bits=48)
    net.layer("z", "concat", "y all", format, axis=-3)
    agree_all_packed(net.lowered(), net.given, threads=2)


@pytest.mark.parametrize("axis", [2, 3])
def test_concat_of_lines_and_columns(axis: int) -> None:
    """Of images of different lengths, between what is padded."""
    net = Network()
    net.input("x", (20, 3, 5), U8)
    net.layer("y", "max_pool", "x", U8, kernel=(2, 2), strides=(1, 1), pads=(0, 0, 1, 1), dilations=(1, 1))
    net.layer("short", "slice", "x", U8, starts=(1,), ends=(3,), axes=(axis,), steps=(1,))
    net.layer("z", "concat", "x short y", U8, axis=axis)
    net.conv("end", "z", 5, U8, pads=(0, 2, 2, 0), x_zero=113)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_concat_of_matrices(axis: int) -> None:
    net = Network()
    net.input("x", (3, 5, 20), U8)
    constant_product(net, "a", "x", 20, 113, U8)
    net.layer("z", "concat", "a x a", U8, axis=axis)
    constant_product(net, "y", "z", 7, 113, U8)
    agree_all_packed(net.lowered(), net.given)


def test_concat_of_batches() -> None:
    net = Network()
    net.input("x", (20, 3, 5), U8)
    net.layer("y", "clip", "x", U8, low=3, high=250)
    net.layer("z", "concat", "x y", U8, axis=0)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[-1].refused == "it concatenates images"


@pytest.mark.parametrize("channels", [3, 20])
@pytest.mark.parametrize(
    ("modes", "sizes"),
    [
        (("asymmetric", "floor"), (8, 10)),
        (("half_pixel", "round_prefer_floor"), (7, 3)),
        (("align_corners", "ceil"), (4, 9)),
    ],
)
@pytest.mark.parametrize("format", [U8, U16])
def test_resize(channels: int, modes: tuple[str, str], sizes: tuple[int, int], format: Format) -> None:
    net = Network()
    net.input("x", (20, 4, 5), format)
    net.conv("y", "x", channels, format, x_zero=113)
    parameters: dict[str, Any] = {"coordinate_mode": modes[0], "nearest_mode": modes[1]}
    net.layer("z", "resize_nearest", "y", format, sizes=(net.images, channels, *sizes), **parameters)
    net.conv("end", "z", 5, format, kernel=2, pads=(1, 1, 1, 1), x_zero=113)
    agree_all_packed(net.lowered(), net.given)
