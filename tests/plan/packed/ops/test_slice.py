# mypy: disable-error-code="attr-defined"
"""Slice and Split within an image, as the engine runs them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from intsim.formats import Format
from intsim.plan import make_plan
from intsim.plan.packed.ops import slice as slices
from tests.kernels.packed.run import ISAS, needs_instructions
from tests.plan.packed import paths
from tests.plan.packed.chains import Network
from tests.plan.packed.ops.test_matmul import constant_product
from tests.plan.packed.paths import agree, agree_all_packed
from tests.plan.packed.test_mutants import caught

pytestmark = needs_instructions

U8 = Format(8, signed=False, scale=(0.125,), zero_point=(113,))
S8 = Format(8, scale=(0.125,), zero_point=(-3,))
CUTS: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
    ((3,), (20,), (1,), (1,)),
    ((1,), (100,), (2,), (2,)),
    ((-1,), (-100,), (3,), (-2,)),
    ((1, -4, 1), (2, -1, 6), (2, 3, 1), (1, 1, 1)),
    ((0,), (100,), (-1,), (1,)),
]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("rows", [False, True])
def test_slices(cut: tuple[tuple[int, ...], ...], rows: bool) -> None:
    """Of images between convolutions, and of stacks of matrices; some begin in the middle of a vector of channels."""
    starts, ends, axes, steps = cut
    net = Network()
    net.input("x", (6, 7, 21) if rows else (21, 6, 7), U8)
    if rows:
        axes = tuple(4 + axis if axis < 0 else {1: 3, 2: 1, 3: 2}[axis] for axis in axes)
        constant_product(net, "c", "x", 21, 113, S8)
    else:
        net.conv("c", "x", 21, S8, x_zero=113)
    net.layer("s", "slice", "c", S8, starts=starts, ends=ends, axes=axes, steps=steps)
    if rows:
        constant_product(net, "y", "s", 5, -3, U8)
    else:
        net.conv("y", "s", 5, U8, x_zero=-3)
    agree_all_packed(net.lowered(), net.given)


def test_three_parts_of_one_product() -> None:
    """Queries, keys and values of one linear layer."""
    net = Network()
    net.input("x", (9, 20), U8)
    constant_product(net, "all", "x", 60, 113, S8)
    for part in range(3):
        name = net.layer(
            f"s{part}", "slice", "all", S8, starts=(20 * part,), ends=(20 * part + 20,), axes=(2,), steps=(1,)
        )
        constant_product(net, f"y{part}", name, 7, -3, U8)
    net.layer("y", "concat", "y0 y1 y2", U8, axis=2)
    agree_all_packed(net.lowered(), net.given)


def test_signals_that_were_images() -> None:
    """Pixels of an image with padding around it, by one axis."""
    net = Network()
    net.input("x", (20, 5, 6), U8)
    net.conv("c", "x", 20, S8, x_zero=113)
    net.layer("flat", "reshape", "c", S8, shape=(0, 20, -1))
    net.layer("s", "slice", "flat", S8, starts=(3,), ends=(25,), axes=(2,), steps=(1,))
    net.conv("other", "c", 5, U8, x_zero=-3)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert not choices[-3].refused


@pytest.mark.parametrize(
    ("cut", "reason"),
    [
        (((0,), (21,), (1,), (2,)), "it takes channels that lie apart"),
        (((1,), (3,), (0,), (1,)), "it takes some of the images"),
    ],
)
def test_refused(cut: tuple[tuple[int, ...], ...], reason: str) -> None:
    starts, ends, axes, steps = cut
    net = Network()
    net.input("x", (21, 5, 6), U8)
    net.layer("c", "clip", "x", U8, low=3, high=250)
    net.layer("y", "slice", "c", U8, starts=starts, ends=ends, axes=axes, steps=steps)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[-1].refused == reason


def test_formats_that_differ() -> None:
    net = Network()
    net.input("x", (20, 4), U8)
    net.layer("c", "clip", "x", U8, low=3, high=250)
    net.layer("y", "slice", "c", replace(U8, zero_point=(7,)), starts=(1,), ends=(3,), axes=(1,), steps=(1,))
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[-1].refused == "its formats differ"


def test_a_mutant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements that begin one too late."""
    monkeypatch.setattr(paths, "ISAS", ISAS[:1])
    right = slices.slices.slice

    def wrong(x: Any, *, starts: Any, ends: Any, **other: Any) -> Any:
        return np.roll(x, -1)[: len(right(x, starts=starts, ends=ends, **other))] if starts[0] else x

    net = Network()
    net.input("x", (20, 4, 6), U8)
    net.layer("y", "slice", "x", U8, starts=(2,), ends=(4,), axes=(2,), steps=(1,))
    net.conv("z", "y", 5, U8, x_zero=113)
    assert not caught(net)
    monkeypatch.setattr(slices, "slices", type("Wrong", (), {"slice": staticmethod(wrong)}))
    assert caught(net)
