"""A model file, which is untrusted input: parsed, measured and checked before anything is made of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, EncodeError, Message
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto

from intsim.errors import MalformedGraph, UnsupportedOp, UnusableInput
from intsim.files import opened
from intsim.importers.onnx.external_data import ExternalData
from intsim.importers.onnx.functions import inlined
from intsim.importers.onnx.onnx_node import INTSIM, MICROSOFT, OnnxNode, read_node
from intsim.importers.onnx.tensors import Array, ElementType, element_type, read_tensor
from intsim.importers.onnx.topology import sorted_nodes, without_identities
from intsim.ops import Shape

OLDEST_OPSET = 10
PROTOBUF_ERRORS: tuple[type[Exception], ...] = (RuntimeError, ValueError, TypeError, DecodeError, EncodeError)
"""What onnx's compiled parts raise on strange input, besides their own errors."""

LARGEST_FILE = 2**31 - 1
"""What protobuf can parse, in bytes."""

SMALL = 1 << 16
"""Initializers up to that many bytes take part in ONNX's own checks: all that shape inference can need."""


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds, as plain data. nodes are in topological order, without Identity and Dropout."""

    name: str
    opset: int
    nodes: tuple[OnnxNode, ...]
    inputs: Mapping[str, tuple[ElementType, Shape]]
    outputs: tuple[str, ...]
    initializers: Mapping[str, tuple[ElementType, Array]]
    metadata: Mapping[str, str]
    digest: str


def read_model(source: str | Path | bytes | ModelProto) -> ModelFile:
    """The content of an ONNX model, given as a path, as the file's bytes, or parsed.

    Errors: UnusableInput for a path that cannot be read, MalformedGraph for what breaks ONNX's rules,
    UnsupportedOp for what is right but too new or of no use here.
    """
    file, fault = parse_model(source)
    if fault is not None:
        raise fault
    return file


def parse_model(source: str | Path | bytes | ModelProto) -> tuple[ModelFile, MalformedGraph | None]:
    """The content of an ONNX model, and what ONNX's own checker finds wrong with it.

    For an importer whose own messages say more: it raises the checker's only when it found nothing itself.
    Errors: as `read_model`, but for what the checker says.
    """
    model, digest, folder = _parsed(source)
    opset = _opset(model)
    model = inlined(model)
    initializers = _initializers(model.graph, ExternalData(folder))
    inputs = _inputs(model.graph, initializers)
    nodes = [read_node(n, i) for i, n in enumerate(model.graph.node)]
    for node in nodes:
        if node.domain not in ("", MICROSOFT, INTSIM):
            raise node.unsupported(
                f"domain {node.domain!r} is not supported; supported: ai.onnx, {MICROSOFT}, {INTSIM}"
            )
    nodes = sorted_nodes(nodes, [*inputs, *initializers])
    outputs = _outputs(model.graph, {*inputs, *initializers, *(o for n in nodes for o in n.outputs)})
    file = ModelFile(
        model.graph.name,
        opset,
        tuple(without_identities(nodes, outputs, _falses(initializers, nodes))),
        inputs,
        outputs,
        initializers,
        {p.key: p.value for p in model.metadata_props},
        digest,
    )
    return file, _checker_fault(model, nodes, initializers)


def _initializers(graph: GraphProto, external: ExternalData) -> dict[str, tuple[ElementType, Array]]:
    for sparse in graph.sparse_initializer:
        raise UnsupportedOp(
            f"initializer {sparse.values.name!r} is sparse, which is not supported: save it as a dense tensor"
        )
    result: dict[str, tuple[ElementType, Array]] = {}
    for tensor in graph.initializer:
        where = f"initializer {tensor.name!r}"
        if tensor.name in result or not tensor.name:
            raise MalformedGraph(f"{where}: the name is empty or taken by another initializer")
        outside = external.bytes_of(tensor, where) if tensor.data_location == TensorProto.EXTERNAL else None
        result[tensor.name] = element_type(tensor.data_type, where), read_tensor(tensor, where, outside)
    return result


def _inputs(graph: GraphProto, initializers: Container[str]) -> dict[str, tuple[ElementType, Shape]]:
    """The inputs that are no initializers (old files list those too)."""
    names = [i.name for i in graph.input]
    if len(set(names)) != len(names):
        raise MalformedGraph("two inputs of the graph have the same name")
    return {i.name: _declared(i) for i in graph.input if i.name not in initializers}


def _outputs(graph: GraphProto, made: Container[str]) -> tuple[str, ...]:
    outputs = tuple(o.name for o in graph.output)
    if not outputs:
        raise MalformedGraph("the graph has no output")
    if len(set(outputs)) != len(outputs):
        raise MalformedGraph("two outputs of the graph have the same name")
    for name in outputs:
        if name not in made:
            raise MalformedGraph(f"output {name!r} of the graph: nothing in the model makes it")
    return outputs


def _parsed(source: str | Path | bytes | ModelProto) -> tuple[ModelProto, str, Path | None]:
    """The parsed model, the sha256 of its bytes, and its folder."""
    if isinstance(source, ModelProto):
        try:
            data = source.SerializeToString(deterministic=True)
        except (EncodeError, ValueError) as error:
            raise MalformedGraph(f"the model cannot be serialized: {_line(error)}") from None
        return source, hashlib.sha256(data).hexdigest(), None
    folder, what = None, "the model"
    if isinstance(source, bytes):
        data = source
    else:
        path = Path(source)
        folder, what = path.parent, str(path)
        data = _content(path)
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise MalformedGraph(
            f"{what} is not an ONNX model, or is truncated: {len(data)} bytes cannot be parsed"
        ) from None
    _refuse_bad_text(model)
    if not model.HasField("graph"):
        raise MalformedGraph(f"{what} is not an ONNX model, or is truncated: it holds no graph")
    return model, hashlib.sha256(data).hexdigest(), folder


def _refuse_bad_text(message: Message) -> None:
    """Errors: MalformedGraph for a name or text that is not UTF-8: protobuf hands it out as bytes."""
    for field, value in message.ListFields():
        if field.type not in (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_STRING):
            continue
        for item in value if field.is_repeated else [value]:
            if isinstance(item, Message):
                _refuse_bad_text(item)
            elif isinstance(item, bytes):
                raise MalformedGraph(f"{message.DESCRIPTOR.name}.{field.name} {item[:60]!r} is not UTF-8 text")


def _content(path: Path) -> bytes:
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_FILE:
            raise UnusableInput(
                f"model {path} has {size} bytes, more than protobuf can read ({LARGEST_FILE}): save it with "
                "external data"
            )
        return file.read(LARGEST_FILE)


def _line(error: Exception) -> str:
    """The first telling line of an error of ONNX's checkers."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:300] if lines else type(error).__name__


def _opset(model: ModelProto) -> int:
    """The version of the default domain. Errors: UnsupportedOp when it is too new or too old."""
    versions = {("" if o.domain == "ai.onnx" else o.domain): o.version for o in model.opset_import}
    if "" not in versions:
        raise MalformedGraph("the model imports no opset of the default domain")
    opset, newest = versions[""], onnx.defs.onnx_opset_version()
    if opset > newest:
        raise UnsupportedOp(
            f"opset {opset} is newer than onnx {onnx.__version__} knows ({newest}): update onnx, or convert the model"
        )
    if opset < OLDEST_OPSET:
        raise UnsupportedOp(
            f"opset {opset} is too old, {OLDEST_OPSET} to {newest} are supported: convert the model "
            "(onnx.version_converter)"
        )
    return int(opset)


def _declared(value: ValueInfoProto) -> tuple[ElementType, Shape]:
    """Element type and shape of a graph input; an unknown length has a name."""
    where = f"input {value.name!r} of the graph"
    if value.type.WhichOneof("value") != "tensor_type":
        raise UnsupportedOp(f"{where} must be a tensor")
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        raise UnsupportedOp(f"{where} has no shape: at least its rank must be declared")
    lengths: list[int | str] = []
    for i, dim in enumerate(tensor.shape.dim):
        if dim.HasField("dim_value"):
            if not 0 < dim.dim_value <= LARGEST_FILE:
                raise MalformedGraph(f"{where}: axis {i} has length {dim.dim_value}")
            lengths.append(int(dim.dim_value))
        else:
            lengths.append(dim.dim_param or f"{value.name}#{i}")
    return element_type(tensor.elem_type, where), tuple(lengths)


def _falses(initializers: Mapping[str, tuple[ElementType, Array]], nodes: Sequence[OnnxNode]) -> frozenset[str]:
    """The names of the boolean constants that are false: how a Dropout says that it is not training."""
    arrays = {name: array for name, (_, array) in initializers.items()}
    arrays.update(
        {n.outputs[0]: tensor[0] for n in nodes if n.op == "Constant" and n.outputs and (tensor := n.tensor("value"))}
    )
    return frozenset(name for name, a in arrays.items() if a.dtype == np.bool_ and a.size == 1 and not a.any())


def _checker_fault(
    model: ModelProto, nodes: Sequence[OnnxNode], initializers: Mapping[str, tuple[ElementType, Array]]
) -> MalformedGraph | None:
    """What ONNX's own checker, which knows each op's attributes and arity, finds in a copy without large initializers.

    Its shape inference is not run: on a broken file it aborts the process (a Slice of an axis of length 0, in
    onnx 1.23), and intsim's own rules check each shape.
    """
    from onnx import checker

    faults: tuple[type[Exception], ...] = (checker.ValidationError, *PROTOBUF_ERRORS)
    try:
        checker.check_model(_slim(model, nodes, initializers))
    except faults as error:
        return MalformedGraph(f"the model breaks ONNX's rules: {_line(error)}")
    return None


def _slim(
    model: ModelProto, nodes: Sequence[OnnxNode], initializers: Mapping[str, tuple[ElementType, Array]]
) -> ModelProto:
    """The model with sorted nodes, where large initializers are inputs of the same type and shape."""
    order = {name: i for i, name in enumerate(o for n in nodes for o in n.outputs[:1])}
    graph = GraphProto(name=model.graph.name or "graph")
    graph.node.extend(sorted(model.graph.node, key=lambda n: order.get(n.output[0] if n.output else "", 0)))
    # Without the outputs: the checker wants their shapes declared, which runtimes do not, and nothing else of them.
    for declared in model.graph.input:
        if declared.name not in initializers:
            graph.input.append(declared)
    for tensor in model.graph.initializer:
        array = initializers[tensor.name][1]
        if array.nbytes <= SMALL and tensor.data_location != TensorProto.EXTERNAL:
            graph.initializer.append(tensor)
        if array.nbytes > SMALL or tensor.data_location == TensorProto.EXTERNAL or model.ir_version < 4:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    slim = ModelProto(ir_version=model.ir_version, graph=graph, producer_name=model.producer_name)
    slim.opset_import.extend(model.opset_import)
    return slim
