"""Settings: the same network with other widths, its scales moved by powers of two so that the ranges stay."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np

from intsim.errors import UnknownName, UnusableInput, near
from intsim.formats import Format, round_quotient
from intsim.graph import Graph, Node, Value
from intsim.lowering.clamps import find_clamps
from intsim.ops import KEEPS_FORMAT, MACS

Array = np.ndarray[Any, Any]

BITS = range(2, 17)
"""The widths that a setting can ask for."""

BIAS = 2
"""The index of the bias among the inputs of a MAC node."""

METADATA = "intsim.formats"
"""Where a changed graph records its changes (JSON)."""


Change = int | Mapping[str, int]
"""A tensor's new width: n, or {"bits": n}."""


def with_formats(graph: Graph, changes: Mapping[str, Change]) -> Graph:
    """The graph with other widths: {node or tensor: n} or {node or tensor: {"bits": n}}.

    A node: its constant operands (not the bias) and its output, after a Relu or Clip that belongs to it. A tensor:
    itself. With s = old bits - new bits: scale * 2**s, zero point Z = half_even(z / 2**s), codes
    half_even((q - z) / 2**s) + Z, clipped; data movement after it keeps its format; each bias follows the scale of its
    sums (half_even, or exactly). Codes that lose s bits are ties at a rate of 2**-s: half_up would move the mean of all
    weights by 2**-(s + 1), which adds up over a layer's products.
    Errors: UnusableInput for unknown names, keys and widths.
    """
    return _Change(graph, changes).graph()


def resized(format: Format, bits: int) -> Format:
    """The format of the same range with another width."""
    shift = format.bits - bits
    wide = replace(format, bits=bits, zero_point=(0,) * len(format.zero_point))
    zeros = tuple(min(max(int(_shifted(z, shift)), wide.low), wide.high) for z in format.zero_point)
    return replace(wide, scale=tuple(s * 2.0**shift for s in format.scale), zero_point=zeros)


def resized_codes(codes: Array, old: Format, new: Format) -> Array:
    """Codes of `old` in `new`, a format that `resized` made of it."""
    shape = [1] * codes.ndim
    if old.per_channel and old.axis is not None:
        shape[old.axis] = -1
    centred = codes.astype(np.int64) - old.zero_points.reshape(shape)
    moved = _shifted(centred, old.bits - new.bits) + new.zero_points.reshape(shape)
    return _frozen(np.clip(moved, new.low, new.high).astype(new.dtype))


def _shifted(value: Any, shift: Any) -> Any:
    """half_even(value / 2**shift); exact where shift <= 0. Integers or integer arrays."""
    return round_quotient(value << np.maximum(-shift, 0), 1 << np.maximum(shift, 0), "half_even")


class _Change:
    """One change of a graph's formats, from the tensors that were asked for to all that follow."""

    def __init__(self, graph: Graph, changes: Mapping[str, Change]) -> None:
        self._old = graph
        self._values = dict(graph.values)
        self._constants = dict(graph.constants)
        self._nodes = {node.name: node for node in graph.nodes}
        if not isinstance(changes, Mapping):
            raise UnusableInput(f"with_formats: give bits by name, like {{'conv3': 4}}, not {changes!r}")
        self._asked = {name: _bits(name, change) for name, change in changes.items()}
        for name, bits in self._asked.items():
            for tensor in self._tensors(name):
                self._resize(tensor, bits)
        for node in graph.nodes:
            self._keep_format(node)
        for node in graph.nodes:
            if node.op in MACS and len(node.inputs) > BIAS and node.inputs[BIAS]:
                self._align_bias(node)

    def graph(self) -> Graph:
        """The changed graph; its metadata has the changes since the file."""
        record = json.dumps({**_recorded(self._old), **{name: {"bits": bits} for name, bits in self._asked.items()}})
        return replace(
            self._old,
            nodes=tuple(self._nodes[node.name] for node in self._old.nodes),
            values=self._values,
            constants=self._constants,
            metadata={**self._old.metadata, METADATA: record},
        )

    def _tensors(self, name: str) -> list[str]:
        """The tensors that a name of the request stands for."""
        node = self._nodes.get(name)
        if node is None:
            if name not in self._values:
                known = near(name, [*self._nodes, *self._values])
                raise UnknownName(f"with_formats: no node or tensor {name!r}; there are {known}")
            maker = self._old.producer(name)
            if maker is not None and maker.op == "DequantizeLinear":
                return [maker.inputs[0]]  # the reals that an output shows of its codes
            if self._old.format(name) is None:
                raise UnusableInput(f"with_formats: tensor {name!r} holds reals, so it has no bits to change")
            return [name]
        operands = [
            n
            for i, n in enumerate(node.inputs)
            if n in self._constants and self._old.format(n) is not None and not (node.op in MACS and i == BIAS)
        ]
        clamp = find_clamps(self._old).get(node.name)
        outputs = node.outputs if clamp is None else (clamp.output,)
        found = operands + [n for n in outputs if self._old.format(n) is not None]
        if not found:
            raise UnusableInput(f"with_formats: node {name!r} ({node.op}) works on reals, so it has no bits to change")
        return found

    def _resize(self, tensor: str, bits: int) -> None:
        old = self._old.format(tensor)
        assert old is not None, "only tensors with a format are asked for"
        if old.levels is not None:
            raise UnusableInput(
                f"with_formats: tensor {tensor!r} holds {old.levels.rule} weights, whose bits are their levels; make "
                f"the model again with other bits"
            )
        if old.bits > BITS[-1]:
            raise UnusableInput(
                f"with_formats: tensor {tensor!r} has {old.bits} bits, it is a bias or an accumulator: the bias "
                f"follows its layer, the accumulator is the target's"
            )
        self._set(tensor, resized(old, bits))

    def _set(self, tensor: str, format: Format) -> None:
        old = self._old.format(tensor)
        assert old is not None, "only tensors with a format change it"
        self._values[tensor] = replace(self._values[tensor], format=format)
        if tensor in self._constants:
            self._constants[tensor] = resized_codes(self._old.constants[tensor], old, format)

    def _keep_format(self, node: Node) -> None:
        """Hand a changed input format on to the outputs of a node that had the input's format."""
        if node.op not in KEEPS_FORMAT or not node.inputs:
            return
        before, now = self._old.format(node.inputs[0]), self._values[node.inputs[0]].format
        if before is None or now is None or before == now:
            return
        followed = [o for o in node.outputs if self._values[o].format == before]
        for output in followed:
            self._set(output, now)
        if node.op == "CodeClip" and followed:
            bounds = np.array([node.attributes["low"], node.attributes["high"]])
            low, high = (int(b) for b in resized_codes(bounds, before, now))
            self._nodes[node.name] = replace(node, attributes={**node.attributes, "low": low, "high": high})

    def _align_bias(self, node: Node) -> None:
        """Move a coded bias to the new scale of its sums, 2**s times the old one.

        s < 0: shifted left, exactly. s > 0: shifted right (half_even), but not where its scale is large enough already:
        a bias may have a larger scale than the sums, it is then aligned by a left shift.
        """
        name = node.inputs[BIAS]
        format = self._old.format(name)
        s = sum(self._shift_of(n) for n in node.inputs[:BIAS])
        if format is None or name not in self._constants or s == 0:
            return
        codes = self._old.constants[name].astype(np.int64)
        shifts = np.maximum(s - self._slack(node, format), 0) if s > 0 else np.array([s])
        if not shifts.any():
            return
        moved = _shifted(codes, shifts)
        scales = tuple(np.ldexp(np.array(format.scale), shifts).tolist())
        same = len(set(scales)) == 1
        bits = min(64, max(format.bits, format.bits - int(shifts.min())))
        new = replace(
            format,
            bits=bits,
            scale=scales[:1] if same else scales,
            zero_point=format.zero_point[:1],
            axis=None if same else codes.ndim - 1,
        )
        own = f"{name}@{node.name}" if len(self._old.consumers(name)) > 1 else name
        self._values[own] = Value(own, self._values[name].shape, new)
        self._constants[own] = _frozen(moved.astype(new.dtype))
        inputs = (*node.inputs[:BIAS], own, *node.inputs[BIAS + 1 :])
        self._nodes[node.name] = replace(self._nodes[node.name], inputs=inputs)

    def _shift_of(self, tensor: str) -> int:
        """log2 of the new scale over the old one."""
        before, now = self._old.format(tensor), self._values[tensor].format
        return 0 if before is None or now is None else before.bits - now.bits

    def _slack(self, node: Node, bias: Format) -> Array:
        """log2 of the bias's scale over the old scale of the sums; 0 where they are not powers of two."""
        formats = [self._old.format(n) for n in node.inputs[:BIAS]]
        exponents = [f.exponents if f is not None else None for f in (*formats, bias)]
        if any(e is None for e in exponents):
            return np.zeros(1, np.int64)
        x, w, b = (np.array(e, np.int64) for e in exponents)
        return np.maximum(b - (x + w), 0)


def _bits(name: str, change: Change) -> int:
    bits: Any = change
    if isinstance(change, Mapping):
        if set(change) != {"bits"}:
            raise UnusableInput(f'with_formats: {name!r}: give n or {{"bits": n}}, not {dict(change)!r}')
        bits = change["bits"]
    if isinstance(bits, bool) or not isinstance(bits, Integral) or bits not in BITS:
        raise UnusableInput(f"with_formats: {name!r}: bits must be {BITS[0]} to {BITS[-1]}, not {bits!r}")
    return int(bits)


def _recorded(graph: Graph) -> dict[str, Any]:
    """The changes that a graph has on record; a file may say anything there, what is no record counts as none."""
    try:
        record = json.loads(graph.metadata.get(METADATA, "{}"))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
