"""The shapes of a float network's values, as far as they do not depend on the batch."""

from __future__ import annotations

from dataclasses import replace

from intsim.quantization.float_graph import FloatGraph, Shape


def infer_shapes(graph: FloatGraph) -> dict[str, Shape]:
    """The shape of every value that a node makes; None for a length that changes with the batch or is not known."""
    # ONNX cannot follow arithmetic on an unknown length; two runs with known ones show which lengths depend on it.
    first, *others = (shapes_at(graph, batch) for batch in batch_sizes(graph))
    return {
        name: tuple(n if all(o[name][i] == n for o in others) else None for i, n in enumerate(shape))
        for name, shape in first.items()
        if all(len(o.get(name, ())) == len(shape) for o in others)
    }


def batch_sizes(graph: FloatGraph) -> tuple[int, ...]:
    """The batch size of the network, or two far apart, so that halves differ too, where it takes any."""
    fixed = graph.input_shape[0]
    return (fixed,) if isinstance(fixed, int) else (2, 997)


def shapes_at(graph: FloatGraph, batch: int) -> dict[str, Shape]:
    """The shape of every value that a node makes when the network runs `batch` inputs; None where it is not known."""
    inferred = replace(graph, input_shape=(batch, *graph.input_shape[1:])).to_model().graph
    return {
        value.name: tuple(d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim)
        for value in (*inferred.value_info, *inferred.output)
        if value.type.tensor_type.HasField("shape")
    }
