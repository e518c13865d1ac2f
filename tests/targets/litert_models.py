"""One-op TFLite models with chosen scales, and what LiteRT's kernel sets compute for them, each in a child process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

KERNELS = ("BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "AUTO")
"""LiteRT's kernel sets: reference, optimised, and XNNPACK where it can."""


@dataclass(frozen=True)
class Tensor:
    """A quantized tensor of a one-op model: `data` makes it a constant; `axis` is that of several scales."""

    shape: Sequence[int]
    dtype: Any = np.int8
    scale: Sequence[float | np.floating[Any]] = ()
    zero_point: Sequence[int] = ()
    axis: int = 0
    data: Array | None = None


@dataclass(frozen=True)
class OneOp:
    """An op by the names of TFLite's schema: `builtin` of BuiltinOperator, `options` of the class `<options_type>T`."""

    builtin: str
    inputs: Sequence[Tensor]
    output: Tensor
    options_type: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    version: int = 3


def serialize(op: OneOp) -> bytes:
    """The .tflite file of one op, whose inputs without data are the model's."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph, operator, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    model.version, model.description, model.buffers = 3, "one op", [schema.BufferT()]
    number = getattr(schema.BuiltinOperator, op.builtin)
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), op.version
    graph.tensors = [_tensor(schema, model, tensor) for tensor in (*op.inputs, op.output)]
    graph.inputs = [i for i, tensor in enumerate(op.inputs) if tensor.data is None]
    graph.outputs = [len(op.inputs)]
    operator.inputs, operator.outputs = list(range(len(op.inputs))), [len(op.inputs)]
    if op.options_type:
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, op.options_type)
        operator.builtinOptions = getattr(schema, f"{op.options_type}T")()
        for name, value in op.options.items():
            setattr(operator.builtinOptions, name, value)
    graph.operators, model.operatorCodes, model.subgraphs = [operator], [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(schema: Any, model: Any, tensor: Tensor) -> Any:
    made = schema.TensorT()
    made.shape, made.name = list(tensor.shape), f"t{len(model.buffers)}"
    made.type = getattr(schema.TensorType, np.dtype(tensor.dtype).name.upper())
    if tensor.scale:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale = [float(np.float32(s)) for s in tensor.scale]
        made.quantization.zeroPoint = list(tensor.zero_point) or [0] * len(tensor.scale)
        made.quantization.quantizedDimension = tensor.axis
    buffer = schema.BufferT()
    if tensor.data is not None:
        buffer.data = np.frombuffer(np.ascontiguousarray(tensor.data, tensor.dtype).tobytes(), np.uint8)
    made.buffer = len(model.buffers)
    model.buffers.append(buffer)
    return made


def conv_2d(x: Tensor, w: Tensor, bias: Tensor, output: Tensor) -> OneOp:
    """A convolution, w[O, H, W, I], of stride 1 without padding and activation."""
    options = {"padding": 1, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    return OneOp("CONV_2D", (x, w, bias), output, "Conv2DOptions", options)


def depthwise_conv_2d(x: Tensor, w: Tensor, bias: Tensor, output: Tensor) -> OneOp:
    """A depthwise convolution, w[1, H, W, C], of stride 1 without padding and activation."""
    options = {"padding": 1, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    options["depthMultiplier"] = w.shape[-1] // x.shape[-1]
    return OneOp("DEPTHWISE_CONV_2D", (x, w, bias), output, "DepthwiseConv2DOptions", options)


def fully_connected(x: Tensor, w: Tensor, bias: Tensor, output: Tensor) -> OneOp:
    """A fully connected layer, w[O, I], without activation."""
    return OneOp("FULLY_CONNECTED", (x, w, bias), output, "FullyConnectedOptions")


def quantize(x: Tensor, output: Tensor) -> OneOp:
    """Codes to codes, or reals to codes."""
    return OneOp("QUANTIZE", (x,), output, "QuantizeOptions")


def run(op: OneOp, kernels: str, *inputs: Array) -> Array:
    """What the kernel set computes. LiteRT aborts on scales that it refuses, so it runs in a child process.

    Raises ChildProcessError with the end of what the child said.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "model.tflite").write_bytes(serialize(op))
        for i, array in enumerate(inputs):
            np.save(path / f"x{i}.npy", array)
        arguments = json.dumps({"folder": folder, "kernels": kernels, "inputs": len(inputs)})
        command = [sys.executable, "-c", CHILD, arguments]
        child = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if child.returncode:
            raise ChildProcessError(f"LiteRT ended with {child.returncode}: {child.stderr[-500:]}")
        return np.asarray(np.load(path / "y.npy"))


CHILD = """
import json, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

task = json.loads(sys.argv[1])
interpreter = Interpreter(
    task["folder"] + "/model.tflite",
    experimental_op_resolver_type=OpResolverType[task["kernels"]],
    num_threads=1,
)
interpreter.allocate_tensors()
for i, details in enumerate(interpreter.get_input_details()[: task["inputs"]]):
    interpreter.set_tensor(details["index"], np.load(f"{task['folder']}/x{i}.npy"))
interpreter.invoke()
np.save(task["folder"] + "/y.npy", interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
"""
