"""Which values lie row by row: those of matrix products, and what is nearest to them."""

from __future__ import annotations

from intsim.formats import Format
from intsim.plan.packed.layout import values_in_rows
from tests.plan.packed.chains import Network, form
from tests.plan.packed.ops.test_matmul import constant_product, product

U8 = Format(8, signed=False, scale=(0.125,), zero_point=(113,))
POOL = {"kernel": (2, 2), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}


def test_convolutions_alone() -> None:
    net = Network(1)
    net.input("x", (4, 6, 6), U8)
    net.conv("c", "x", 4, U8, x_zero=113)
    net.layer("flat", "flatten", "c", U8, axis=1)
    constant_product(net, "y", "flat", 5, 113, U8)
    assert values_in_rows(net.lowered()) == frozenset()


def test_what_computes_code_by_code_follows() -> None:
    """Sums with values of the same shape, from both sides; vectors lie as they are."""
    net = Network(1)
    net.input("x", (4, 6), U8)
    net.input("other", (4, 6), U8)
    net.input("vector", (6,), U8)
    net.layer("clipped", "clip", "x", U8, low=3, high=250)
    zeros = {"a_zero": 113, "b_zero": 113, "a_shift": 0, "b_shift": 0}
    net.layer("sum", "add", "clipped other", U8, **zeros, shift=1, rounding="half_up", **form(U8))
    constant_product(net, "y", "sum", 5, 113, U8)
    constant_product(net, "z", "vector", 5, 113, U8)
    assert values_in_rows(net.lowered()) == {"x", "other", "clipped", "sum", "y", "y#accumulator"}


def test_values_between_both_kinds() -> None:
    """The nearest decides, and images where both are as near."""
    net = Network(1)
    net.input("x", (4, 6, 6), U8)
    net.conv("c", "x", 4, U8, x_zero=113)
    net.layer("a", "reshape", "c", U8, shape=(0, 4, -1))
    net.layer("b", "transpose", "a", U8, perm=(0, 2, 1))
    net.layer("c1", "reshape", "b", U8, shape=(0, 6, 6, 4))
    net.layer("c2", "transpose", "c1", U8, perm=(0, 2, 1, 3))
    net.layer("c3", "reshape", "c2", U8, shape=(0, 36, 4))
    constant_product(net, "y", "c3", 5, 113, U8)
    rows = values_in_rows(net.lowered())
    assert rows == {"c1", "c2", "c3", "y", "y#accumulator"}


def test_what_windows_read_is_an_image() -> None:
    """Though a product makes or reads it; what is nowhere near either is an image too."""
    net = Network(1)
    net.input("a", (4, 6, 6), U8)
    net.input("b", (4, 6, 6), U8)
    product(net, "y", "a", "b", (U8, U8, U8))
    net.layer("pooled", "max_pool", "y", U8, **POOL)
    net.layer("far", "concat", "pooled pooled", U8, axis=1)
    assert values_in_rows(net.lowered()) == {"a", "b"}
