"""A float model read and brought into the form that is quantized: constants folded, shapes known, opset new enough."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import version_converter

from intsim.errors import UnsupportedOp, UnusableInput
from intsim.importers.onnx.model_file import ModelFile, read_model
from intsim.quantization.float_graph import FloatGraph, Shape, first_line, rewired
from intsim.quantization.fold_constants import fold_constants, fold_lengths
from intsim.quantization.shapes import infer_shapes

OLDEST_OPSET = {2: 25, 4: 21, 8: 14, 16: 21}
"""Bits -> the first opset whose QuantizeLinear has codes of that width, and for 8 bits whose Relu takes int8."""

QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
INTEGER_OPS = frozenset({"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"})


def prepare(source: str | Path | bytes | onnx.ModelProto, bits: int) -> FloatGraph:
    """The float network in an ONNX model, ready to be rewritten and quantized to `bits` bits.

    Functions are inlined, Identity and Dropout gone, constant subgraphs and arithmetic on lengths folded, computed
    shapes of Reshape made constant. The opset stays, or becomes the oldest that has what the bits need (OLDEST_OPSET).
    Errors: those of the importer; UnusableInput for a model that is quantized already or has several inputs;
    UnsupportedOp for reals that are not float32.
    """
    file = read_model(source)
    _refuse(file)
    graph = _taken_apart(file)
    if graph.opset < OLDEST_OPSET[bits]:
        graph = _converted(graph, OLDEST_OPSET[bits])
    fold_constants(graph)
    fold_lengths(graph)
    graph.shapes = infer_shapes(graph)
    _fix_reshapes(graph)
    graph.remove_unused()
    _check_outputs(graph)
    _check_reals(graph)
    return graph


def float_input(source: str | Path | bytes | onnx.ModelProto) -> tuple[Shape, Mapping[str, str]]:
    """The shape of a float model's only input, and the model's metadata. Errors: those of `prepare`."""
    file = read_model(source)
    _refuse(file)
    [(_, shape)] = file.inputs.values()
    return shape, file.metadata


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


def _check_outputs(graph: FloatGraph) -> None:
    for name in graph.outputs:
        if graph.producer(name) is None:
            raise UnusableInput(f"output {name!r} of the model is its input, or does not depend on it")


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
