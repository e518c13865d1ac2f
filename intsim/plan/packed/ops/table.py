"""Functions of one code, as 256 stored bytes, or as 65536 stored words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from intsim.kernels.packed.ops import table as kernel
from intsim.kernels.packed.rows import IN, OUT
from intsim.lowering.lowered import Layer
from intsim.plan.packed.fuse import Group
from intsim.plan.packed.image import BYTE, Image
from intsim.plan.packed.op import PackedOp, Place, TableRow, aligned_copy

Array = np.ndarray[Any, Any]


class PackedTable(PackedOp):
    """A table look-up of every byte; by channel where each has its own."""

    def __init__(self, group: Group, image: Image, entries: Array) -> None:
        """entries: what is stored by stored byte, u8[256] or u8[bytes of a pixel, 256]; by word + 2**15, i16[65536]."""
        self.layers = group.layers
        self.inputs, self.output, self.image = group.layers[0].inputs[:1], group.output, image
        self._entries = aligned_copy(entries)
        self._channels = len(entries) if entries.ndim == 2 else 0
        vbmi = kernel.has_vbmi() and not self._channels and image.size == BYTE
        self.kernel = f"{group.layers[0].op}_{image.kind}_{image.kind}{'_avx512vbmi' if vbmi else ''}"
        self.reason = f"{entries.shape[-1]} entries" + (" a channel" if self._channels else "")

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        source, place, image = places[self.inputs[0]], places[self.output], self.image
        run, lines = image.width * image.pixel, image.height
        if not (source.padding.any or place.padding.any):
            run, lines = run * lines, 1
        columns = {
            kernel.LINE: source.line,
            kernel.OUT_LINE: place.line,
            kernel.BYTES: run,
            kernel.TABLE: self._entries.ctypes.data,
            kernel.CHANNELS: self._channels,
        }
        if image.size == BYTE:
            function = kernel.make(int(kernel.has_vbmi()), int(self._channels > 0))
        else:
            function = kernel.make_words()
        return TableRow(function, lines, columns, {IN: source, OUT: place})


def accept_table(group: Group, source: Image, image: Image) -> PackedTable | str:
    """The packed op of a table look-up; in words why there is none."""
    layer = group.layers[0]
    if source.geometry != image.geometry or source.few:
        return "its input has few channels"
    entries = _table(layer, source, image)
    return entries if isinstance(entries, str) else PackedTable(group, image, entries)


def _table(layer: Layer, source: Image, image: Image) -> Array | str:
    p = layer.parameters
    values = 1 << (8 * source.size)
    codes, first = np.asarray(p["table"], np.int64), int(p["low"]) + source.offset - source.ends[0]
    if not 0 <= first <= first + codes.shape[-1] <= values:
        return f"its table has more entries than {8 * source.size} bits have values"
    if codes.ndim == 2 and int(p.get("axis", 1)) % (1 + len(image.shape)) != (len(image.shape) if image.rows else 1):
        return "its tables differ along another axis than the channels"
    stored = (codes + image.offset).astype(image.dtype)
    if codes.ndim == 1:
        entries = np.zeros(values, image.dtype)
        entries[first : first + len(codes)] = stored
        return entries
    if source.size != BYTE:
        return "its tables of 16-bit codes differ by channel"
    by_channel = np.zeros((image.pixel, values), np.uint8)
    by_channel[: len(codes), first : first + codes.shape[1]] = stored
    return by_channel
