"""The errors that a user can cause or meet; each message says what, where, and what to do, in one line."""

from __future__ import annotations


class IntsimError(Exception):
    """An error with a one-line message for the user; the command line prints it and exits with code 2."""

    exit_code = 2


class MalformedGraph(IntsimError):
    """A model file that breaks the rules of its own format: truncated, cyclic, dangling, a scale of zero."""


class UnsupportedOp(IntsimError):
    """A well-formed model with an op, an attribute or a pattern that intsim or the chosen target cannot compute."""


class OutOfDomain(IntsimError):
    """Data or parameters outside the domain in which an op or a requantizer is defined."""


class UnusableInput(IntsimError):
    """An input file, an array or an option that cannot be used: wrong shape, dtype, NaN, codes out of range."""


class MissingDependency(IntsimError):
    """An optional package is needed and not installed; the message names the extra that brings it."""


class AccumulatorOverflow(OutOfDomain):
    """An accumulator whose overflow rule is `trap` left its declared range; the message says where."""
