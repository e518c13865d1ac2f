"""Plausible mistakes, planted into intsim one at a time: the comparison must see each, and name the first tensor."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import intsim
from intsim.comparison import Comparison
from intsim.graph import Node
from intsim.quantization import quantize_model
from intsim.target import Target
from tests.models.quantize import CONFIGURATIONS, preprocess, quantize
from tests.models.small import small, small_input

pytest.importorskip("onnxruntime")

Array = NDArray[Any]
Function = Callable[..., Any]


@dataclass(frozen=True)
class Network:
    """A quantized model, inputs for it, and what it is compared with."""

    model: onnx.ModelProto
    inputs: dict[str, Array]
    target: str | Target = "onnxruntime"
    against: str = "onnxruntime"

    def compare(self) -> Comparison:
        return intsim.compare(intsim.load(self.model, target=self.target), self.against, self.inputs)


@cache
def static(name: str, configuration: str = "qdq-u8-asymmetric-channel", calibration: float = 1.0) -> Network:
    """A small graph through ONNX Runtime's quantizer; calibration on smaller inputs makes codes saturate."""
    x = small_input(name, 8)
    model = quantize(preprocess(small(name)), CONFIGURATIONS[configuration], np.float32(calibration) * x)
    return Network(model, {"x": x})


@cache
def shared_exponents(name: str, target: str | Target = "diffquant") -> Network:
    """A small graph with power-of-two scales: the kernels against the spec."""
    x = small_input(name, 8)
    return Network(quantize_model(small(name), x).model, {"x": x}, target, "spec")


@cache
def every_pair() -> Network:
    """a + b for all pairs of codes, where 0.1 a + 0.3 b is often a tie in exact numbers and hardly ever in float32."""
    codes = np.arange(256)
    scales = {"a": 0.1, "b": 0.3, "sum": 1.0}
    zeros = {"a": 100, "b": 100, "sum": 128}
    a, b = (np.float32(scales[n]) * (codes - zeros[n]).astype(np.float32) for n in ("a", "b"))
    feeds = {"a": np.repeat(a, 256)[None], "b": np.tile(b, 256)[None]}
    nodes = [*_quantized("a", "a"), *_quantized("b", "b"), helper.make_node("Add", ["a_real", "b_real"], ["sum"])]
    model = _model([*nodes, *_quantized("sum", "y")], ("a", "b"), [1, 65536], scales, zeros)
    return Network(model, feeds)


@cache
def every_tie() -> Network:
    """A 1 x 1 convolution whose multiplier is 0.25 in ONNX Runtime: each fourth code is a tie, and it goes to even."""
    x_scale, w_scale = np.float32(0.1), np.float32(0.2)
    scales = {"x": float(x_scale), "w": float(w_scale), "conv": float(x_scale * w_scale * np.float32(4))}
    zeros = {"x": 0, "conv": 0}
    weight = [
        numpy_helper.from_array(np.ones((1, 1, 1, 1), np.int8), "w"),
        numpy_helper.from_array(np.array(scales["w"], np.float32), "w_scale"),
        numpy_helper.from_array(np.array(0, np.int8), "w_zero"),
    ]
    nodes = [
        *_quantized("x", "x"),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["w_real"]),
        helper.make_node("Conv", ["x_real", "w_real"], ["conv"], name="conv"),
        *_quantized("conv", "y"),
    ]
    model = _model(nodes, ("x",), [1, 1, 16, 16], scales, zeros, weight)
    return Network(model, {"x": (x_scale * np.arange(256, dtype=np.float32)).reshape(1, 1, 16, 16)})


def _quantized(name: str, output: str) -> list[onnx.NodeProto]:
    """QuantizeLinear and DequantizeLinear: name -> name_codes -> name_real, or the graph's output y."""
    parameters = [f"{name}_scale", f"{name}_zero"]
    real = "y" if output == "y" else f"{name}_real"
    return [
        helper.make_node("QuantizeLinear", [name, *parameters], [f"{name}_codes"]),
        helper.make_node("DequantizeLinear", [f"{name}_codes", *parameters], [real]),
    ]


def _model(
    nodes: list[onnx.NodeProto],
    inputs: Sequence[str],
    shape: list[int],
    scales: dict[str, float],
    zeros: dict[str, int],
    constants: Sequence[TensorProto] = (),
) -> onnx.ModelProto:
    for name, zero in zeros.items():
        parameters: dict[str, Array] = {"scale": np.array(scales[name], np.float32), "zero": np.array(zero, np.uint8)}
        constants = [*constants, *(numpy_helper.from_array(v, f"{name}_{k}") for k, v in parameters.items())]
    graph = helper.make_graph(
        nodes,
        "mutant",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        list(constants),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


# The mistakes. Each takes the right function and gives the wrong one.


def requantizer(nearest: Callable[[Array], Array], *, saturate: bool = True) -> Callable[[Function], Function]:
    """requantize_float32 with another rounding, or with codes that wrap."""

    def change(right: Function) -> Function:
        def wrong(
            acc: Array, *, multiplier: Any, zero_point: Any, bits: int, signed: bool, axis: int, **others: Any
        ) -> Array:
            shape = [1] * acc.ndim
            shape[axis] = -1
            codes = nearest(acc.astype(np.float32) * np.reshape(multiplier, shape)).astype(np.int64) + zero_point
            low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
            return (np.clip(codes, low, high) if saturate else codes).astype(np.int8 if signed else np.uint8)

        return wrong

    return change


def with_arguments(**changes: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """The function called with other keyword arguments: name -> what is made of the right one."""

    def change(right: Function) -> Function:
        def wrong(*operands: Any, **arguments: Any) -> Any:
            return right(*operands, **{**arguments, **{k: f(arguments[k]) for k, f in changes.items()}})

        return wrong

    return change


def padded_with_code_zero(right: Function) -> Function:
    """Padding supplies the code 0 and not x_zero."""

    def wrong(x: Array, *operands: Array, pads: tuple[int, ...], **arguments: Any) -> Any:
        padded = np.pad(x, [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])])
        return right(padded, *operands, pads=(0, 0, 0, 0), **arguments)

    return wrong


def rounded_once(right: Function) -> Function:
    """The multiplier x_scale * w_scale / y_scale, exact until the end, where ONNX Runtime rounds twice."""

    def wrong(node: Node, x: Any, w: Any, y: Any) -> Any:
        x_scale, w_scale, y_scale = (f.scales.astype(np.float64) for f in (x, w, y))
        return (x_scale * w_scale / y_scale).astype(np.float32)[0]

    return wrong


def only_at(name: str, change: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """A function of (…, node, …) whose result is changed for one node."""

    def changed(right: Function) -> Function:
        def wrong(*arguments: Any) -> Any:
            result = right(*arguments)
            node = next(a for a in arguments if isinstance(a, Node))
            return change(result) if node.name == name else result

        return wrong

    return changed


def shifted(pads: tuple[int, ...]) -> tuple[int, ...]:
    """The image one row lower, in an output of the same size."""
    half = len(pads) // 2
    return (pads[0] - 1, *pads[1:half], pads[half] + 1, *pads[half + 1 :])


NARROW = Target("narrow", accumulator_bits=12)

CONV = "intsim.kernels.conv.conv"
REQUANTIZE_FLOAT32 = "intsim.kernels.requantize_float32.requantize_float32"
REQUANTIZE = "intsim.kernels.requantize.requantize"
MULTIPLIER = "intsim.lowering.onnxruntime.multiplier"

MUTANTS: dict[str, tuple[Callable[[], Network], str, Callable[[Function], Function], str]] = {
    "floor for half_even": (
        lambda: static("conv"),
        REQUANTIZE_FLOAT32,
        requantizer(np.floor),
        "y_QuantizeLinear_Output",
    ),
    "half_up for half_even": (
        every_tie,
        REQUANTIZE_FLOAT32,
        requantizer(lambda v: np.floor(v + np.float32(0.5))),
        "conv_codes",
    ),
    "wrap for saturate": (
        lambda: static("conv", calibration=0.25),
        REQUANTIZE_FLOAT32,
        requantizer(np.rint, saturate=False),
        "y_QuantizeLinear_Output",
    ),
    "a pad shifted by one": (
        lambda: static("conv"),
        CONV,
        with_arguments(pads=shifted),
        "y_QuantizeLinear_Output",
    ),
    "padding supplies the code 0": (
        lambda: static("conv"),
        CONV,
        padded_with_code_zero,
        "y_QuantizeLinear_Output",
    ),
    "rows and columns of the weights swapped": (
        lambda: static("conv"),
        CONV,
        with_arguments(w=lambda w: w.swapaxes(2, 3)),
        "y_QuantizeLinear_Output",
    ),
    "no bias": (
        lambda: static("conv"),
        CONV,
        with_arguments(bias=lambda bias: None),
        "y_QuantizeLinear_Output",
    ),
    "the zero point of the input ignored": (
        lambda: static("conv"),
        CONV,
        with_arguments(x_zero=lambda zero: 0),
        "y_QuantizeLinear_Output",
    ),
    "one scale for all channels": (
        lambda: static("conv"),
        REQUANTIZE_FLOAT32,
        with_arguments(multiplier=lambda m: m[0]),
        "y_QuantizeLinear_Output",
    ),
    "the multiplier rounded once, not twice": (every_tie, MULTIPLIER, rounded_once, "conv_codes"),
    "operands of an add swapped": (
        every_pair,
        "intsim.lowering.onnxruntime.swaps_operands",
        lambda right: lambda a, b: not right(a, b),
        "sum_codes",
    ),
    "a factor one part in a thousand too large": (
        lambda: static("mul"),
        "intsim.kernels.mul_float32.mul_float32",
        with_arguments(ratio=lambda ratio: ratio * np.float32(1.001)),
        "y_QuantizeLinear_Output",
    ),
    "an input rounded up": (
        lambda: static("conv"),
        "intsim.kernels.quantize_float32.quantize_float32",
        lambda right: lambda r, **p: right(r + np.float32(0.5) * p["scale"], **p),
        "x_QuantizeLinear_Output",
    ),
    "padding wins in a MaxPool": (
        lambda: static("max_pool", "qdq-s8-asymmetric-tensor"),
        "intsim.kernels.max_pool.max_pool",
        lambda right: lambda x, **p: np.maximum(right(x, **p), x.dtype.type(0)),
        "y_QuantizeLinear_Output",
    ),
    "a mean divided by another count": (
        lambda: static("average_pool_pads"),
        "intsim.kernels.average_pool_float32.average_pool_float32",
        with_arguments(count_include_pad=lambda include: not include),
        "y_QuantizeLinear_Output",
    ),
    "a table shifted by one entry": (
        lambda: static("leaky_relu"),
        "intsim.kernels.table.table",
        with_arguments(table=lambda table: np.roll(table, 1)),
        "y_QuantizeLinear_Output",
    ),
    "parts of a Concat in the other order": (
        lambda: static("concat"),
        "intsim.kernels.concat.concat",
        lambda right: lambda *parts, **p: right(*parts[::-1], **p),
        "y_QuantizeLinear_Output",
    ),
    "axes of a Transpose swapped": (
        lambda: static("matmul_of_two"),
        "intsim.kernels.transpose.transpose",
        lambda right: lambda x, **p: np.flip(right(x, **p), 2),
        "transposed_QuantizeLinear_Output",
    ),
    "a bias of one layer in the middle of three": (
        lambda: static("residual"),
        "intsim.lowering.mac.bias",
        only_at("node.conv2", lambda bias: bias + 40),
        "conv2_QuantizeLinear_Output",
    ),
    "floor for half_up, shifts": (
        lambda: shared_exponents("conv"),
        REQUANTIZE,
        with_arguments(rounding=lambda rule: "floor"),
        "y.codes",
    ),
    "half_even for half_up, shifts": (
        lambda: shared_exponents("conv_depthwise"),
        REQUANTIZE,
        with_arguments(rounding=lambda rule: "half_even"),
        "y.codes",
    ),
    "saturate for wrap, in the accumulator": (
        lambda: shared_exponents("conv", NARROW),
        CONV,
        with_arguments(overflow=lambda rule: "saturate"),
        "y.codes",
    ),
    "a shift too far": (
        lambda: shared_exponents("gemm"),
        REQUANTIZE,
        with_arguments(shift=lambda shift: shift + 1),
        "conv0.codes",
    ),
    "an add shifted too far": (
        lambda: shared_exponents("residual"),
        "intsim.kernels.add.add",
        with_arguments(shift=lambda shift: shift + 1),
        "sum.codes",
    ),
}
"""Name -> network, the function that is replaced, the mistake, and the first tensor that must differ."""


@pytest.mark.onnxruntime
@pytest.mark.parametrize("name", MUTANTS)
def test_the_comparison_sees(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, function, change, first = MUTANTS[name]
    monkeypatch.setenv("INTSIM_ISA", "portable")  # the mistakes are made in the loops of intsim.kernels
    control = network().compare()
    assert control.equal, control.table()
    module, _, stem = function.rpartition(".")
    right = getattr(importlib.import_module(module), stem)
    monkeypatch.setattr(function, change(right))
    mutated = network().compare()
    assert not mutated.equal
    assert mutated.first == first
    assert mutated.mismatches > 0
    assert sum(mutated.causes.values()) > 0, "the mistake is local to a layer"
    assert mutated.compared == control.compared
