"""Pairwise subsets: every two values that meet in the table meet in the subset."""

from __future__ import annotations

import itertools

import pytest

from tests.pairwise import marked, pairwise

TABLE = list(itertools.product("abc", (True, False), range(4), "xy"))


def pairs(rows: list[tuple[object, ...]]) -> set[object]:
    return {pair for row in rows for pair in itertools.combinations(enumerate(row), 2)}


@pytest.mark.parametrize("rows", [TABLE, TABLE[5:], TABLE[::7], [(1, 2)], [(1,)], []])
def test_every_pair_is_there_in_few_rows(rows: list[tuple[object, ...]]) -> None:
    chosen = [rows[i] for i in pairwise(rows)]
    assert pairs(chosen) == pairs(rows)


def test_the_others_are_for_a_release() -> None:
    parameters = marked(TABLE)
    often = [p.values for p in parameters if not p.marks]
    assert often == [TABLE[i] for i in pairwise(TABLE)] and len(often) < len(TABLE) // 2
    assert [p.values for p in parameters] == TABLE
    assert {mark.name for p in parameters for mark in p.marks} == {"release"}
