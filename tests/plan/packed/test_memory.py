"""Offsets in an arena: what lives at the same time never shares a byte, and what does not may."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from intsim.plan.packed.memory import Interval, allocate

INTERVALS = st.builds(
    lambda first, length, size: Interval(first, first + length, 64 * size),
    st.integers(0, 20),
    st.integers(0, 8),
    st.integers(1, 9),
)


@given(st.lists(INTERVALS, max_size=14))
def test_no_two_live_buffers_overlap(drawn: list[Interval]) -> None:
    intervals = {str(number): interval for number, interval in enumerate(drawn)}
    offsets, size = allocate(intervals)
    assert offsets.keys() == intervals.keys()
    used: dict[tuple[int, int], str] = {}
    for name, own in intervals.items():
        assert 0 <= offsets[name] <= size - own.size and offsets[name] % 64 == 0
        for op in range(own.first, own.last + 1):
            for line in range(offsets[name], offsets[name] + own.size, 64):
                assert used.setdefault((op, line), name) == name
    live = [sum(i.size for i in drawn if i.first <= op <= i.last) for op in range(30)]
    assert max(live) <= size <= sum(i.size for i in drawn)


def test_a_chain_takes_two_buffers() -> None:
    """Each op reads what the one before it made: two are live at a time, and no more memory is taken."""
    offsets, size = allocate({str(op): Interval(op, op + 1, 128) for op in range(9)})
    assert size == 256 and [offsets[str(op)] for op in range(4)] == [0, 128, 0, 128]


def test_nothing() -> None:
    assert allocate({}) == ({}, 0)
