"""Which packed op computes a group of layers; in words why none does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from intsim.lowering.lowered import Lowered
from intsim.plan.packed.alias import OPS as ALIASES
from intsim.plan.packed.alias import accept_alias
from intsim.plan.packed.average_pool import OPS as AVERAGE_POOLS
from intsim.plan.packed.average_pool import accept_average_pool
from intsim.plan.packed.clip import accept_clip
from intsim.plan.packed.conv import accept_mac
from intsim.plan.packed.copy import accept_concat, accept_resize
from intsim.plan.packed.fuse import Group
from intsim.plan.packed.image import FEW, WORD, Image, image_of
from intsim.plan.packed.max_pool import accept_max_pool
from intsim.plan.packed.op import PackedOp
from intsim.plan.packed.pairs import OPS as PAIRS
from intsim.plan.packed.pairs import accept_pair
from intsim.plan.packed.table import accept_table
from intsim.plan.packed.transfer import accept_quantize
from intsim.ranges import Bounds


def accept(
    lowered: Lowered, bounds: Mapping[str, Bounds], group: Group, known: Mapping[str, Image], isa: str
) -> PackedOp | str:
    """The packed op of a group, or the reason why it runs in the portable loops.

    known: images that the program has made so far; an input that is not among them comes from outside.
    """
    head = group.layers[0]
    if not all(layer.exact for layer in group.layers):
        return "it is float arithmetic"
    image = default_image(lowered, group.output)
    if isinstance(image, str):
        return f"its output: {image}"
    if head.op in ("quantize", "quantize_float32"):
        return accept_quantize(head, as_input(image)) if len(group.layers) == 1 else "it is clamped"
    sources: list[Image] = []
    for name in head.inputs:
        source = known.get(name) or input_image(lowered, name)
        if isinstance(source, str):
            return f"its input {name!r}: {source}"
        sources.append(source)
    if any(source.wide for source in sources):
        return "it reads raw accumulators"
    return _accept(group, sources, image, bounds, isa)


OF_WORDS = frozenset({"table", "add", "sub", "max_pool", "clip", "concat", "resize_nearest", *AVERAGE_POOLS, *ALIASES})
"""Ops beside convolutions and matrix products that have a packed form of 16-bit codes."""


def _accept(
    group: Group, sources: Sequence[Image], image: Image, bounds: Mapping[str, Bounds], isa: str
) -> PackedOp | str:
    head = group.layers[0]
    if head.op in ("conv", "matmul"):
        return accept_mac(group, sources[0], image, bounds[head.name], isa)
    sizes = {source.size for source in (*sources, image)}
    if len(sizes) > 1:
        return "its operands and its result have codes of 8 and of 16 bits"
    if sizes == {WORD} and head.op not in OF_WORDS:
        return f"{head.op} has no packed form of 16-bit codes"
    if head.op in AVERAGE_POOLS:
        return accept_average_pool(group, sources[0], image, isa)
    if head.op == "max_pool":
        return accept_max_pool(head, sources[0], image, isa)
    if head.op == "table" and len(group.layers) == 1:
        return accept_table(group, sources[0], image)
    if head.op == "clip" and len(group.layers) == 1:
        return accept_clip(head, sources[0], image)
    if head.op == "concat" and len(group.layers) == 1:
        return accept_concat(head, sources, image)
    if head.op == "resize_nearest" and len(group.layers) == 1:
        return accept_resize(head, sources[0], image)
    if head.op in PAIRS and len(sources) == 2:
        return accept_pair(group, (sources[0], sources[1]), image, isa)
    if head.op in ALIASES and len(group.layers) == 1:
        return accept_alias(head, sources[0], image)
    return f"{head.op} has no packed form"


def input_image(lowered: Lowered, name: str) -> Image | str:
    """The Image of a value that comes from outside; in words why it has none."""
    image = default_image(lowered, name)
    return image if isinstance(image, str) else as_input(image)


def as_input(image: Image) -> Image:
    """The Image with pixels of few channels, where it has few."""
    return replace(image, few=image.channels <= FEW and not image.wide)


def default_image(lowered: Lowered, name: str) -> Image | str:
    """The Image of a value that is made; in words why it has none."""
    shape = None if name in lowered.graph.constants else shape_of(lowered, name)
    if shape is None:
        return "it is no activation of a known shape"
    return image_of(shape, lowered.values.get(name), wide=name in lowered.accumulators.values())


OF_THE_TENSOR = ("accumulator", "unclamped")
"""Steps on the way to a tensor, behind its name and `#`, that have its shape."""

ELEMENTWISE = frozenset({"clip", "copy", "requantize", "table"})
"""Layers whose result has the shape of their operand."""


def shape_of(lowered: Lowered, name: str) -> tuple[int | None, ...] | None:
    """The shape of a value, None where it is not known: the graph's, or that of what a step inside a tensor reads."""
    tensor, _, step = name.partition("#")
    if not step or step in OF_THE_TENSOR:
        value = lowered.graph.values.get(tensor)
        return None if value is None else value.shape
    layer = lowered.producer(name)
    return shape_of(lowered, layer.inputs[0]) if layer is not None and layer.op in ELEMENTWISE else None
