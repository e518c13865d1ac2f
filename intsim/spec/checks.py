"""Checks of parameters: what is wrong ends in OutOfDomain, "X must be …, not …"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.formats import ROUNDINGS
from intsim.spec.integers import Integers, along, as_integers, bounds

INT32 = (-(2**31), 2**31 - 1)
INT48 = (-(2**47), 2**47 - 1)
WIDEST = 32
"""Bits of the widest codes that a requantizer with a multiplier puts out."""


def integer(value: Any, low: int, high: int, name: str) -> int:
    """The value as an int within low to high."""
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__") or not low <= value <= high:
        raise OutOfDomain(f"{name} must be an integer within {low} to {high}, not {value!r}")
    return int(value)


def integers(values: Any, count: int, low: int, high: int, name: str) -> tuple[int, ...]:
    """The values as `count` ints within low to high."""
    items = tuple(values) if isinstance(values, Iterable) else ()
    if len(items) != count:
        raise OutOfDomain(f"{name} must be {count} integers, not {values!r}")
    return tuple(integer(v, low, high, name) for v in items)


def flag(value: Any, name: str) -> bool:
    """The value as a bool."""
    if not isinstance(value, bool | np.bool_):
        raise OutOfDomain(f"{name} must be True or False, not {value!r}")
    return bool(value)


def one_of(value: Any, known: tuple[str, ...], name: str) -> str:
    """The value, a name among those known."""
    if not isinstance(value, str) or value not in known:
        raise OutOfDomain(f"{name} must be one of {', '.join(known)}, not {value!r}")
    return value


def rounding(value: Any) -> str:
    """The value, the name of a rounding rule."""
    return one_of(value, ROUNDINGS, "rounding")


def code_range(bits: Any, signed: Any, narrow: Any = False) -> tuple[int, int]:
    """The lowest and the highest code of a width; narrow leaves out the lowest signed one."""
    bits, signed, narrow = integer(bits, 1, 64, "bits"), flag(signed, "signed"), flag(narrow, "narrow")
    return (-(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def requantized_range(bits: Any, signed: Any, narrow: Any) -> tuple[int, int]:
    """The lowest and the highest code of a requantizer with a multiplier: at most WIDEST bits."""
    return code_range(integer(bits, 1, WIDEST, "bits"), signed, narrow)


def axis(value: Any, rank: int, name: str = "axis") -> int:
    """The axis counted from the front, of an array with `rank` axes."""
    return integer(value, -rank, rank - 1, name) % rank


def within(values: Integers, low: Any, high: Any, name: str) -> None:
    """Raise OutOfDomain, naming the first coordinate, if an element is outside low to high (ints, or arrays)."""
    bad = np.argwhere(np.asarray((values < low) | (values > high), bool))
    if len(bad):
        at = tuple(int(i) for i in bad[0])
        ends = [int(np.broadcast_to(np.asarray(end, object), values.shape)[at]) for end in (low, high)]
        place = f" at {at}" if at else ""
        raise OutOfDomain(f"{name} must be within {ends[0]} to {ends[1]}, not {int(values[at])}{place}")


def channelwise(
    values: npt.ArrayLike, position: int | None, shape: tuple[int, ...], low: int, high: int, name: str
) -> Integers:
    """Integers within low to high that broadcast against `shape`; one per channel lies along the axis `position`."""
    array = as_integers(values, name)
    for value in bounds(array) if array.size else ():
        integer(value, low, high, name)
    return along(array, None if position is None else integer(position, -64, 63, "axis"), shape, name)
