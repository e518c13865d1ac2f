"""Pairwise subsets: few rows of a table in which every two values that meet in one row of the table still meet."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from typing import Any

import pytest

Row = Sequence[Hashable]


def pairwise(rows: Sequence[Row]) -> list[int]:
    """The indices of rows, in order, that have every pair of values of two columns that is in any row.

    Greedy: the row with the most pairs that are still missing, the first of equals.
    """
    pairs = [set(itertools.combinations(enumerate(row), 2)) for row in rows]
    missing = set().union(*pairs)
    chosen = []
    while missing:
        best = max(range(len(rows)), key=lambda i: len(pairs[i] & missing))
        chosen.append(best)
        missing -= pairs[best]
    return sorted(chosen)


def marked(rows: Sequence[Row], values: Sequence[Any] | None = None) -> list[Any]:
    """Parameters of a test for each row, or in its place `values`; those that few rows do without are for a release."""
    often = set(pairwise(rows))
    return [
        pytest.param(*given, marks=() if i in often else pytest.mark.release)
        for i, given in enumerate(rows if values is None else values)
    ]
