"""Buffers: how long each value is kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def releases(
    steps: Sequence[tuple[Sequence[str], Sequence[str]]], keep: Collection[str]
) -> tuple[tuple[str, ...], ...]:
    """For each step (what it reads, what it makes) the values that nothing reads after it, except those in `keep`.

    A value that no step reads is released by the step that makes it.
    """
    last: dict[str, int] = {}
    for index, (inputs, outputs) in enumerate(steps):
        for name in (*inputs, *outputs):
            last[name] = index
    return tuple(
        tuple(sorted(name for name, at in last.items() if at == index and name not in keep))
        for index in range(len(steps))
    )
