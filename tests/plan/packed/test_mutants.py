# mypy: disable-error-code="attr-defined"
"""Plausible mistakes in packed kernels and in what is prepared for them, each of which `agree` must catch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from intsim.formats import Format
from intsim.kernels import _jit
from intsim.kernels.packed import requantizers
from intsim.kernels.packed.ops import conv as conv_kernel
from intsim.kernels.packed.ops import copy as copy_kernel
from intsim.kernels.packed.ops import count as count_kernel
from intsim.plan import make_plan
from intsim.plan.packed import op, program, schedule
from intsim.plan.packed.fuse import fuse
from intsim.plan.packed.memory import allocate
from intsim.plan.packed.ops import conv, copy, pairs
from intsim.plan.packed.ops import count as counting
from intsim.plan.packed.window import window
from intsim.run import engine
from intsim.taps import counters
from tests.kernels.packed.run import ISAS, needs_instructions
from tests.mutants import plant
from tests.plan.packed import paths
from tests.plan.packed.chains import Network, form
from tests.plan.packed.paths import agree

pytestmark = needs_instructions

X = Format(8, signed=False, scale=(0.25,), zero_point=(113,))
Y = Format(8, scale=(0.0625,), zero_point=(4,))


def network() -> Network:
    """121 output pixels of 21 channels, no multiple of any tile; padding that is read; an add; a Concat."""
    net = Network(images=2)
    net.input("x", (6, 11, 11), X)
    net.conv("y1", "x", 21, Y, clipped=2, x_zero=113)
    net.conv("y2", "y1", 21, Y, pads=(2, 1, 0, 1), x_zero=4)
    zeros = {"a_zero": -9, "b_zero": 9, "a_shift": 1, "b_shift": 1}  # far from the middle, so that codes are clipped
    net.layer("sum", "add", "y1 y2", Y, **zeros, shift=0, rounding="half_up", **form(Y))
    net.layer("both", "concat", "sum y1", Y, axis=1)
    return net


def caught(net: Network) -> bool:
    """Whether the mistake shows."""
    try:
        agree(make_plan(net.lowered()), net.given)
    except AssertionError:
        return True
    return False


@pytest.fixture(autouse=True)
def one_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant is compiled for one, and never cached."""
    monkeypatch.setattr(paths, "ISAS", ISAS[:1])
    monkeypatch.setattr(_jit, "cache_folder", lambda source, settings: None)


def test_nothing_is_wrong() -> None:
    assert not caught(network())


def test_a_wrong_rounding_term(monkeypatch: pytest.MonkeyPatch) -> None:
    right = requantizers.REQUANTIZERS["requantize"]

    def wrong(*arguments: Any) -> Any:
        found = right(*arguments)
        assert not isinstance(found, str)
        return replace(found, start=found.start - 1)

    monkeypatch.setitem(requantizers.REQUANTIZERS, "requantize", wrong)
    assert caught(network())


@pytest.mark.parametrize("side", ["top", "left"])
def test_a_shifted_pad(monkeypatch: pytest.MonkeyPatch, side: str) -> None:
    right: Callable[..., Any] = window

    def wrong(*arguments: Any) -> Any:
        found = right(*arguments)
        return replace(found, padding=replace(found.padding, **{side: getattr(found.padding, side) + 1}))

    monkeypatch.setattr(conv, "window", wrong)
    assert caught(network())


def test_a_wrong_byte_in_the_border(monkeypatch: pytest.MonkeyPatch) -> None:
    right: Callable[..., Any] = op.border

    def wrong(place: Any, base: int) -> Any:
        return right(replace(place, image=replace(place.image, zero=place.image.zero + 1)), base)

    monkeypatch.setattr(program, "border", wrong)
    assert caught(network())


def test_a_border_that_is_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program.Workspace, "_pad", lambda self, place, number: None)
    assert caught(network())


def test_a_channel_that_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one of a Concat's first operand, and of every convolution."""
    right = copy._row

    def wrong(*arguments: Any) -> Any:
        row = right(*arguments)
        row.columns[copy_kernel.BYTES] -= 1
        return row

    monkeypatch.setattr(copy, "_row", wrong)
    assert caught(network())


def test_pixels_that_are_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last tile overlaps the one before it; its first pixels are stored twice, and counted once."""
    plant(monkeypatch, conv_kernel, "first - pixel", "0")
    net = network()
    assert caught(net)


def test_padded_channels_that_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An add's clipped results in channels that nobody sees; codes and sums stay right."""
    monkeypatch.setattr(pairs, "aligned", lambda size: _Full(op.aligned(size)))
    net = network()
    net.layer("wide", "add", "both both", Y, a_shift=3, b_shift=3, shift=0, rounding="half_up", **form(Y))
    assert caught(net)


def test_a_histogram_of_padded_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    right = counting.Count.row

    def wrong(self: Any, places: Any, images: int) -> Any:
        row = right(self, places, images)
        row.columns[count_kernel.CHANNELS] += 1
        return row

    monkeypatch.setattr(counting.Count, "row", wrong)
    assert caught(network())


def test_a_count_that_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes beyond a clamp's end, which become the end, are left out of what follows from the clamp's input."""
    net = network()
    net.layer("kept", "clip", "sum", Y, low=4, high=120)
    assert not caught(net)

    def wrong(histograms: Any, low: int, high: int) -> Any:
        found = histograms.copy()
        found[:, :low] = found[:, high + 1 :] = 0
        return found

    monkeypatch.setattr(counters, "clamped", wrong)
    assert caught(net)


def test_codes_below_the_zero_point_that_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "clamped_zeros", lambda zeros, *rest: zeros)
    net = network()
    net.layer("kept", "clip", "sum", Y, low=4, high=120)
    assert caught(net)


def test_counts_of_one_batch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of more images than are taken at a time: the counts of the first ones are lost."""

    def wrong(self: Any, array: Any, images: int) -> None:
        self.total = None
        right(self, array, images)

    right = counters.Counts.add
    monkeypatch.setattr(engine, "IMAGES", 1)
    assert not caught(network())
    monkeypatch.setattr(counters.Counts, "add", wrong)
    assert caught(network())


def test_buffers_that_overlap(monkeypatch: pytest.MonkeyPatch) -> None:

    def wrong(intervals: Any) -> Any:
        return allocate({name: replace(own, last=own.last - 1) for name, own in intervals.items()})

    monkeypatch.setattr(program, "allocate", wrong)
    assert caught(network())


def test_a_value_that_is_fused_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A requantizer that joins its convolution though the sums are tapped."""
    monkeypatch.setattr(schedule, "fuse", lambda layers, kept: fuse(layers, ()))
    with pytest.raises((AssertionError, KeyError)):
        agree(make_plan(network().lowered()), network().given)


class _Full:
    """A mask that is all ones, whatever is put into it."""

    def __init__(self, mask: Any) -> None:
        self.mask = mask
        mask[:] = 255

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    @property
    def ctypes(self) -> Any:
        return self.mask.ctypes
