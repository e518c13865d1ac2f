"""What is said of a run: overflows, counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intsim.cli.terminal import note, say, table

if TYPE_CHECKING:
    from intsim.run.result import Result
    from intsim.taps.tap import Tap


def warn_of_overflows(result: Result) -> None:
    """A note on stderr where sums left their accumulator: it is never silent."""
    for name, count in result.overflows.items():
        note(f"warning: {count:,} sums of {name!r} left their accumulator; `intsim ranges` says what they need")


def show_counts(result: Result) -> None:
    """The table of what the taps counted, where they counted anything."""
    headers = ("tensor", "least", "greatest", "clipped low", "clipped high", "zero", "overflows", "first overflow")
    rows = [_counts(tap) for tap in result.taps.values() if tap.extremes or tap.saturation or tap.overflow]
    if rows:
        say()
        table(headers, rows, right=headers[1:7], fold=("tensor", "first overflow"))


def _counts(tap: Tap) -> tuple[Any, ...]:
    least, greatest = tap.extremes or (None, None)
    clipped, overflow = tap.saturation, tap.overflow
    parts: tuple[Any, ...] = ("", "", "")
    if clipped is not None:
        parts = tuple(f"{n / clipped.elements:.2%}" for n in (clipped.low, clipped.high, clipped.zero))
    first = ""
    if overflow is not None and overflow.first is not None:
        first = f"{overflow.value:,} at {list(overflow.first)}"
    return (tap.name, least, greatest, *parts, None if overflow is None else f"{overflow.count:,}", first)
