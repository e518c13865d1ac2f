"""The same codes under another name or in another shape, between packed layers and at the end of the network."""

from __future__ import annotations

import pytest

from intsim.formats import Format
from intsim.plan import make_plan
from tests.kernels.packed.run import needs_instructions
from tests.plan.packed.chains import Network
from tests.plan.packed.ops.test_matmul import constant_product
from tests.plan.packed.paths import agree, agree_all_packed

pytestmark = needs_instructions

S8 = Format(8, scale=(0.125,))
POOL = {"kernel": (1, 2), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}


@pytest.mark.parametrize(
    ("op", "parameters"),
    [
        ("copy", {}),
        ("flatten", {"axis": 1}),
        ("reshape", {"shape": (0, 20, -1)}),
        ("reshape", {"shape": (0, -1, 6)}),
        ("unsqueeze", {"axes": (2,)}),
        ("squeeze", {"axes": (3,)}),
    ],
)
@pytest.mark.parametrize("channels", [3, 20])
def test_at_the_end(op: str, parameters: dict[str, object], channels: int) -> None:
    """Padded channels and the order in memory, channels last, do not show."""
    net = Network()
    shape = {"squeeze": (channels, 4, 1), "unsqueeze": (channels, 6)}.get(op, (channels, 4, 6))
    if channels == 3 and parameters.get("shape") == (0, 20, -1):
        parameters = {"shape": (0, 12, -1)}
    x = net.input("x", shape, S8)
    if len(shape) == 3:
        x = net.conv("y", x, channels, S8, kernel=1, pads=(0, 0, 0, 0))
    net.layer("z", op, x, S8, **parameters)
    lowered = net.lowered()
    if len(shape) == 3:
        agree_all_packed(lowered, net.given)
    else:
        agree(make_plan(lowered), net.given)  # nothing is computed, so there is no program


def test_images_and_signals() -> None:
    """A signal becomes an image and a signal again; both read the alias, and what it stands for is read too."""
    net = Network()
    net.input("x", (20, 9), S8)
    net.layer("wide", "unsqueeze", "x", S8, axes=(2,))
    net.layer("pooled", "max_pool", "wide", S8, **POOL)
    net.layer("narrow", "squeeze", "pooled", S8, axes=(2,))
    net.layer("clipped", "clip", "narrow", S8, low=-100, high=100)
    net.layer("again", "unsqueeze", "clipped", S8, axes=(2,))
    net.layer("y", "mul", "pooled again", S8, shift=6, rounding="half_up", bits=8, signed=True)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("width", [16, 7])
def test_matrices(width: int) -> None:
    """Rows are split and joined, where that moves no byte; a vector of them, cut and multiplied."""
    net = Network()
    net.input("x", (5, 2 * width), S8)
    constant_product(net, "a", "x", 2 * width, 0, S8)
    net.layer("split", "reshape", "a", S8, shape=(0, 5, 2, width))
    constant_product(net, "b", "split", width, 0, S8)
    net.layer("joined", "reshape", "b", S8, shape=(0, 10, width))
    net.layer("flat", "reshape", "joined", S8, shape=(0, -1))
    net.layer("part", "slice", "flat", S8, starts=(3,), ends=(9,), axes=(1,), steps=(1,))
    constant_product(net, "c", "flat", 6, 0, S8)
    net.layer("sum", "add", "c part", S8, a_shift=0, b_shift=0, shift=0, rounding="half_up", bits=8, signed=True)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        refused = {choice.layer.name for choice in choices if choice.refused}
        assert refused == {"part"} | ({"b#accumulator", "b"} if width % 16 else set())


def test_images_of_another_order() -> None:
    """What reads a reshaped image as an image has no packed kernel, and is right."""
    net = Network()
    net.input("x", (20, 4, 6), S8)
    net.conv("y", "x", 24, S8)
    net.layer("turned", "reshape", "y", S8, shape=(0, 16, 6, 6))
    net.conv("z", "turned", 8, S8)
    net.layer("pooled", "max_pool", "turned", S8, **{**POOL, "pads": (0, 0, 0, 1)})
    net.layer("back", "reshape", "turned", S8, shape=(0, 24, 4, 6))
    net.layer("pair", "concat", "z pooled", S8, axis=1)
    net.layer("flat", "reshape", "pair", S8, shape=(0, 24, 4, 9))
    net.layer("short", "slice", "flat", S8, starts=(0,), ends=(6,), axes=(3,), steps=(1,))
    net.layer("sum", "add", "short back", S8, a_shift=0, b_shift=0, shift=0, rounding="half_up", bits=8, signed=True)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        refused = {choice.layer.name for choice in choices if choice.refused}
        assert refused >= {"z#accumulator", "z"} and "turned" not in refused


def test_formats_and_batches_that_differ() -> None:
    net = Network()
    net.input("x", (20, 4), S8)
    net.layer("c", "clip", "x", S8, low=-9, high=9)
    net.layer("y", "copy", "c", Format(8, scale=(0.125,), zero_point=(3,)))
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[-1].refused == "its formats differ"
