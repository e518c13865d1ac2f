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


WORDS = {
    "signed": (Format(16, scale=(0.125,), zero_point=(-9,)), Format(16, scale=(0.25,))),
    "unsigned": (
        Format(16, signed=False, scale=(0.125,), zero_point=(40000,)),
        Format(12, signed=False, scale=(0.25,), zero_point=(113,)),
    ),
}
"""Formats of two operands, the first also that of the result."""


@pytest.mark.parametrize("name", ["add half_up", "add half_even", "sub toward_zero"])
@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("shape", [(20, 3, 5), (64, 2, 3)])
def test_codes_of_16_bits(name: str, words: str, shape: tuple[int, int, int]) -> None:
    op, parameters = OPS[name]
    a, b = WORDS[words]
    zeros = {"a_zero": a.zero_point[0], "b_zero": b.zero_point[0]}
    net = Network()
    net.input("a", shape, a)
    net.input("b", shape, b)
    net.layer("sum#unclamped", op, "a b", a, **parameters, **zeros, **form(a))
    net.layer("sum", "clip", "sum#unclamped", a, low=a.zero_point[0], high=a.high - 100)
    net.conv("y", "sum", 5, Y, x_zero=a.zero_point[0])
    agree_all_packed(net.lowered(), net.given)


def test_words_that_have_no_packed_form() -> None:
    a = WORDS["signed"][0]
    net = Network()
    net.input("a", (20, 3, 5), a)
    net.input("b", (20, 3, 5), B)
    mixed = {"a_shift": 0, "b_shift": 8, "shift": 2, "rounding": "half_up", "a_zero": -9, "b_zero": 113}
    net.layer("y", "add", "a b", a, **mixed, **form(a))
    far = {"a_shift": 0, "b_shift": 16, "shift": 2, "rounding": "half_up", "a_zero": -9, "b_zero": -9}
    net.layer("z", "add", "a y", a, **far, **form(a))
    net.layer("p", "mul", "z y", a, shift=20, rounding="half_up", a_zero=-9, b_zero=-9, **form(a))
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert [choice.refused for choice in choices] == [
            "its operands and its result have codes of 8 and of 16 bits",
            "its sums and their rounding need more than 32 bits",
            "mul has no packed form of 16-bit codes",
        ]


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
