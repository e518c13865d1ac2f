"""A Pad with zeros, folded into the pads of the convolutions that read it."""

from __future__ import annotations

from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.quantization.float_graph import FloatGraph, rewired


def fold_pad(graph: FloatGraph) -> None:
    """Remove every Pad of spatial axes with zeros that only convolutions with explicit pads read."""
    for node in list(graph.nodes):
        if node.op != "Pad":
            continue
        pads = spatial_zeros(graph, node)
        readers = graph.consumers(node.outputs[0])
        if pads is None or node.outputs[0] in graph.outputs or not all(_takes_pads(r, node) for r in readers):
            continue
        for reader in readers:
            own = reader.integers("pads") or (0,) * len(pads)
            attributes = {**reader.attributes, "pads": tuple(a + b for a, b in zip(own, pads, strict=True))}
            inputs = (node.inputs[0], *reader.inputs[1:])
            graph.replace(reader, rewired(reader, inputs=inputs, attributes=attributes))
        graph.replace(node)


def spatial_zeros(graph: FloatGraph, node: OnnxNode) -> tuple[int, ...] | None:
    """The pads as a Conv has them (begins, then ends, of the axes from 2 on); None where a Conv cannot do the same."""
    rank = graph.rank(node.inputs[0])
    given = [graph.constants.get(name) if name else None for name in (*node.inputs[1:], "", "")[:3]]
    if node.text("mode", "constant") != "constant" or rank is None or rank < 3 or given[0] is None:
        return None
    value, axes = given[1:]
    if (value is None and len(node.inputs) > 2 and node.inputs[2]) or (value is not None and value.any()):
        return None
    amounts = given[0].reshape(2, -1)
    positions = range(rank) if axes is None else [int(a) % rank for a in axes]
    pads = {axis: (int(begin), int(end)) for axis, begin, end in zip(positions, *amounts, strict=True)}
    if any(pads.get(axis, (0, 0)) != (0, 0) for axis in (0, 1)) or any(min(p) < 0 for p in pads.values()):
        return None
    spatial = [pads.get(axis, (0, 0)) for axis in range(2, rank)]
    return (*(begin for begin, _ in spatial), *(end for _, end in spatial))


def _takes_pads(reader: OnnxNode, pad: OnnxNode) -> bool:
    return (
        reader.op == "Conv"
        and reader.inputs.count(pad.outputs[0]) == 1
        and reader.inputs[0] == pad.outputs[0]
        and reader.text("auto_pad", "NOTSET") == "NOTSET"
    )
