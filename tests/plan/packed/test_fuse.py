"""Which layers one packed op computes: those whose result is read by nothing but the next."""

from __future__ import annotations

import pytest

from intsim.formats import Format
from intsim.lowering.lowered import Layer
from intsim.plan import make_plan
from intsim.plan.packed.fuse import Group, consumers, fuse
from tests.kernels.packed.run import needs_instructions
from tests.plan.packed.chains import Network
from tests.plan.packed.paths import agree

ROUNDED = {"shift": 3, "rounding": "half_up", "bits": 8, "signed": True}


def layer(name: str, op: str, *reads: str) -> Layer:
    parameters = {"low": -5, "high": 300} if op == "clip" else ROUNDED
    return Layer(name, op, reads, (name,), parameters, name)


CHAIN = [layer("acc", "conv", "x"), layer("raw", "requantize", "acc"), layer("y", "clip", "raw")]


def names(layers: list[Layer], kept: set[str] | None = None) -> list[list[str]]:
    return [[inner.name for inner in group.layers] for group in fuse(layers, kept or set())]


@pytest.mark.parametrize("op", ["conv", "matmul"])
@pytest.mark.parametrize("requantizer", ["requantize", "requantize_float32", "requantize_tflite"])
def test_what_joins(op: str, requantizer: str) -> None:
    layers = [layer("acc", op, "x"), layer("raw", requantizer, "acc"), layer("y", "clip", "raw")]
    assert names(layers) == [["acc", "raw", "y"]]
    assert names(layers[:2]) == [["acc", "raw"]]
    assert names([layer("sum", "add", "a", "b"), layer("y", "clip", "sum")]) == [["sum", "y"]]


@pytest.mark.parametrize("value", ["acc", "raw"])
def test_a_value_that_is_kept(value: str) -> None:
    """A tap or an output of the network ends a group."""
    cut = 1 + ["acc", "raw"].index(value)
    assert names(CHAIN, {value}) == [["acc", "raw"][:cut], ["acc", "raw", "y"][cut:]]


@pytest.mark.parametrize("value", ["acc", "raw"])
def test_a_value_that_is_read_twice(value: str) -> None:
    cut = 1 + ["acc", "raw"].index(value)
    assert names([*CHAIN, layer("other", "table", value)]) == [
        ["acc", "raw"][:cut],
        ["acc", "raw", "y"][cut:],
        ["other"],
    ]
    assert names([*CHAIN[:2], layer("twice", "add", "raw", "raw")]) == [["acc", "raw"], ["twice"]]


def test_what_does_not_join() -> None:
    assert names([layer("y", "clip", "x")]) == [["y"]]  # of an input
    assert names([*CHAIN, layer("z", "requantize", "y")]) == [["acc", "raw", "y"], ["z"]]
    assert names([layer("acc", "conv", "x"), layer("y", "clip", "acc")]) == [["acc"], ["y"]]
    moved = Layer("moved", "transpose", ("x",), ("moved",), {"perm": (0, 2, 1)}, "moved")
    assert names([moved, layer("y", "clip", "moved")]) == [["moved"], ["y"]]


def test_limits() -> None:
    """A clamp narrows the format's range, and never widens it; what is clipped is counted by the format alone."""
    group = Group(tuple(CHAIN))
    assert group.limits() == (-5, 127)
    assert (group.head.name, group.output) == ("raw", "y")
    assert group.clip == (-128, 127)
    assert Group(tuple(CHAIN[:2])).limits() == (-128, 127)


def test_consumers() -> None:
    readers = consumers([*CHAIN, layer("z", "add", "y", "x")])
    assert {name: [r.name for r in found] for name, found in readers.items()} == {
        "x": ["acc", "z"],
        "acc": ["raw"],
        "raw": ["y"],
        "y": ["z"],
    }


@needs_instructions
def test_an_output_of_the_network_in_the_middle() -> None:
    """The sums before a clamp are the network's output: both come out right, and are not one op."""
    net = Network()
    s8 = Format(8, scale=(0.125,))
    net.input("x", (20, 4, 5), s8)
    net.conv("y", "x", 20, s8)
    net.layer("clamped", "clip", "y", s8, low=0, high=90)
    net.conv("z", "clamped", 5, s8)
    lowered = net.lowered()
    outputs = {name: name for name in ("y", "z")}
    object.__setattr__(lowered, "outputs", outputs)
    object.__setattr__(lowered.graph, "outputs", tuple(outputs))
    for choices in agree(make_plan(lowered), net.given).values():
        kernels = [choice.kernel for choice in choices]
        assert kernels[0] == kernels[1] != kernels[2]
