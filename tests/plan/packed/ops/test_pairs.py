"""Sums and products of two activations, as the engine runs them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from intsim.formats import Format
from intsim.lowering.lowered import Layer, Lowered
from intsim.plan import make_plan
from intsim.plan.stages import choices_on
from tests.kernels.packed.run import ISAS, needs_instructions
from tests.plan.packed.chains import Network, form
from tests.plan.packed.paths import agree, agree_all_packed

pytestmark = needs_instructions

Array = np.ndarray[Any, Any]

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
    """With and without a clamp after it; what reads the sums is padded, so that their lines lie apart."""
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


@pytest.mark.parametrize("name", ["mul half_up", "add_float32"])
@pytest.mark.parametrize(
    "shapes",
    [((20, 3, 5), (20, 1, 5)), ((64, 3, 1), (64, 3, 5)), ((20, 1, 1), (20, 3, 5)), ((20, 1, 5), (20, 3, 1))],
)
def test_repeated_lines_and_columns(name: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """Of either operand, or of both."""
    op, parameters = OPS[name]
    net = Network()
    net.input("a", shapes[0], A)
    net.input("b", shapes[1], B)
    net.layer("y", op, "a b", Y, **parameters, **ZEROS, **form(Y))
    net.conv("z", "y", 5, Y, x_zero=4)
    agree_all_packed(net.lowered(), net.given)


def test_repeated_channels_have_no_packed_form() -> None:
    op, parameters = OPS["add half_up"]
    net = Network()
    net.input("a", (20, 3, 5), A)
    net.input("b", (1, 3, 5), B)
    net.layer("y", op, "a b", Y, **parameters, **ZEROS, **form(Y))
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[0].refused == "one operand is broadcast over the other"


def test_a_vector_in_another_shape_is_not_repeated() -> None:
    """Its channels are the columns of the result."""
    op, parameters = OPS["add half_up"]
    net = Network()
    net.input("b", (20, 1), B)
    net.input("x", (20,), A)
    net.layer("c", "clip", "x", A, low=-120, high=120)
    net.layer("a", "reshape", "c", A, shape=(0, 1, 20))
    net.layer("y", op, "a b", Y, **parameters, **ZEROS, **form(Y))
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[-1].refused == "one operand is broadcast over the other"


def test_batches_of_different_lengths() -> None:
    """One image for all of them."""
    op, parameters = OPS["add half_up"]
    net = Network()
    net.input("a", (20, 3, 5), A)
    net.input("b", (20, 3, 5), B)
    net.layer("y", op, "a b", Y, **parameters, **ZEROS, **form(Y))
    net.inputs["b"] = (1, 20, 3, 5), B
    for choice in choices_on(make_plan(net.lowered()), ISAS[0]):
        assert choice.refused == "its operands have batches of different lengths"


def with_constant(net: Network, constant: Array, first: bool) -> Lowered:
    """The network, whose value `b` is that constant, which its last layer reads first or second."""
    name, op, _, shape, format, parameters = net.layers[-1]
    net.layers[-1] = name, op, ("b", "x") if first else ("x", "b"), shape, format, parameters
    lowered = net.lowered()
    graph = replace(lowered.graph, constants={"b": constant}, inputs=("a",))
    layer = Layer("b", "constant", (), ("b",), {"value": constant}, "b")
    return replace(lowered, graph=graph, layers=(layer, *lowered.layers), inputs={"a": "a"})


CONSTANTS = [(), (1,), (20, 1, 1), (1, 20, 1, 1), (3, 5), (20, 3, 5), (1, 1, 3, 1), (20, 1, 5)]
ROW_CONSTANTS = [(), (20,), (1, 1, 20), (3, 1, 1), (5, 20), (3, 5, 1), (1, 3, 5, 20)]


@pytest.mark.parametrize("name", ["mul half_up", "add_float32", "sub floor"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(
    ("rows", "constant"), [*[(False, shape) for shape in CONSTANTS], *[(True, shape) for shape in ROW_CONSTANTS]]
)
def test_constants(name: str, first: bool, rows: bool, constant: tuple[int, ...]) -> None:
    """Of every shape that repeats lines, columns, channels; for images and for matrices, as either operand."""
    op, parameters = OPS[name]
    net = Network()
    net.input("a", (3, 5, 20) if rows else (20, 3, 5), A)
    if rows:
        b = net.random.integers(-128, 128, (20, 20)).astype(np.int8)
        own = {"b": b, "a_zero": -9, "b_zero": 0, "bias": None, "accumulator_bits": 32, "overflow": "wrap"}
        net.layer("x#accumulator", "matmul", "a", Format(32), **own)
        net.layer("x", "requantize", "x#accumulator", A, shift=9, rounding="half_up", axis=-1, **form(A))
    else:
        net.layer("x", "clip", "a", A, low=-120, high=120)
    codes = net.random.integers(0, 256, constant).astype(np.uint8)
    net.values["b"] = np.broadcast_to(codes, (1, *codes.shape)[-4:])
    zeros = {"a_zero": 113, "b_zero": -9} if first else ZEROS
    net.inputs["b"] = net.values["b"].shape, B
    net.layer("y", op, "b x" if first else "x b", Y, **parameters, **zeros, **form(Y))
    lowered = with_constant(net, codes, first)
    agree_all_packed(lowered, {"a": net.values["a"]})


def test_constants_that_have_no_packed_form() -> None:
    """One for each image; more bits than the other operand, or than any packed one."""
    op, parameters = OPS["add half_up"]
    net = Network(images=2)
    net.input("a", (20, 3), A)
    net.layer("x", "clip", "a", A, low=-120, high=120)
    net.input("b", (20, 3), B)
    net.layer("y", op, "x b", Y, **parameters, **ZEROS, **form(Y))
    layers = list(net.layers)
    lowered = with_constant(net, net.values["b"], False)
    for choices in agree(make_plan(lowered), {"a": net.values["a"]}).values():
        assert choices[-1].refused == "its constant differs by image"
    net.layers = layers
    lowered = with_constant(net, net.values["b"][:1].astype(np.int16), False)
    wide = replace(lowered, values={**lowered.values, "b": Format(16, scale=(0.25,))})
    for choice in choices_on(make_plan(wide), ISAS[0])[-1:]:
        assert choice.refused == "its operands and its result have codes of 8 and of 16 bits"
    wider = replace(lowered, values={**lowered.values, "b": Format(17, scale=(0.25,))})
    for choice in choices_on(make_plan(wider), ISAS[0])[-1:]:
        assert choice.refused.startswith("its constant: its codes have 17 bits")
