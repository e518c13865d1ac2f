"""ONNX Runtime as it is deployed, with every tensor of its own optimized graph made visible."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from intsim.errors import MissingDependency, UnsupportedOp, UnusableInput

if TYPE_CHECKING:
    import onnx


EXTENDED, BASIC = "ORT_ENABLE_EXTENDED", "ORT_ENABLE_BASIC"
NO_INTEGER_KERNELS = ("tensor(int4)", "tensor(uint4)", "tensor(int2)", "tensor(uint2)")
"""The types that ONNX Runtime names when it refuses what its extended optimizations made of them."""

WIDENED = "#8bits"
"""What follows the name of a tensor of 2- or 4-bit codes where they are copied to 8 bits, to be read."""

NEWEST_OPSET = re.compile(r"support for domain ai\.onnx is till opset (\d+)")


class OrtNode(NamedTuple):
    """One node of the optimized graph: which kernel computes which tensors from which."""

    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class OrtSession:
    """ONNX Runtime's optimized graph of a model, run with all its tensors as outputs.

    Two sessions do it. The first optimizes the model as a deployed session does (extended optimizations: the level
    at which QDQ patterns become integer kernels; the level above it changes layouts only) and writes the result
    out. The second runs that file with all optimizations off and every node's output a graph output: the nodes,
    hence the kernels, are those of the first, and nothing between them is fused or folded any more.

    The session entry `session.qdqisint8allowed` = 1 is set: without it x86 builds rewrite signed QDQ models into
    unsigned ones (codes + 128 under new names) and leave part of them in float. It changes nothing in a model
    whose activations are unsigned or that is in QOperator form.

    Codes of 2 and 4 bits have no integer kernels, yet the extended optimizations move them into some, and ONNX Runtime
    refuses its own result. Such a model is optimized at the level below, where DequantizeLinear, the op in float and
    QuantizeLinear stay: `level` says which one it was.

    Raises MissingDependency without onnxruntime, UnsupportedOp where ONNX Runtime refuses the model.
    """

    def __init__(self, model: bytes | str | Path, *, threads: int = 1) -> None:
        source = model if isinstance(model, bytes) else str(model)
        with tempfile.TemporaryDirectory(prefix="intsim-ort-") as folder:
            optimized, self.level = _optimize(source, Path(folder) / "optimized.onnx", threads)
        self.nodes: tuple[OrtNode, ...] = tuple(
            OrtNode(n.op_type, tuple(n.input), tuple(n.output)) for n in optimized.graph.node
        )
        self.output_names: tuple[str, ...] = tuple(o.name for o in optimized.graph.output)
        self._session = _load(_with_every_output(optimized), "ORT_DISABLE_ALL", threads)
        self.input_names: tuple[str, ...] = tuple(i.name for i in self._session.get_inputs())

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Every tensor that a node of the optimized graph computes, by name, as ONNX Runtime left it.

        Integer codes come in their own dtype, those of 2 and 4 bits in int8 or uint8. Their name is the one that the
        model gives them, as the output of its QuantizeLinear or QLinear node. The floats between and around integer
        kernels come too.
        Raises UnusableInput where ONNX Runtime refuses the feeds.
        """
        missing = sorted(set(self.input_names) - set(feeds))
        unknown = sorted(set(feeds) - set(self.input_names))
        if missing or unknown:
            raise UnusableInput(
                f"onnxruntime: the inputs must be {list(self.input_names)}: missing {missing}, unknown {unknown}"
            )
        names = [o.name for o in self._session.get_outputs()]
        try:
            values = self._session.run(names, dict(feeds))
        except _refusals() as refusal:
            raise UnusableInput(f"onnxruntime refuses the input: {_first_line(refusal)}") from refusal
        return {name.removesuffix(WIDENED): value for name, value in zip(names, values, strict=True)}


def deployed_session(model: bytes | str | Path, *, threads: int) -> Any:
    """The InferenceSession that a user gets, with every optimization; for timing, not for codes.

    ONNX Runtime then rewrites signed QDQ models into unsigned ones, which is quicker on x86. Its threads spin within a
    run, as they do by default, but not after it, where they would take a core from the next one that is timed.
    Raises MissingDependency without onnxruntime, UnsupportedOp where ONNX Runtime refuses the model.
    """
    return _load(model if isinstance(model, bytes) else str(model), "ORT_ENABLE_ALL", threads, signed=False)


def run_session(session: Any, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """The outputs of a session, in its order. Raises UnusableInput where ONNX Runtime refuses the feeds."""
    try:
        return list(session.run(None, dict(feeds)))
    except _refusals() as refusal:
        raise UnusableInput(f"onnxruntime refuses the input: {_first_line(refusal)}") from refusal


def _optimize(source: bytes | str, path: Path, threads: int) -> tuple[onnx.ModelProto, str]:
    """The optimized graph, and the level of optimization that ONNX Runtime takes the model at."""
    import onnx

    level = EXTENDED
    try:
        _load(source, level, threads, optimized=path)
    except UnsupportedOp as refusal:
        if any(kind in str(refusal) for kind in NO_INTEGER_KERNELS):
            level = BASIC
        elif "must be a scalar" in str(refusal):
            source = _with_scalar_scales(source)
        else:
            raise
        _load(source, level, threads, optimized=path)
    return onnx.load(path), level


def _with_scalar_scales(source: bytes | str) -> bytes:
    """The model with the one-element scales and zero points of its Q and DQ nodes made scalars.

    PyTorch's TorchScript exporter writes FakeQuantize's parameters with shape [1], which ONNX allows and ONNX
    Runtime takes in float but not in its integer kernels.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(source) if isinstance(source, bytes) else onnx.load(source)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
        elif node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    scalars: dict[str, onnx.TensorProto] = {}
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        for position in range(1, len(node.input)):
            constant = constants.get(node.input[position])
            if constant is not None and list(constant.dims) == [1]:
                name = f"{node.input[position]}.scalar"
                scalars[name] = numpy_helper.from_array(numpy_helper.to_array(constant).reshape(()), name)
                node.input[position] = name
    model.graph.initializer.extend(scalars.values())
    return model.SerializeToString()


def _load(model: bytes | str, level: str, threads: int, optimized: Path | None = None, *, signed: bool = True) -> Any:
    """An InferenceSession on the CPU; with `optimized`, the graph it made of the model is written there.

    signed: signed QDQ models stay signed; else it is a session to time.
    """
    try:
        import onnxruntime
    except ImportError as missing:
        raise MissingDependency("onnxruntime is not installed: pip install intsim[ort]") from missing
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    if signed:
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    else:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _refusals() as refusal:
        reason = _first_line(refusal)
        newest = NEWEST_OPSET.search(reason)
        if newest is not None:
            reason = f"the newest opset that it takes is {newest[1]}: convert the model (onnx.version_converter)"
        raise UnsupportedOp(f"onnxruntime {onnxruntime.__version__} refuses the model: {reason}") from refusal


def _with_every_output(model: onnx.ModelProto) -> bytes:
    """The model with each node's output a graph output as well; ONNX Runtime infers their types itself.

    Codes of 2 and 4 bits, which have no NumPy type, are put out as int8 or uint8, under their name and WIDENED.
    """
    import onnx

    known = {output.name for output in model.graph.output}
    narrow = _narrow_codes(model)
    for node in list(model.graph.node):
        for name in node.output:
            if not name or name in known:
                continue
            known.add(name)
            if name in narrow:
                wide = f"{name}{WIDENED}"
                model.graph.node.append(onnx.helper.make_node("Cast", [name], [wide], to=narrow[name]))
                name = wide
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    return model.SerializeToString()


def _narrow_codes(model: onnx.ModelProto) -> dict[str, int]:
    """Tensors of 2- and 4-bit codes -> the 8-bit type that holds them: what QuantizeLinear makes, and copies."""
    from onnx import TensorProto

    wide = {
        TensorProto.INT2: TensorProto.INT8,
        TensorProto.INT4: TensorProto.INT8,
        TensorProto.UINT2: TensorProto.UINT8,
        TensorProto.UINT4: TensorProto.UINT8,
    }
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    made: dict[str, int] = {}
    for node in model.graph.node:
        kind: int | None = None
        if node.op_type == "QuantizeLinear":
            declared = [a.i for a in node.attribute if a.name == "output_dtype"]
            kind = wide.get(types.get(node.input[2], 0) if len(node.input) > 2 else sum(declared))
        elif node.op_type not in ("DequantizeLinear", "Cast") and node.input:
            kind = made.get(node.input[0])
        if kind is not None:
            made.update(dict.fromkeys(node.output, kind))
    return made


def _refusals() -> tuple[type[Exception], ...]:
    """What onnxruntime raises for a model or an input that it does not take."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    named = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NoSuchFile)
    return (*named, state.NotImplemented, state.RuntimeException, ValueError, TypeError)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
