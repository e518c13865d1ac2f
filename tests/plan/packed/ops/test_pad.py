# mypy: disable-error-code="attr-defined"
"""Pad within an image, as the engine runs it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from intsim.formats import Format
from intsim.plan import make_plan
from intsim.plan.packed.ops import pad
from tests.kernels.packed.run import ISAS, needs_instructions
from tests.plan.packed import paths
from tests.plan.packed.chains import Network
from tests.plan.packed.ops.test_matmul import constant_product
from tests.plan.packed.paths import agree, agree_all_packed
from tests.plan.packed.test_mutants import caught

pytestmark = needs_instructions

U8 = Format(8, signed=False, scale=(0.125,), zero_point=(113,))
S8 = Format(8, scale=(0.125,), zero_point=(-3,))


def padded(pads: tuple[int, ...], mode: str, rows: bool) -> Network:
    """A Pad between convolutions, or between products of matrices; pads: of channels, lines and columns."""
    net = Network()
    net.input("x", (5, 7, 21) if rows else (21, 5, 7), U8)
    if rows:
        constant_product(net, "c", "x", 21, 113, S8)
    else:
        net.conv("c", "x", 21, S8, x_zero=113)
    begins, ends = ((*half[1:], half[0]) if rows else half for half in (pads[:3], pads[3:]))
    net.layer("p", "pad", "c", S8, pads=(0, *begins, 0, *ends), mode=mode, value=-70)
    if rows:
        constant_product(net, "y", "p", 5, -3, U8)
    else:
        net.conv("y", "p", 5, U8, x_zero=-3)
    return net


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize(
    ("pads", "mode"),
    [
        ((0, 1, 2, 0, 0, 3), "constant"),
        ((3, 0, 0, 20, 0, 0), "constant"),
        ((2, -1, 3, -4, 2, -2), "constant"),
        ((0, 1, 2, 0, 3, 4), "reflect"),
        ((0, 1, 2, 0, 3, 4), "edge"),
        ((0, 1, 0, 0, 0, 9), "wrap"),
        ((-2, 0, -1, -3, -1, 0), "edge"),
    ],
)
def test_pads(pads: tuple[int, ...], mode: str, rows: bool) -> None:
    """The constant is no zero point, so that the padding of what reads it is another one."""
    net = padded(pads, mode, rows)
    agree_all_packed(net.lowered(), net.given)


def test_signals() -> None:
    net = Network()
    net.input("x", (3, 9), U8)
    net.layer("p", "pad", "x", U8, pads=(0, 0, 2, 0, 0, 1), mode="constant", value=9)
    net.layer("y", "clip", "p", U8, low=3, high=250)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize(
    ("pads", "mode", "reason"),
    [
        ((0, 2, 0, 0, 0, 2, 0, 0), "edge", "it repeats channels"),
        ((1, 0, 0, 0, 0, 0, 0, 0), "constant", "it adds or takes images"),
        ((0, 0, 6, 0, 0, 0, -5, 0), "constant", "nothing of its input is left"),
    ],
)
def test_refused(pads: tuple[int, ...], mode: str, reason: str) -> None:
    net = Network()
    net.input("x", (21, 5, 6), U8)
    net.layer("c", "clip", "x", U8, low=3, high=250)
    net.layer("y", "pad", "c", U8, pads=pads, mode=mode, value=4)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[-1].refused == reason


def test_formats_that_differ() -> None:
    net = Network()
    net.input("x", (20, 4), U8)
    net.layer("c", "clip", "x", U8, low=3, high=250)
    net.layer("y", "pad", "c", replace(U8, zero_point=(7,)), pads=(0, 0, 1, 0, 0, 0), mode="constant", value=7)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[-1].refused == "its formats differ"


@pytest.mark.parametrize("pads", [(0, 1, 2, 0, 0, 3), (3, 0, 0, 20, 0, 0)])
@pytest.mark.parametrize("mutant", ["constant", "place"])
def test_mutants(monkeypatch: pytest.MonkeyPatch, pads: tuple[int, ...], mutant: str) -> None:
    """A constant that is one less; elements that are put where they were."""
    monkeypatch.setattr(paths, "ISAS", ISAS[:1])
    net = padded(pads, "constant", rows=False)
    assert not caught(net)
    right: Any = pad.PackedPad if mutant == "constant" else pad.replace

    def wrong(*arguments: Any, **named: Any) -> Any:
        if mutant == "constant":
            return right(*arguments[:3], arguments[3] - 1)
        return right(*arguments, channel=0)

    monkeypatch.setattr(pad, "PackedPad" if mutant == "constant" else "replace", wrong)
    assert caught(net)
