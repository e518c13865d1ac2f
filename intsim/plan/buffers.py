"""Buffers: how long each value is kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from intsim.lowering.lowered import Layer


def releases(layers: Sequence[Layer], keep: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """For each layer the names of the values that nothing reads after it, except those in `keep`.

    A value that no layer reads is released by the layer that makes it.
    """
    last: dict[str, int] = {}
    for index, layer in enumerate(layers):
        for name in (*layer.inputs, *layer.outputs):
            last[name] = index
    return tuple(
        tuple(sorted(name for name, at in last.items() if at == index and name not in keep))
        for index in range(len(layers))
    )
