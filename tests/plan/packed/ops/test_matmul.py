"""Packed matrix products of two activations, and of stacks with a constant, as the engine runs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim.formats import Format
from intsim.kernels import _jit
from intsim.kernels.packed.ops import matmul as matmul_kernel
from intsim.plan import make_plan
from intsim.plan.packed import program
from intsim.plan.packed.layout import values_in_rows
from intsim.plan.packed.ops import conv
from tests.kernels.packed.run import ISAS, needs_instructions
from tests.mutants import plant
from tests.plan.packed import paths
from tests.plan.packed.chains import Network, form
from tests.plan.packed.paths import agree, agree_all_packed
from tests.plan.packed.test_mutants import caught

pytestmark = needs_instructions

U8 = Format(8, signed=False, scale=(0.125,), zero_point=(113,))
LOW, HIGH = (Format(8, signed=False, scale=(0.125,), zero_point=(zero,)) for zero in (0, 255))
S8 = Format(8, scale=(0.125,), zero_point=(-3,))
S8_LOW, S8_HIGH = (Format(8, scale=(0.125,), zero_point=(zero,)) for zero in (-128, 127))
Y = Format(8, scale=(0.0625,), zero_point=(4,))
SUMS: dict[str, Any] = {"accumulator_bits": 32, "overflow": "wrap"}


def product(net: Network, name: str, a: str, b: str, formats: tuple[Format, Format, Format], **changed: Any) -> str:
    """The codes of a product of two values with its requantizer, a third of the results clipped."""
    zeros = {"a_zero": formats[0].zero_point[0], "b_zero": formats[1].zero_point[0]}
    parameters = {"bias": None, **zeros, **SUMS, **changed}
    sums = net.layer(f"{name}#accumulator", "matmul", f"{a} {b}", Format(32), **parameters)
    return requantized(net, name, sums, formats[2])


def constant_product(net: Network, name: str, x: str, outputs: int, zero: int, y: Format, **changed: Any) -> str:
    """The codes of a product of a value and random weights, with a bias."""
    b = net.random.integers(-125, 128, (net.values[x].shape[-1], outputs)).astype(np.int8)
    own = {"b": b, "a_zero": zero, "b_zero": 0, "bias": net.random.integers(-900, 900, outputs), **SUMS, **changed}
    return requantized(net, name, net.layer(f"{name}#accumulator", "matmul", x, Format(32), **own), y)


def requantized(net: Network, name: str, sums: str, y: Format) -> str:
    shift = max(int(np.abs(net.values[sums]).max()).bit_length() - 9, 0)
    return net.layer(name, "requantize", sums, y, shift=shift, rounding="half_up", axis=-1, **form(y))


def two_inputs(a: tuple[int, ...], b: tuple[int, ...], formats: tuple[Format, Format, Format], images: int) -> Network:
    """The product of two inputs."""
    net = Network(images)
    net.input("a", a, formats[0])
    net.input("b", b, formats[1])
    product(net, "y", "a", "b", formats)
    return net


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((5, 7), (7, 3)),
        ((13, 64), (64, 33)),
        ((3, 13, 17), (3, 17, 21)),
        ((2, 1, 4), (2, 4, 1)),
        ((1, 6, 5), (4, 5, 16)),
        ((4, 6, 5), (1, 5, 16)),
        ((2, 4, 1), (2, 1, 2)),
    ],
)
@pytest.mark.parametrize("images", [1, 3])
def test_shapes(a: tuple[int, ...], b: tuple[int, ...], images: int) -> None:
    """No length is a multiple of a tile, a block or a step, or one operand's stack of one is repeated."""
    net = two_inputs(a, b, (U8, S8, Y), images)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("a", [U8, LOW, HIGH, S8_LOW, S8_HIGH])
@pytest.mark.parametrize("b", [LOW, HIGH, S8, S8_LOW, S8_HIGH])
def test_zero_points(a: Format, b: Format) -> None:
    """At both ends: the second operand less its zero point leaves 8 bits."""
    net = two_inputs((2, 9, 11), (2, 11, 18), (a, b, Y), images=2)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("images", [1, 3])
def test_threads(monkeypatch: pytest.MonkeyPatch, images: int) -> None:
    monkeypatch.setattr(program, "WORTH_THREADS", 0)
    net = two_inputs((5, 23, 10), (5, 10, 37), (HIGH, LOW, Y), images)
    agree_all_packed(net.lowered(), net.given, threads=2)


def test_float32_multiplier_and_a_clamp() -> None:
    net = Network()
    net.input("a", (2, 9, 11), S8)
    net.input("b", (2, 11, 18), U8)
    parameters: dict[str, Any] = {"bias": None, "a_zero": -3, "b_zero": 113, **SUMS}
    net.layer("y#accumulator", "matmul", "a b", Format(32), **parameters)
    net.layer("y#unclamped", "requantize_float32", "y#accumulator", Y, multiplier=np.float32(0.004), axis=-1, **form(Y))
    net.layer("y", "clip", "y#unclamped", Y, low=4, high=90)
    agree_all_packed(net.lowered(), net.given)


def test_bias_and_constant() -> None:
    net = Network()
    net.input("a", (2, 9, 11), S8)
    net.input("b", (2, 11, 18), U8)
    added = net.random.integers(-90000, 90000, (2, 18))
    product(net, "y", "a", "b", (S8, U8, Y), bias=added[0], constant=added[1])
    agree_all_packed(net.lowered(), net.given)


def test_a_product_of_products() -> None:
    """As in attention: the second operand of one is what another one made, the first one too."""
    net = Network()
    net.input("x", (3, 13, 20), U8)
    net.input("k", (3, 20, 13), S8)
    product(net, "scores", "x", "k", (U8, S8, Y))
    net.layer("bounded", "clip", "scores", Y, low=-100, high=100)
    product(net, "mixed", "bounded", "x", (Y, U8, S8))
    product(net, "square", "bounded", "scores", (Y, Y, Y))
    product(net, "y", "square", "mixed", (Y, S8, U8))
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("shape", [(7, 5), (13, 64), (3, 5, 33), (1, 1, 3)])
@pytest.mark.parametrize("outputs", [3, 16, 50])
def test_stacks_with_a_constant(shape: tuple[int, ...], outputs: int) -> None:
    net = Network()
    net.input("x", shape, U8)
    constant_product(net, "h", "x", outputs, 113, S8)
    constant_product(net, "y", "h", 19, -3, U8, b_zero=3)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("axis", [-1, 3, 1])
def test_tables_of_each_column(axis: int) -> None:
    """Along the last axis, which lies in the place of the channels; along another one there is no packed form."""
    net = Network()
    net.input("x", (5, 6, 17), U8)
    constant_product(net, "m", "x", 20, 113, S8)
    tables = net.random.integers(0, 256, (net.values["m"].shape[axis], 256)).astype(np.uint8)
    net.layer("t", "table", "m", U8, table=tables, low=-128, axis=axis)
    constant_product(net, "y", "t", 7, 113, S8)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        refused = {choice.refused for choice in choices if choice.refused}
        assert refused == ({"its tables differ along another axis than the channels"} if axis == 1 else set())


def test_images_of_a_convolution_are_no_matrices() -> None:
    """A value that both kinds read lies as the convolution wants it."""
    net = Network()
    net.input("x", (5, 6, 6), U8)
    net.conv("c", "x", 4, Y, x_zero=113)
    net.input("b", (4, 6, 3), S8)
    product(net, "y", "c", "b", (Y, S8, Y))
    constant_product(net, "z", "c", 5, 4, Y)
    assert values_in_rows(net.lowered()) == {"b", "y", "y#accumulator", "z", "z#accumulator"}
    for choices in agree(make_plan(net.lowered()), net.given).values():
        refused = {choice.layer.name: choice.refused for choice in choices}
        assert refused["y#accumulator"] == "an operand lies as an image, channels last"
        assert refused["z#accumulator"] == "its operand lies as an image, channels last"


def test_sums_that_may_overflow() -> None:
    net = Network()
    net.input("a", (9, 11), S8)
    net.input("b", (11, 18), U8)
    product(net, "y", "a", "b", (S8, U8, Y), accumulator_bits=17)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert "its sums may leave the accumulator" in choices[0].refused


def test_sums_of_more_than_32_bits() -> None:
    net = Network(images=1)
    net.input("a", (1, 70000), U8)
    net.input("b", (70000, 1), U8)
    product(net, "y", "a", "b", (U8, U8, Y), accumulator_bits=40, a_zero=0, b_zero=0)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[0].refused == "its sums need 34 bits, packed kernels of 8-bit codes have 32"


def test_activations_of_16_bits() -> None:
    wide = Format(16, scale=(2.0**-9,), zero_point=(-3,))
    net = Network()
    net.input("a", (9, 11), wide)
    net.input("b", (11, 18), U8)
    product(net, "y", "a", "b", (wide, U8, Y))
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[0].refused == "both operands are activations, with codes of 16 bits"


def test_results_of_16_bits() -> None:
    wide = Format(16, signed=False, scale=(2.0**-9,), zero_point=(300,))
    net = two_inputs((2, 9, 11), (2, 11, 18), (U8, S8, wide), images=2)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize(
    "wide", [Format(16, scale=(2.0**-9,)), Format(16, signed=False, scale=(1.0,), zero_point=(300,))]
)
def test_stacks_of_16_bits_with_a_constant(wide: Format) -> None:
    """Rows of codes of 16 bits, moved and added up."""
    net = Network()
    net.input("x", (3, 5, 21), wide)
    constant_product(net, "h", "x", 18, wide.zero_point[0], wide)
    net.layer("t", "transpose", "h", wide, perm=(0, 2, 1, 3))
    net.layer("s", "slice", "t", wide, starts=(3,), ends=(18,), axes=(3,), steps=(1,))
    net.layer("p", "pad", "s", wide, pads=(0, 0, 1, 0, 0, 2, 0, 1), mode="constant", value=wide.low + 3)
    net.layer("c", "concat", "p p", wide, axis=3)
    constant_product(net, "y", "c", 19, wide.zero_point[0], U8)
    agree_all_packed(net.lowered(), net.given)


def test_operands_of_other_axes() -> None:
    """The batch of the second one is the first one's stack."""
    net = Network(images=2)
    net.input("a", (2, 9, 11), S8)
    net.input("b", (11, 18), U8)
    product(net, "y", "a", "b", (S8, U8, Y))
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[0].refused == "its operands differ in their axes"


@pytest.fixture
def one_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant is compiled for one, and never cached."""
    monkeypatch.setattr(paths, "ISAS", ISAS[:1])
    monkeypatch.setattr(_jit, "cache_folder", lambda source, settings: None)


@pytest.mark.usefixtures("one_instruction_set")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("b.neg(load(b, row, I64, 8 * A_ZERO))", "b.mul(load(b, row, I64, 8 * A_ZERO), const(0))"),
        ("b.sub(codes, zero)", "b.add(codes, zero)"),
        ("rows[i + 2]", "rows[3 - i]"),
        ('b.icmp_signed("<", k, terms)', 'b.icmp_signed("<=", k, terms)'),
        ("b.and_(b.sub(codes, zero), columns)", "b.sub(codes, zero)"),
        ("first - line", "0"),
    ],
)
def test_mutants(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """No zero point of a, a wrong one of b, the wrong rows, one row too many, columns and rows counted twice."""
    net = two_inputs((3, 13, 17), (3, 17, 21), (U8, S8, Y), images=2)
    assert not caught(net)
    plant(monkeypatch, matmul_kernel, old, new)
    assert caught(net)


@pytest.mark.usefixtures("one_instruction_set")
def test_a_mutant_of_the_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack of products with a constant whose weights are not transposed."""
    net = Network()
    net.input("x", (7, 16), U8)
    constant_product(net, "y", "x", 16, 113, S8)
    assert not caught(net)
    right = conv._centred
    monkeypatch.setattr(conv, "_centred", lambda weights, zeros: right(weights, zeros).T)
    assert caught(net)
