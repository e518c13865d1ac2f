"""Which values lie row by row, [height, width, channels] with the axes of a matrix, and which channels last, as images.

Matrix products of stacks add up along the last axis of a value, convolutions along the second one: the axis that is
added up lies in one piece. What computes codes one by one takes either; between the two kinds, values lie as those that
are nearest along the reshapes and transposes.
"""

from __future__ import annotations

from collections.abc import Iterator

from intsim.lowering.lowered import CONVS, MAC_LAYERS, Layer, Lowered
from intsim.plan.packed.accept import shape_of
from intsim.plan.packed.ops.pairs import OPS as PAIRS

PRODUCTS = frozenset(MAC_LAYERS) - frozenset(CONVS)

WINDOWS = frozenset({*CONVS, "max_pool", "average_pool", "average_pool_float32", "resize_nearest"})
"""Layers that need images."""

CODE_BY_CODE = PAIRS | {"clip", "copy", "leaky_relu", "table"}
"""Layers whose result has its codes where their operands have them; requantizers too."""

MATRIX_AXES = 3
"""Axes that a matrix has at least, the batch among them."""


def values_in_rows(lowered: Lowered) -> frozenset[str]:
    """The values that lie row by row; none where no layer is a product of matrices."""
    shapes = {name: shape_of(lowered, name) for layer in lowered.layers for name in (*layer.inputs, *layer.outputs)}

    def values(layer: Layer) -> Iterator[str]:
        for name in (*layer.inputs, *layer.outputs):
            if name not in lowered.graph.constants and len(shapes[name] or ()) >= MATRIX_AXES:
                yield name

    seeds = {name for layer in lowered.layers if layer.op in PRODUCTS for name in values(layer)}
    if not seeds:
        return frozenset()
    parts = _Parts()
    for layer in lowered.layers:
        if layer.op in CODE_BY_CODE or layer.op.startswith("requantize"):
            same = [name for name in values(layer) if shapes[name] == shapes[layer.outputs[0]]]
            for name in same[1:]:
                parts.join(same[0], name)
    images = {parts.of(name) for layer in lowered.layers if layer.op in WINDOWS for name in values(layer)}
    rows = {parts.of(name) for name in seeds} - images
    edges = [
        (parts.of(a), parts.of(b))
        for layer in lowered.layers
        if layer.op not in PRODUCTS | WINDOWS
        for a in values(layer)
        for b in layer.outputs
        if a != b and len(shapes[b] or ()) >= MATRIX_AXES
    ]
    while True:
        near_images = {end for edge in edges for end in edge if images & set(edge)} - images - rows
        near_rows = {end for edge in edges for end in edge if rows & set(edge)} - images - rows - near_images
        if not near_images | near_rows:
            return frozenset(name for name in shapes if parts.of(name) in rows)
        images |= near_images
        rows |= near_rows


class _Parts:
    """Names in disjoint sets, each known by one of its names."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The name that its set is known by."""
        while name in self._above:
            name = self._above[name]
        return name

    def join(self, a: str, b: str) -> None:
        """Make one set of two."""
        a, b = self.of(a), self.of(b)
        if a != b:
            self._above[b] = a
