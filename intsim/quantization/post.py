"""POST and POT weights for a quantized model: alpha and the nearest levels, written as ONNX's model-local functions.

The function PostDequantizeLinear (PotDequantizeLinear) stands in the place of a weight's DequantizeLinear. Its body is
standard ONNX, so that every runtime computes the same model in float; the importer takes codes and alpha as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from intsim.errors import UnsupportedOp, UnusableInput
from intsim.importers.onnx.onnx_node import INTSIM
from intsim.islands.environment import standard_floats
from intsim.levels import BITS, Levels, join_signs
from intsim.ops import MACS

Array = np.ndarray[Any, Any]

FUNCTIONS = {"post": "PostDequantizeLinear", "pot": "PotDequantizeLinear"}
"""Level rule -> the name of the function that makes reals of its codes."""

VERSION = 1
"""Of the domain's functions."""

LEAST_OPSET = 13
"""The body uses Mod, Gather, GreaterOrEqual and Where, and the model DequantizeLinear, as they are from here on."""

CANDIDATES = 3
"""That many powers of two below the largest weight's are tried for alpha, and one above."""


@dataclass(frozen=True)
class LayerError:
    """One weight tensor: the layer that reads it, alpha, and the mean square of its error."""

    node: str
    weight: str
    alpha: float
    mse: float


@dataclass(frozen=True)
class PostResult:
    """The model with POST or POT weights, and one LayerError for each tensor that was changed."""

    model: onnx.ModelProto
    rows: tuple[LayerError, ...]


@standard_floats()
def post_model(
    source: onnx.ModelProto,
    *,
    bits: int,
    levels: Levels,
    keep: Sequence[str] | None = None,
    weights: Mapping[str, Array] | None = None,
) -> PostResult:
    """A quantized (QDQ) model with the weights of its Conv, MatMul and Gemm nodes on POST or POT levels.

    alpha is the power of two with the least squared error, and each weight the nearest level (ties to the smaller
    magnitude). A bias becomes int32 codes in units of the sums, half_up. keep: the nodes whose uniform weights stay,
    by default the first and the last layer. weights: the reals by node name, where they are better known than from
    the model's own codes.
    Errors: UnusableInput for bits out of range, UnsupportedOp where a layer's scales are no power of two.
    """
    if not BITS[0] <= bits <= BITS[1]:
        raise UnusableInput(f"bits must be {BITS[0]} to {BITS[1]}, not {bits!r}")
    model = onnx.ModelProto()
    model.CopyFrom(source)
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset < LEAST_OPSET:
        raise UnsupportedOp(f"opset {opset} is too old for POST weights: {LEAST_OPSET} at least")
    writer = _PostWriter(model, bits, levels)
    layers = [node for node in model.graph.node if node.op_type in MACS and writer.weight_of(node) is not None]
    kept = {n.name for n in (layers[:1] + layers[-1:])} if keep is None else set(keep)
    rows = [writer.change(node, (weights or {}).get(node.name)) for node in layers if node.name not in kept]
    model.functions.append(function(levels.rule, opset))
    model.opset_import.append(helper.make_opsetid(INTSIM, VERSION))
    model.ir_version = max(model.ir_version, 8)  # model-local functions
    writer.remove_unused()
    return PostResult(model, tuple(rows))


def nearest(reals: Array, alpha: float, bits: int, levels: Levels) -> Array:
    """The codes of the nearest levels, u8[...]; ties to the smaller magnitude."""
    magnitudes = levels.magnitudes(bits).astype(np.float64)
    order = np.argsort(magnitudes)
    middles = (magnitudes[order][1:] + magnitudes[order][:-1]) / 2
    found = order[np.searchsorted(middles, np.abs(reals.astype(np.float64)) / alpha, side="left")]
    return join_signs(reals < 0, found, bits)


def best_alpha(reals: Array, bits: int, levels: Levels) -> float:
    """The power of two with the least squared error between the reals and their nearest levels; ties to the smaller."""
    largest = float(np.abs(reals).max(initial=0.0))
    if largest == 0.0:
        return 1.0
    top = math.frexp(largest)[1]
    alphas = [math.ldexp(1.0, e) for e in range(top - CANDIDATES, top + 2)]
    return min(alphas, key=lambda alpha: (squared_error(reals, alpha, bits, levels), alpha))


def squared_error(reals: Array, alpha: float, bits: int, levels: Levels) -> float:
    """The sum of (real - alpha * level)**2 with the nearest levels."""
    made = levels.reals(nearest(reals, alpha, bits, levels), bits).astype(np.float64) * alpha
    return float(((reals.astype(np.float64) - made) ** 2).sum())


def function(rule: str, opset: int) -> onnx.FunctionProto:
    """PostDequantizeLinear(codes, alpha) {bits, guard_bits, table} -> reals = sign * level * alpha.

    half = 2**(bits - 1); m = codes mod half; level = LEVELS[m]; the sign is - where codes >= half.
    """
    magnitudes = Levels(rule, 0, "full").magnitudes(BITS[1])
    halves = np.array([0, *(1 << (bits - 1) for bits in range(1, BITS[1] + 1))], np.int64)

    def constant(name: str, value: Array) -> onnx.NodeProto:
        return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))

    width = helper.make_node("Constant", [], ["width"])
    width.attribute.append(onnx.AttributeProto(name="value_int", ref_attr_name="bits", type=onnx.AttributeProto.INT))
    body = [
        constant("levels", magnitudes),
        constant("halves", halves),
        width,
        helper.make_node("Gather", ["halves", "width"], ["half"]),
        helper.make_node("Cast", ["codes"], ["wide"], to=TensorProto.INT64),
        helper.make_node("Mod", ["wide", "half"], ["magnitude"]),
        helper.make_node("Gather", ["levels", "magnitude"], ["level"]),
        helper.make_node("Neg", ["level"], ["negated"]),
        helper.make_node("GreaterOrEqual", ["wide", "half"], ["negative"]),
        helper.make_node("Where", ["negative", "negated", "level"], ["signed"]),
        helper.make_node("Mul", ["signed", "alpha"], ["reals"]),
    ]
    return helper.make_function(
        INTSIM,
        FUNCTIONS[rule],
        ["codes", "alpha"],
        ["reals"],
        body,
        [helper.make_opsetid("", opset)],
        ["bits", "guard_bits", "table"],
    )


class _PostWriter:
    def __init__(self, model: onnx.ModelProto, bits: int, levels: Levels) -> None:
        self.model = model
        self.bits = bits
        self.levels = levels
        self.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.makers = {o: node for node in model.graph.node for o in node.output}

    def weight_of(self, node: onnx.NodeProto) -> Array | None:
        """The reals of the node's weights, None where they are no constant after a DequantizeLinear."""
        maker = self.makers.get(node.input[1])
        if maker is None or maker.op_type != "DequantizeLinear" or maker.input[0] not in self.constants:
            return None
        return self._reals(maker)

    def change(self, node: onnx.NodeProto, reals: Array | None) -> LayerError:
        """Put POST codes in the place of a node's weights; the bias follows the new unit of the sums."""
        own = self.weight_of(node)
        assert own is not None, "only such nodes are changed"
        if reals is not None and reals.shape != own.shape:
            raise UnusableInput(f"weights of {node.name!r} must be of shape {own.shape}, not {reals.shape}")
        reals = own if reals is None else reals
        alpha = best_alpha(reals, self.bits, self.levels)
        codes = nearest(reals, alpha, self.bits, self.levels)
        weight = node.input[1]
        stem = f"{weight}.{self.levels.rule}"
        self._constant(f"{stem}.codes", codes)
        self._constant(f"{stem}.alpha", np.array(alpha, np.float32))
        made = helper.make_node(
            FUNCTIONS[self.levels.rule],
            [f"{stem}.codes", f"{stem}.alpha"],
            [stem],
            f"{stem}.dequantize",
            domain=INTSIM,
            bits=self.bits,
            guard_bits=self.levels.guard_bits,
            table=self.levels.variant,
        )
        node.input[1] = stem
        self._insert(made)
        if len(node.input) > 2 and node.input[2]:
            self._align_bias(node, alpha)
        return LayerError(node.name, weight, alpha, squared_error(reals, alpha, self.bits, self.levels) / reals.size)

    def _align_bias(self, node: onnx.NodeProto, alpha: float) -> None:
        """int32 bias codes in units of the sums, s_x * alpha * 2**-F."""
        x, bias = self.makers[node.input[0]], self.makers[node.input[2]]
        unit = float(self.constants[x.input[1]]) * math.ldexp(alpha, -self.levels.guard_bits)
        if math.frexp(unit)[0] != 0.5:
            raise UnsupportedOp(f"node {node.name!r}: the scale of its input is no power of two; use `intsim quantize`")
        reals = self._reals(bias).astype(np.float64)
        codes = np.floor(reals / unit + 0.5)
        if np.abs(codes).max(initial=0) >= 1 << 31:
            raise UnsupportedOp(f"node {node.name!r}: its bias needs more than 32 bits: take fewer guard bits")
        stem = f"{node.input[2]}.{self.levels.rule}"
        self._constant(f"{stem}.codes", codes.astype(np.int32))
        self._constant(f"{stem}.unit", np.array(unit, np.float32))
        node.input[2] = stem
        self._insert(
            helper.make_node("DequantizeLinear", [f"{stem}.codes", f"{stem}.unit"], [stem], f"{stem}.dequantize")
        )
        for entry in [p for p in node.metadata_props if p.key == "intsim.bias"]:
            node.metadata_props.remove(entry)

    def remove_unused(self) -> None:
        """Drop what nothing reads any more, and sort nothing: the new nodes stand first."""
        graph = self.model.graph
        while True:
            read = {i for node in graph.node for i in node.input} | {o.name for o in graph.output}
            dead = [node for node in graph.node if not any(o in read for o in node.output)]
            if not dead:
                break
            for node in dead:
                graph.node.remove(node)
        for tensor in [t for t in graph.initializer if t.name not in read]:
            graph.initializer.remove(tensor)

    def _reals(self, maker: onnx.NodeProto) -> Array:
        codes, scale = self.constants[maker.input[0]], self.constants[maker.input[1]]
        zero = self.constants[maker.input[2]] if len(maker.input) > 2 else np.zeros((), codes.dtype)
        axis = next((a.i for a in maker.attribute if a.name == "axis"), 1)
        shape = [-1 if i == axis % codes.ndim else 1 for i in range(codes.ndim)] if scale.size > 1 else ()
        centred = codes.astype(np.int64) - zero.astype(np.int64).reshape(shape if zero.size > 1 else ())
        return centred.astype(np.float32) * scale.reshape(shape)

    def _constant(self, name: str, value: Array) -> None:
        self.constants[name] = value
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))

    def _insert(self, node: onnx.NodeProto) -> None:
        self.makers[node.output[0]] = node
        self.model.graph.node.insert(0, node)
