"""The errors that a user can cause or meet; each message says what, where, and what to do, in one line."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

LONGEST_MESSAGE = 900
"""Characters of a message: with what a command line puts before it, a line stays below 1,000."""

HUGE = 1 << 200
"""Integers from here on are shown by their size: Python refuses to write those of more than 4,300 digits."""

SHOWN = 3
"""Names that an error lists at most."""


class IntsimError(Exception):
    """An error with a one-line message for the user; the command line prints it and exits with code 2."""

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        super().__init__(shortened(printable(shortened(message))))


def printable(text: str) -> str:
    """The text with control characters spelled out: names in a file must neither break a line nor steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shortened(message: str) -> str:
    """The message itself, or its beginning and its end where it has more than LONGEST_MESSAGE characters."""
    if len(message) <= LONGEST_MESSAGE:
        return message
    end = LONGEST_MESSAGE // 3
    return f"{message[: LONGEST_MESSAGE - end - 3]} … {message[-end:]}"


def shown(value: object) -> str:
    """A value from a file as a message shows it: its repr, cut short, whatever its size and depth."""
    return _Shown().repr(value)


class _Shown(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, 80, 80

    def repr_int(self, x: int, level: int) -> str:
        """An integer in full, or its size."""
        return repr(x) if abs(x) < HUGE else f"about {'-' if x < 0 else ''}2**{abs(x).bit_length() - 1}"


class MalformedGraph(IntsimError):
    """A model file that breaks the rules of its own format: truncated, cyclic, dangling, a scale of zero."""


class UnsupportedOp(IntsimError):
    """A well-formed model with an op, an attribute or a pattern that intsim or the chosen target cannot compute."""


class OutOfDomain(IntsimError):
    """Data or parameters outside the domain in which an op or a requantizer is defined."""


class UnusableInput(IntsimError):
    """An input file, an array or an option that cannot be used: wrong shape, dtype, NaN, codes out of range."""


class UnknownName(UnusableInput, KeyError):
    """A name that is none of those that there are. It is a KeyError too, so that `in` and `get` of a mapping work."""

    def __str__(self) -> str:
        """The message as it is; KeyError would print it in quotes."""
        return str(self.args[0])


class MissingDependency(IntsimError):
    """An optional package is needed and not installed; the message names the extra that brings it."""


class AccumulatorOverflow(OutOfDomain):
    """An accumulator whose overflow rule is `trap` left its declared range; the message says where."""


def near(name: object, known: Iterable[str]) -> str:
    """The known names that a user may have meant, with commas between them; else the first few; else "none"."""
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(str(name), names, n=SHOWN)
    if close:
        return ", ".join(close)
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "") or "none"
