"""Taps: exact observations of a tensor: its codes, its raw accumulator, and integer counts over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from intsim.errors import UnknownName, UnusableInput
from intsim.formats import Format
from intsim.summation import EVENTS

Array = np.ndarray[Any, Any]

TAPS = ("codes", "accumulator", "histogram", "extremes", "saturation", "overflow")
"""The kinds of taps: the codes; the raw accumulator before requantization; a count of the codes by bin; the least and
the greatest code; how many results were clipped; how many sums left the accumulator."""

BINS = 256
"""The bins of a histogram, unless told otherwise."""


@dataclass(frozen=True)
class TapSpec:
    """A request: a kind of tap, on the tensors whose ONNX name (or whose node's name) matches the pattern.

    Names with a `#` (raw accumulators, steps inside a layer) match only patterns with a `#`.
    bins, per_image: for histograms; per_image keeps one histogram for each index of the first axis.
    """

    kind: str
    pattern: str = "*"
    bins: int = BINS
    per_image: bool = False

    def __post_init__(self) -> None:
        if self.kind not in TAPS:
            raise UnknownName(f"tap {self.kind!r}: must be one of {', '.join(TAPS)}, as KIND or KIND@PATTERN")
        if self.bins < 1:
            raise UnusableInput(f"tap {self.kind!r}: bins must be at least 1, not {self.bins!r}")

    @classmethod
    def parse(cls, text: str | TapSpec, *, bins: int = BINS, per_image: bool = False) -> TapSpec:
        """The TapSpec that `KIND` or `KIND@PATTERN` names. Errors: UnusableInput for another kind."""
        if isinstance(text, TapSpec):
            return text
        if not isinstance(text, str):
            raise UnusableInput(f"tap {text!r}: must be KIND, KIND@PATTERN or a TapSpec, not {type(text).__name__}")
        kind, at, pattern = text.partition("@")
        if at and not pattern:
            raise UnusableInput(f"tap {text!r}: no pattern after the @; give a tensor's name or a pattern like conv*")
        return cls(kind, pattern or "*", bins, per_image)

    def matches(self, tensor: str, node: str) -> bool:
        """Whether a tensor, made by the node of that name, is asked for."""
        if tensor == self.pattern:
            return True
        if "#" in tensor and "#" not in self.pattern:
            return False
        return fnmatchcase(tensor, self.pattern) or node == self.pattern or fnmatchcase(node, self.pattern)


@dataclass(frozen=True)
class Saturation:
    """Clipped results of a tensor of `elements` codes: at the low end, at the high end; and codes that mean zero.

    Only a layer that rounds and clips is counted: data movement, a Relu's clamp and table look-ups clip nothing here.
    Where a Relu needs no clamp of its own (zero point at the lowest code), clipping is the Relu: low counts its zeros.
    """

    low: int
    high: int
    zero: int
    elements: int


@dataclass(frozen=True)
class Overflow:
    """The sums that something could not hold: how many, how many by channel (int64[channels]), and the first of them.

    by_rule: what could not hold a value (`accumulator`, `tree`, `spill`) -> by channel, the sums it happened in.
    first: the first one's coordinate in the tensor, None if there is none. value: the first value of that element that
    did not fit, and rule: in what: the total for `wrap` and `trap`, the partial sum that had to be clamped for
    `saturate`, or a node of the tree, or a spilled sum.
    """

    count: int
    by_channel: Array
    first: tuple[int, ...] | None
    value: int | None
    by_rule: Mapping[str, Array] = field(default_factory=dict)
    rule: str | None = None


@dataclass(frozen=True)
class Tap:
    """What was observed of one tensor; a field is None where it was not asked for.

    codes, accumulator: integer arrays in the tensor's own axes. histogram: int64[bins], or int64[images, bins].
    extremes: the least and the greatest code. format: None where the tensor holds reals (its accumulator is integer).
    """

    name: str
    node: str
    format: Format | None
    codes: Array | None = None
    accumulator: Array | None = None
    histogram: Array | None = None
    extremes: tuple[int, int] | None = None
    saturation: Saturation | None = None
    overflow: Overflow | None = None

    def summary(self) -> dict[str, Any]:
        """The counts (everything but the arrays of codes and sums) as a dict for JSON."""
        data: dict[str, Any] = {}
        if self.histogram is not None:
            data["histogram"] = self.histogram.tolist()
        if self.extremes is not None:
            data["extremes"] = list(self.extremes)
        if self.saturation is not None:
            data["saturation"] = vars(self.saturation)
        if self.overflow is not None:
            first = None if self.overflow.first is None else list(self.overflow.first)
            data["overflow"] = {
                "count": self.overflow.count,
                "by_channel": self.overflow.by_channel.tolist(),
                "first": first,
                "value": self.overflow.value,
                "rule": self.overflow.rule,
                "by_rule": {rule: counts.tolist() for rule, counts in self.overflow.by_rule.items()},
            }
        return data


def histogram(codes: Array, format: Format, bins: int = BINS) -> Array:
    """Counts of codes, int64[min(bins, 2**bits)]: bin = (code - low) * bins // 2**bits; one bin a code where fewer."""
    size = min(bins, 1 << format.bits)
    if format.bits + size.bit_length() < 63:
        offsets = codes.astype(np.int64).ravel() - format.low
        index = offsets if size == 1 << format.bits else (offsets * size) >> format.bits
    else:
        index = ((codes.astype(object).ravel() - format.low) * size >> format.bits).astype(np.int64)
    return np.bincount(index, minlength=size).astype(np.int64, copy=False)


def image_histograms(codes: Array, format: Format, bins: int = BINS) -> Array:
    """Counts of codes for each index of the first axis, int64[images, bins]."""
    return np.stack([histogram(image, format, bins) for image in codes])


def extremes(codes: Array) -> tuple[int, int]:
    """The least and the greatest code."""
    return int(codes.min()), int(codes.max())


def count_zeros(codes: Array, format: Format) -> int:
    """How many codes mean the real number 0: those equal to the zero point (of their channel)."""
    shape = [1] * codes.ndim
    if len(format.zero_point) > 1 and format.axis is not None:
        shape[format.axis] = -1
    return int(np.count_nonzero(codes == format.zero_points.reshape(shape)))


def count_clipped(wide: Array, format: Format) -> tuple[int, int]:
    """How many unclipped results lie below and above the format."""
    return int(np.count_nonzero(wide < format.low)), int(np.count_nonzero(wide > format.high))


def count_overflows(events: Array, axis: int, value: Callable[[tuple[int, ...]], tuple[str, int]]) -> Overflow:
    """The Overflow record of events (bits of EVENTS); `value` gives what could not hold which value at a coordinate."""
    others = tuple(i for i in range(events.ndim) if i != axis % max(events.ndim, 1))

    def count(mask: Array) -> Array:
        return np.atleast_1d(np.count_nonzero(mask, axis=others)).astype(np.int64)

    total = int(np.count_nonzero(events))
    first = tuple(int(i) for i in np.unravel_index(int((events != 0).argmax()), events.shape)) if total else None
    rule, misfit = (None, None) if first is None else value(first)
    by_rule = {name: count(events & bit) for name, bit in EVENTS.items()} if total else {}
    by_rule = {name: counts for name, counts in by_rule.items() if counts.any()}
    return Overflow(total, count(events), first, misfit, by_rule, rule)


@dataclass(frozen=True)
class Counted:
    """What was counted of a tensor's codes in place of the codes themselves.

    histogram: int64[images or 1, 2**bits], by code - low, None where it was not asked for. extremes: the least and the
    greatest code. zeros: how many mean the real number 0; elements: how many there are.
    """

    histogram: Array | None
    extremes: tuple[int, int]
    zeros: int
    elements: int


def rebinned(counts: Array, bins: int) -> Array:
    """Counts by code, [..., 2**bits], in fewer bins: bin = (code - low) * bins // 2**bits."""
    codes = counts.shape[-1]
    if bins >= codes:
        return counts
    starts = -(-np.arange(bins) * codes // bins)
    return np.add.reduceat(counts, starts, axis=-1)


class Collector:
    """Gathers one tensor's observations, batch by batch, into its Tap; sums and joins, so nothing is lost."""

    def __init__(self, name: str, node: str, format: Format | None, specs: Mapping[str, TapSpec]) -> None:
        """specs: the taps by kind."""
        self.name, self.node, self.format, self.specs = name, node, format, specs
        self._codes: list[Array] = []
        self._accumulators: list[Array] = []
        self._histograms: list[Array] = []
        self._extremes: list[tuple[int, int]] = []
        self._clipped = [0, 0]
        self._zeros = 0
        self._elements = 0
        self._overflows: list[Overflow] = []
        self._overflow_rows = 0

    def add_codes(self, codes: Array) -> None:
        """Observe the next images' codes."""
        if self.format is None:
            return
        if "codes" in self.specs:
            self._codes.append(codes.astype(self.format.dtype))
        if "histogram" in self.specs:
            spec = self.specs["histogram"]
            count = image_histograms if spec.per_image else histogram
            self._histograms.append(count(codes, self.format, spec.bins))
        if "extremes" in self.specs:
            self._extremes.append(extremes(codes))
        if "saturation" in self.specs:
            self._zeros += count_zeros(codes, self.format)
            self._elements += codes.size

    def add_counted(self, counted: Counted) -> None:
        """Observe what was counted of the next images' codes."""
        if "histogram" in self.specs and counted.histogram is not None:
            spec = self.specs["histogram"]
            counts = rebinned(counted.histogram, spec.bins)
            self._histograms.append(counts if spec.per_image else counts[0])
        if "extremes" in self.specs:
            self._extremes.append(counted.extremes)
        if "saturation" in self.specs:
            self._zeros += counted.zeros
            self._elements += counted.elements

    def add_accumulator(self, sums: Array, format: Format) -> None:
        """Observe the next images' raw accumulator."""
        self._accumulators.append(sums.astype(format.dtype))

    def add_clipped(self, low: int, high: int) -> None:
        """Count results that were clipped on their way to this tensor."""
        self._clipped[0] += low
        self._clipped[1] += high

    def add_overflow(self, overflow: Overflow, rows: int) -> None:
        """Count overflows; rows: the length of the mask's first axis, by which the next coordinates are moved."""
        if overflow.first is not None:
            first = (overflow.first[0] + self._overflow_rows, *overflow.first[1:])
            overflow = replace(overflow, first=first)
        self._overflows.append(overflow)
        self._overflow_rows += rows

    def tap(self) -> Tap:
        """The observations so far."""
        per_image = "histogram" in self.specs and self.specs["histogram"].per_image
        return Tap(
            self.name,
            self.node,
            self.format,
            codes=_joined(self._codes),
            accumulator=_joined(self._accumulators),
            histogram=_joined(self._histograms) if per_image else _total(self._histograms),
            extremes=_widest(self._extremes),
            saturation=self._saturation(),
            overflow=self._overflow(),
        )

    def _saturation(self) -> Saturation | None:
        if "saturation" not in self.specs:
            return None
        return Saturation(self._clipped[0], self._clipped[1], self._zeros, self._elements)

    def _overflow(self) -> Overflow | None:
        if not self._overflows:
            return None
        event = next((o for o in self._overflows if o.first is not None), self._overflows[0])
        by_channel = sum((o.by_channel for o in self._overflows[1:]), start=self._overflows[0].by_channel)
        by_rule = {
            rule: sum((o.by_rule[rule] for o in self._overflows if rule in o.by_rule), start=by_channel * 0)
            for rule in EVENTS
            if any(rule in o.by_rule for o in self._overflows)
        }
        return replace(event, count=sum(o.count for o in self._overflows), by_channel=by_channel, by_rule=by_rule)


def _joined(parts: list[Array]) -> Array | None:
    """The parts of all batches, one after the other along the first axis."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return np.concatenate(parts)


def _total(parts: list[Array]) -> Array | None:
    return np.sum(parts, axis=0) if parts else None


def _widest(parts: list[tuple[int, int]]) -> tuple[int, int] | None:
    return (min(p[0] for p in parts), max(p[1] for p in parts)) if parts else None
