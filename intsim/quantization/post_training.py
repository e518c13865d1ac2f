"""Post-training quantization: a float ONNX network and calibration data become integers with shared exponents.

Source: the DiffQuant paper (integer-shared-exponent type, truncation points, bias alignment), without training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from intsim.errors import UnusableInput
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.islands.environment import standard_floats
from intsim.ops import MACS
from intsim.quantization.bias import Bias, quantize_bias
from intsim.quantization.calibrate import Calibration, Measured, Progress, Shares, count_shares
from intsim.quantization.candidates import Candidate, Trial, try_tensor
from intsim.quantization.dense import normalize_dense
from intsim.quantization.exponents import check_exponent
from intsim.quantization.float_graph import FloatGraph
from intsim.quantization.fold_batchnorm import fold_batchnorm
from intsim.quantization.fold_bias import fold_bias
from intsim.quantization.fold_pad import fold_pad
from intsim.quantization.global_means import pool_global_means
from intsim.quantization.placement import OPERANDS, CodedTensor, find_places
from intsim.quantization.prepare import OLDEST_OPSET, prepare
from intsim.quantization.qdq import Assignment, write_qdq
from intsim.quantization.shapes import infer_shapes
from intsim.quantization.truncation_points import exact_momentum, moving_average, nearest

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class BiasRow:
    """The bias of a layer: exponent chosen and wished for, and its errors in units of the accumulator.

    error: largest distance to the float bias. limit_error: largest change by the limit e_t <= e_b <= e_t + L.
    """

    exponent: int
    reference: int
    error: float
    limit_error: float


@dataclass(frozen=True)
class TensorReport:
    """One tensor of the quantized model.

    tensor: its name in the float model. kind: input, activation, weight (of a layer) or constant (another operand).
    node, op: what makes it, or reads it if it is constant. exponent: the one chosen. kept_from: the tensor whose
    exponent it keeps. reference, candidates: of all its numbers, calibration data or constant. average: the moving
    average that was rounded, of the truncation point for a layer (then otp is the result), else of the exponent.
    saturated, zero: shares of the numbers whose code is clipped, or zero; of an activation on the calibration data,
    after the Relu or Clip that follows it alone (`measured` names the tensor).
    """

    tensor: str
    kind: str
    node: str
    op: str
    bits: int
    exponent: int
    measured: str = ""
    kept_from: str = ""
    reference: int | None = None
    candidates: tuple[Candidate, ...] = ()
    average: float | None = None
    otp: int | None = None
    saturated: float | None = None
    zero: float | None = None
    bias: BiasRow | None = None

    def to_dict(self) -> dict[str, Any]:
        """A dict for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class QuantizationResult:
    """The quantized model (ONNX, QDQ), and one TensorReport for each of its tensors in topological order."""

    model: onnx.ModelProto
    rows: tuple[TensorReport, ...]


@standard_floats()
def quantize_model(
    float_model: str | Path | bytes | onnx.ModelProto,
    calibration: Array,
    *,
    bits: int = 8,
    momentum: float = 0.1,
    batch: int = 32,
    headroom: int = 16,
    threads: int | None = None,
    progress: Progress | None = None,
    metadata: Mapping[str, str] | None = None,
) -> QuantizationResult:
    """A float CNN quantized to signed codes of `bits` bits, one power-of-two exponent a tensor.

    Weights and constants take the candidate exponent with the least squared error. A layer's output exponent is
    e_t + OTP, e_t = e_x + e_w, OTP the moving average over the batches of the best e_out - e_t, rounded to nearest,
    ties to +inf. Inputs, adds, concats, average pools and functions take the moving average of their best exponent.
    A bias has an exponent of its own in [e_t, e_t + headroom]. Batch normalisation is folded first.

    float_model: path, bytes or parsed. calibration: floating [N, …]; it may be a memory map. bits: 2, 4, 8 or 16, of
    weights, activations and bias. momentum: of the newest batch. threads: onnxruntime's; progress: see calibrate.
    metadata: entries for the quantized model's file, besides those of the float one.
    Errors: UnsupportedOp names a node that cannot be quantized; UnusableInput for a model, data or options of no
    use; MissingDependency without onnxruntime; OutOfDomain where the float model's numbers are not finite.
    """
    _check_options(bits, headroom)
    exact = exact_momentum(momentum)
    graph = prepare(float_model, bits)
    fold(graph)
    places = find_places(graph)
    calibrated = Calibration(graph, calibration, batch, threads, progress)
    constants = {name: try_tensor(graph.constants[name], bits) for name in coded_constants(graph)}
    own = {place.tensor: place.measured for place in places.values() if place.rule != "kept"}
    measured = calibrated.measure(tuple(own.values()), bits)
    exponents, averages = choose_exponents(places, constants, measured, exact)
    shares = calibrated.shares({own[name]: exponents[name] for name in own}, bits)
    biases = _biases(graph, exponents, bits, headroom)
    assignment = Assignment(dict.fromkeys(exponents, bits), places, exponents, biases)
    rows = _Rows(graph, assignment, constants, measured, averages, shares).all()
    return QuantizationResult(write_qdq(graph, assignment, {**(metadata or {}), "intsim.target": "diffquant"}), rows)


def fold(graph: FloatGraph) -> None:
    """Bring the network into the form that is quantized: pads, biases and batch normalisation in the layers."""
    normalize_dense(graph)
    pool_global_means(graph)
    fold_pad(graph)
    fold_bias(graph)
    fold_batchnorm(graph)
    fold_bias(graph)
    graph.remove_unused()
    graph.shapes = infer_shapes(graph)


def coded_constants(graph: FloatGraph) -> tuple[str, ...]:
    """The constants that get codes: weights, and other operands of arithmetic; not biases or parameters."""
    found = {}
    for node in graph.nodes:
        if node.op in OPERANDS:
            operands = node.inputs[:2] if node.op in MACS else node.inputs
            found.update(dict.fromkeys(name for name in operands if name in graph.constants))
    return tuple(found)


def choose_exponents(
    places: Mapping[str, CodedTensor],
    constants: Mapping[str, Trial],
    measured: Mapping[str, Measured],
    momentum: Fraction,
) -> tuple[dict[str, int], dict[str, Fraction]]:
    """The exponent of every coded tensor and constant, and the moving averages that they come from, by tensor.

    measured: by the tensor that a place measures. Errors: OutOfDomain where a scale is no normal float32.
    """
    exponents = {name: trial.best() for name, trial in constants.items()}
    averages: dict[str, Fraction] = {}
    batches: dict[str, tuple[int, ...]] = {}
    for name, place in places.items():
        if place.rule == "kept":
            exponents[name], batches[name] = exponents[place.source], batches[place.source]
            continue
        batches[name] = measured[place.measured].batches
        operands = place.node.inputs[:2] if place.rule == "mac" and place.node is not None else ()
        # e_t of each batch: a constant operand has the same exponent in all of them.
        products = [
            sum(batches[o][i] if o in batches else exponents[o] for o in operands) for i in range(len(batches[name]))
        ]
        deltas = [e - e_t for e, e_t in zip(batches[name], products, strict=True)]
        averages[name] = moving_average(deltas, momentum)
        exponents[name] = nearest(averages[name]) + sum(exponents[o] for o in operands)
    for name, exponent in exponents.items():
        check_exponent(exponent, name)
    return exponents, averages


def _biases(graph: FloatGraph, exponents: Mapping[str, int], bits: int, headroom: int) -> dict[str, Bias]:
    """The Bias of each layer that has one, by the layer's name."""
    biases = {}
    for node in graph.nodes:
        if node.op in MACS and len(node.inputs) > 2 and node.inputs[2]:
            e_t = check_exponent(sum(exponents[name] for name in node.inputs[:2]), f"accumulator of {node.name}")
            biases[node.name] = quantize_bias(graph.constants[node.inputs[2]], e_t, bits, headroom)
    return biases


def _check_options(bits: int, headroom: int) -> None:
    if bits not in OLDEST_OPSET:
        raise UnusableInput(f"bits must be one of {', '.join(map(str, OLDEST_OPSET))}, not {bits!r}")
    if headroom < 0 or bits + headroom > 32:
        raise UnusableInput(
            f"headroom must be 0 to {32 - bits} with {bits} bits (an aligned bias is an int32), not {headroom!r}"
        )


@dataclass(frozen=True)
class _Rows:
    """Writes the table: the network's tensors in topological order."""

    graph: FloatGraph
    assignment: Assignment
    constants: Mapping[str, Trial]
    measured: Mapping[str, Measured]
    averages: Mapping[str, Fraction]
    shares: Mapping[str, Shares]

    def all(self) -> tuple[TensorReport, ...]:
        rows = [self._activation(self.assignment.places[self.graph.input])]
        done: set[str] = set()
        for node in self.graph.nodes:
            for name in node.inputs:
                if name in self.constants and name not in done:
                    done.add(name)
                    rows.append(self._constant(name, node))
            rows += [self._activation(self.assignment.places[o]) for o in node.outputs if o in self.assignment.places]
        return tuple(rows)

    def _constant(self, name: str, reader: OnnxNode) -> TensorReport:
        bits, exponent, trial = self.assignment.bits[name], self.assignment.exponents[name], self.constants[name]
        total, saturated, zero = count_shares(self.graph.constants[name], exponent, bits).tolist()
        return TensorReport(
            name,
            "weight" if reader.op in MACS else "constant",
            reader.name,
            reader.op,
            bits,
            exponent,
            measured=name,
            reference=trial.reference,
            candidates=trial.candidates(),
            saturated=saturated / total,
            zero=zero / total,
        )

    def _activation(self, place: CodedTensor) -> TensorReport:
        node, op = (place.node.name, place.node.op) if place.node is not None else ("", "")
        kind = "input" if place.node is None else "activation"
        bits, exponent = self.assignment.bits[place.tensor], self.assignment.exponents[place.tensor]
        row = TensorReport(place.tensor, kind, node, op, bits, exponent)
        if place.rule == "kept":
            return replace(row, kept_from=place.source)
        known, shares = self.measured[place.measured], self.shares[place.measured]
        average, bias = self.averages[place.tensor], self.assignment.biases.get(node)
        return replace(
            row,
            measured=place.measured,
            reference=known.reference,
            candidates=known.candidates,
            average=float(average),
            otp=nearest(average) if place.rule == "mac" else None,
            saturated=shares.saturated,
            zero=shares.zero,
            bias=None if bias is None else BiasRow(bias.exponent, bias.reference, bias.error, bias.limit_error),
        )
