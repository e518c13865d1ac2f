"""Which packed op computes a group of layers; in words why none does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.lowering.lowered import Layer, Lowered
from intsim.plan.packed.fuse import Group
from intsim.plan.packed.image import FEW, WORD, Image, image_of
from intsim.plan.packed.op import PackedOp
from intsim.plan.packed.ops.alias import OPS as ALIASES
from intsim.plan.packed.ops.alias import accept_alias
from intsim.plan.packed.ops.average_pool import OPS as AVERAGE_POOLS
from intsim.plan.packed.ops.average_pool import accept_average_pool
from intsim.plan.packed.ops.clip import accept_clip
from intsim.plan.packed.ops.conv import accept_mac
from intsim.plan.packed.ops.copy import accept_concat, accept_resize
from intsim.plan.packed.ops.depth_to_space import accept_depth_to_space
from intsim.plan.packed.ops.matmul import accept_matmul
from intsim.plan.packed.ops.max_pool import accept_max_pool, accept_reduce_max
from intsim.plan.packed.ops.pad import accept_pad
from intsim.plan.packed.ops.pairs import OPS as PAIRS
from intsim.plan.packed.ops.pairs import accept_pair
from intsim.plan.packed.ops.slice import accept_slice
from intsim.plan.packed.ops.table import accept_table
from intsim.plan.packed.ops.transfer import accept_quantize
from intsim.plan.packed.ops.transpose import accept_transpose
from intsim.plan.packed.unsigned import HANDING_ON
from intsim.ranges.bounds import Bounds

Array = np.ndarray[Any, Any]


def accept(
    lowered: Lowered,
    bounds: Mapping[str, Bounds],
    group: Group,
    known: Mapping[str, Image],
    isa: str,
    rows: Collection[str] = (),
    bare: Collection[str] = (),
) -> PackedOp | str:
    """The packed op of a group, or the reason why it runs in the portable loops.

    known: images that the program has made so far; an input that is not among them comes from outside. rows: the values
    that lie row by row (layout.py). bare: the signed values that are stored as they are (unsigned.py).
    """
    head = group.layers[0]
    if not all(layer.exact for layer in group.layers):
        return "it is float arithmetic"
    image = default_image(lowered, group.output, rows)
    if isinstance(image, str):
        return f"its output: {image}"
    if head.op in ("quantize", "quantize_float32"):
        return accept_quantize(head, as_input(image)) if len(group.layers) == 1 else "it is clamped"
    sources: list[Image] = []
    if len({(shape_of(lowered, name) or (None,))[0] for name in activations_of(lowered, group)}) > 1:
        return "its operands have batches of different lengths"
    if group.output in bare and head.op not in HANDING_ON:
        image = without_offset(image, lowered, group.output)
    if head.op in PAIRS and any(name in lowered.graph.constants for name in head.inputs):
        return _accept_constant_pair(lowered, group, known, image, isa, rows)
    for name in head.inputs:
        source = known.get(name) or input_image(lowered, name, rows)
        if isinstance(source, str):
            return f"its input {name!r}: {source}"
        sources.append(source)
    if any(source.wide for source in sources):
        return "it reads raw accumulators"
    if group.output in bare and head.op in HANDING_ON and sources[0].most < 1 << 7:
        image = without_offset(image, lowered, group.output)
    return _accept(Request(group, sources, image, bounds, isa))


@dataclass(frozen=True)
class Request:
    """What a packed op is asked for: the group of layers, the images that it reads and makes."""

    group: Group
    sources: Sequence[Image]
    image: Image
    bounds: Mapping[str, Bounds]
    isa: str

    @property
    def head(self) -> Layer:
        """The layer that gives the group its op."""
        return self.group.layers[0]


@dataclass(frozen=True)
class Form:
    """The packed form of an op: accept gives the PackedOp, or says in words why there is none.

    words: it has one of 16-bit codes. fused: it takes layers after the op's own. mixed: its operands and its result may
    differ in the size of their codes.
    """

    accept: Callable[[Request], PackedOp | str]
    words: bool = True
    fused: bool = False
    mixed: bool = False


def _conv(r: Request) -> PackedOp | str:
    return accept_mac(r.group, r.sources[0], r.image, r.bounds[r.head.name], r.isa)


def _matmul(r: Request) -> PackedOp | str:
    if len(r.sources) == 2:
        return accept_matmul(r.group, (r.sources[0], r.sources[1]), r.image, r.bounds[r.head.name])
    return _conv(r)


def _pair(r: Request) -> PackedOp | str:
    if len(r.sources) != 2:
        return f"{r.head.op} of {len(r.sources)} operands has no packed form"
    return accept_pair(r.group, r.sources, r.image, r.isa)


FORMS: Mapping[str, Form] = {
    "conv": Form(_conv, fused=True, mixed=True),
    "matmul": Form(_matmul, fused=True, mixed=True),
    **{op: Form(_pair, op in ("add", "sub"), fused=True) for op in PAIRS},
    **dict.fromkeys(
        AVERAGE_POOLS, Form(lambda r: accept_average_pool(r.group, r.sources[0], r.image, r.isa), fused=True)
    ),
    "max_pool": Form(lambda r: accept_max_pool(r.head, r.sources[0], r.image, r.isa), fused=True),
    "reduce_max": Form(lambda r: accept_reduce_max(r.head, r.sources[0], r.image, r.isa)),
    "table": Form(lambda r: accept_table(r.group, r.sources[0], r.image)),
    "clip": Form(lambda r: accept_clip(r.head, r.sources[0], r.image)),
    "concat": Form(lambda r: accept_concat(r.head, r.sources, r.image)),
    "resize_nearest": Form(lambda r: accept_resize(r.head, r.sources[0], r.image)),
    "depth_to_space": Form(lambda r: accept_depth_to_space(r.head, r.sources[0], r.image)),
    "pad": Form(lambda r: accept_pad(r.head, r.sources[0], r.image)),
    "slice": Form(lambda r: accept_slice(r.head, r.sources[0], r.image)),
    "transpose": Form(lambda r: accept_transpose(r.head, r.sources[0], r.image)),
    **dict.fromkeys(ALIASES, Form(lambda r: accept_alias(r.head, r.sources[0], r.image))),
}
"""Layer op -> its packed form; what is not here runs in the portable loops. `quantize` enters a program: see accept."""


def _accept(request: Request) -> PackedOp | str:
    op = request.head.op
    form = FORMS.get(op)
    if form is None or (len(request.group.layers) > 1 and not form.fused):
        return f"{op} has no packed form"
    sizes = {source.size for source in (*request.sources, request.image)}
    if not form.mixed and len(sizes) > 1:
        return "its operands and its result have codes of 8 and of 16 bits"
    if not form.mixed and sizes == {WORD} and not form.words:
        return f"{op} has no packed form of 16-bit codes"
    return form.accept(request)


def without_offset(image: Image, lowered: Lowered, name: str) -> Image:
    """The Image of signed codes of which none is negative, as they are."""
    format = lowered.values[name]
    assert format is not None, "what is packed has a format"
    return replace(image, offset=0, zero=image.zero - image.offset, most=format.high)


def activations_of(lowered: Lowered, group: Group) -> list[str]:
    """The values that a group of more than one operand reads, but for constants."""
    names = [name for name in group.layers[0].inputs if name not in lowered.graph.constants]
    return names if len(names) > 1 else []


def _accept_constant_pair(
    lowered: Lowered, group: Group, known: Mapping[str, Image], image: Image, isa: str, rows: Collection[str]
) -> PackedOp | str:
    """The packed op of a sum or product with constants among its operands, or why there is none."""
    sources: list[Image | tuple[Array, Format]] = []
    for name in group.layers[0].inputs:
        format = lowered.values.get(name)
        if name in lowered.graph.constants and format is not None:
            sources.append((lowered.graph.constants[name], format))
            continue
        source = known.get(name) or input_image(lowered, name, rows)
        if isinstance(source, str):
            return f"its input {name!r}: {source}"
        if source.wide:
            return "it reads raw accumulators"
        sources.append(source)
    if image.size == WORD and not FORMS[group.layers[0].op].words:
        return f"{group.layers[0].op} has no packed form of 16-bit codes"
    return accept_pair(group, sources, image, isa)


def input_image(lowered: Lowered, name: str, rows: Collection[str] = ()) -> Image | str:
    """The Image of a value that comes from outside; in words why it has none."""
    image = default_image(lowered, name, rows)
    return image if isinstance(image, str) else as_input(image)


def as_input(image: Image) -> Image:
    """The Image with pixels of few channels, where it has few."""
    return replace(image, few=image.channels <= FEW and not image.wide and not image.rows)


def default_image(lowered: Lowered, name: str, rows: Collection[str] = ()) -> Image | str:
    """The Image of a value that is made; in words why it has none."""
    shape = None if name in lowered.graph.constants else shape_of(lowered, name)
    if shape is None:
        return "it is no activation of a known shape"
    return image_of(shape, lowered.values.get(name), name in lowered.accumulators.values(), name in rows)


OF_THE_TENSOR = ("accumulator", "moved", "unclamped")
"""Steps on the way to a tensor that have its shape, as they stand after its name and `#`."""

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
