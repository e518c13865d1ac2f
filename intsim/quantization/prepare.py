"""A float model read and brought into the form that is quantized: constants folded, shapes known, opset new enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import version_converter
from onnx.reference import ReferenceEvaluator

from intsim.errors import IntsimError, MalformedGraph, UnsupportedOp, UnusableInput
from intsim.importers.model_file import ModelFile, read_model
from intsim.importers.onnx_node import OnnxNode
from intsim.quantization.float_graph import FloatGraph, Shape, first_line, node_proto, rewired

Array = np.ndarray[Any, Any]

OLDEST_OPSET = {2: 25, 4: 21, 8: 14, 16: 21}
"""Bits -> the first opset whose QuantizeLinear has codes of that width, and for 8 bits whose Relu takes int8."""

MOVES = frozenset({"Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Concat", "Gather"})

BROADCASTS = frozenset({"Add", "Sub", "Mul", "Div"})

FOLDED = MOVES | BROADCASTS | {"Constant", "ConstantOfShape", "Expand", "Cast", "Neg", "Sqrt"}
"""Ops that are computed at once where all inputs are constants."""

LARGEST_CONSTANT = 1 << 28
"""How many numbers a folded constant may have: a file of a few bytes can ask for terabytes."""

QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
INTEGER_OPS = frozenset({"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"})


def prepare(source: str | Path | bytes | onnx.ModelProto, bits: int) -> FloatGraph:
    """The float network in an ONNX model, ready to be rewritten and quantized to so many bits.

    Functions are inlined, Identity and Dropout gone, constant subgraphs folded, computed shapes of Reshape made
    constant. The opset stays, or becomes the oldest that has what the bits need (OLDEST_OPSET).
    Errors: those of the importer; UnusableInput for a model that is quantized already or has several inputs;
    UnsupportedOp for reals that are not float32.
    """
    file = read_model(source)
    _refuse(file)
    graph = _taken_apart(file)
    if graph.opset < OLDEST_OPSET[bits]:
        graph = _converted(graph, OLDEST_OPSET[bits])
    _fold_constants(graph)
    graph.shapes = infer_shapes(graph)
    _fix_reshapes(graph)
    _fold_constants(graph)
    graph.remove_unused()
    _check_reals(graph)
    return graph


def infer_shapes(graph: FloatGraph) -> dict[str, Shape]:
    """The shape of every value that a node makes; None for a length that changes with the batch or is not known."""
    if isinstance(graph.input_shape[0], int):
        return _shapes(graph, graph.input_shape[0])
    # ONNX cannot follow arithmetic on an unknown length; two runs with known ones show which lengths depend on it.
    first, second = _shapes(graph, 2), _shapes(graph, 3)
    return {
        name: tuple(a if a == b else None for a, b in zip(shape, second[name], strict=True))
        for name, shape in first.items()
        if len(shape) == len(second.get(name, ()))
    }


def _refuse(file: ModelFile) -> None:
    for node in file.nodes:
        if node.op in QUANTIZERS | INTEGER_OPS or node.domain == "com.microsoft":
            raise UnusableInput(f"{node.where}: the model is quantized already; give the float model")
    if len(file.inputs) != 1:
        raise UnusableInput(f"the model has {len(file.inputs)} inputs; one is supported")
    name, (kind, shape) = next(iter(file.inputs.items()))
    if kind.name != "float32" or len(shape) < 2:
        raise UnusableInput(f"input {name!r} must be float32 with the batch first, not {kind.name}{list(shape)}")


def _taken_apart(file: ModelFile) -> FloatGraph:
    name, (_, shape) = next(iter(file.inputs.items()))
    constants = {n: array for n, (_, array) in file.initializers.items()}
    return FloatGraph(
        file.name, file.opset, name, shape, file.outputs, list(file.nodes), constants, dict(file.metadata)
    )


def _converted(graph: FloatGraph, opset: int) -> FloatGraph:
    try:
        model = version_converter.convert_version(graph.to_model(), opset)
    except RuntimeError as error:
        raise UnsupportedOp(
            f"the model of opset {graph.opset} cannot be converted to opset {opset}: {first_line(error)}"
        ) from error
    converted = _taken_apart(read_model(model))
    converted.metadata = graph.metadata
    return converted


def _fold_constants(graph: FloatGraph) -> None:
    """Compute the nodes that read constants only."""
    left = []
    for node in graph.nodes:
        if node.op not in FOLDED or any(i and i not in graph.constants for i in node.inputs):
            left.append(node)
            continue
        try:
            inputs = {i: graph.constants[i] for i in node.inputs if i}
            if _result_size(node, [graph.constants[i] for i in node.inputs if i]) > LARGEST_CONSTANT:
                raise node.unsupported(f"makes a constant of more than {LARGEST_CONSTANT} numbers")
            values = ReferenceEvaluator(node_proto(node), opsets={"": graph.opset}).run(None, inputs)
        except IntsimError:
            raise
        except Exception as error:  # the evaluator's ops raise whatever NumPy raises
            raise MalformedGraph(f"{node.where}: cannot be computed: {first_line(error)}") from error
        graph.constants.update(zip(node.outputs, (np.asarray(v) for v in values), strict=True))
    graph.nodes = left
    for name in graph.outputs:
        if name in graph.constants:
            raise UnusableInput(f"output {name!r} of the model does not depend on its input")


def _result_size(node: OnnxNode, inputs: Sequence[Array]) -> int:
    """A bound on how many numbers a node makes of these constants."""
    if node.op in BROADCASTS:
        return math.prod(np.broadcast_shapes(*(x.shape for x in inputs)))
    if node.op == "Gather":
        return inputs[0].size * inputs[1].size
    if node.op in ("ConstantOfShape", "Expand"):
        return math.prod(int(length) for length in inputs[-1]) * (inputs[0].size if node.op == "Expand" else 1)
    return sum(x.size for x in inputs)


def _fix_reshapes(graph: FloatGraph) -> None:
    """Give every Reshape a constant shape, with -1 in the place of the length that follows from the others."""
    for node in list(graph.nodes):
        if node.op != "Reshape" or node.inputs[1] in graph.constants:
            continue
        shape = graph.shapes.get(node.outputs[0])
        if shape is None or sum(not isinstance(length, int) for length in shape) > 1:
            raise node.unsupported("its shape is computed while the model runs; give a constant shape")
        fixed = np.array([length if isinstance(length, int) else -1 for length in shape], np.int64)
        name = graph.add_constant(f"{node.outputs[0]}.shape", fixed)
        graph.replace(node, rewired(node, inputs=(node.inputs[0], name)))


def _shapes(graph: FloatGraph, batch: int) -> dict[str, Shape]:
    fixed = replace(graph, input_shape=(batch, *graph.input_shape[1:]))
    inferred = fixed.to_model().graph
    return {
        value.name: tuple(d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim)
        for value in (*inferred.value_info, *inferred.output)
        if value.type.tensor_type.HasField("shape")
    }


def _check_reals(graph: FloatGraph) -> None:
    """Every real constant is float32 and finite; but a bound of a Clip may be ±inf, which is no bound."""
    for name, value in graph.constants.items():
        if value.dtype.kind != "f":
            continue
        reader = graph.consumers(name)[0]
        if value.dtype != np.float32:
            raise reader.unsupported(f"constant {name!r} is {value.dtype}; only float32 models are quantized")
        finite = np.isfinite(value)
        if not finite.all() and reader.op != "Clip":
            at = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise UnusableInput(f"{reader.where}: constant {name!r} is {value[at]} at {at}; weights must be finite")
