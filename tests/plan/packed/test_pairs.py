"""Sums and products of two activations, as the engine runs them."""

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

A = Format(8, scale=(0.125,), zero_point=(-9,))
B = Format(8, signed=False, scale=(0.25,), zero_point=(113,))
Y = Format(8, scale=(0.125,), zero_point=(4,))
ZEROS = {"a_zero": -9, "b_zero": 113}
SHIFTS = {"a_shift": 0, "b_shift": 1, "shift": 2}
RATIOS = {"a_ratio": np.float32(0.71), "b_ratio": np.float32(1.318)}
OPS: dict[str, tuple[str, dict[str, Any]]] = {
    "add half_up": ("add", {**SHIFTS, "rounding": "half_up"}),
    "add half_even": ("add", {**SHIFTS, "rounding": "half_even"}),
    "sub floor": ("sub", {**SHIFTS, "rounding": "floor"}),
    "sub toward_zero": ("sub", {**SHIFTS, "rounding": "toward_zero"}),
    "mul half_up": ("mul", {"shift": 6, "rounding": "half_up"}),
    "mul half_away": ("mul", {"shift": 6, "rounding": "half_away"}),
    "add_float32": ("add_float32", RATIOS),
    "mul_float32": ("mul_float32", {"ratio": np.float32(0.0123)}),
}


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("shape", [(20, 3, 5), (64, 2, 3), (5, 1, 1)])
def test_two_images(name: str, shape: tuple[int, int, int]) -> None:
    """With and without a clamp behind it; what reads the sums is padded, so that their lines lie apart."""
    op, parameters = OPS[name]
    net = Network()
    net.input("a", shape, A)
    net.input("b", shape, B)
    net.layer("y", op, "a b", Y, **parameters, **ZEROS, **form(Y))
    net.layer("sum#unclamped", op, "y b", Y, **{**parameters, "a_zero": 4, "b_zero": 113}, **form(Y))
    net.layer("sum", "clip", "sum#unclamped", Y, low=4, high=100)
    net.conv("z", "sum", 5, Y, x_zero=4)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("name", ["mul half_up", "mul_float32", "add half_even"])
@pytest.mark.parametrize("channels", [20, 64])
def test_one_pixel_for_all(name: str, channels: int) -> None:
    op, parameters = OPS[name]
    net = Network()
    net.input("a", (channels, 3, 5), A)
    net.input("b", (channels, 1, 1), B)
    net.layer("y", op, "a b", Y, **parameters, **ZEROS, **form(Y))
    agree_all_packed(net.lowered(), net.given)


def test_one_value_twice() -> None:
    op, parameters = OPS["add half_up"]
    net = Network()
    net.input("a", (20, 3, 5), A)
    net.layer("y", op, "a a", Y, **parameters, a_zero=-9, b_zero=-9, **form(Y))
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("shapes", [((20, 3, 5), (20, 1, 5)), ((20, 3, 5), (1, 3, 5)), ((20, 1, 1), (20, 3, 5))])
def test_other_broadcasts_have_no_packed_form(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    op, parameters = OPS["add half_up"]
    net = Network()
    net.input("a", shapes[0], A)
    net.input("b", shapes[1], B)
    net.layer("y", op, "a b", Y, **parameters, **ZEROS, **form(Y))
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[0].refused == "one operand is broadcast over the other"
