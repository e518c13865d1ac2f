"""How a sum becomes a code on each target: requantizer name -> spec function and its parameters from float scales."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain, UnsupportedOp
from intsim.formats import Format
from intsim.graph import Graph, Node
from intsim.lowering.builder import output_parameters
from intsim.lowering.clamps import Clamp
from intsim.lowering.families import FAMILIES
from intsim.lowering.multipliers import nemo, tflite, tosa, xnnpack
from intsim.lowering.multipliers.normalized import normalized
from intsim.target import Target

Array = np.ndarray[Any, Any]

BIAS_SCALE_TOLERANCE = 0.01
SpecCall = tuple[str, dict[str, Any]]
"""The spec function of a layer, and its parameters but for the channel axis."""


@dataclass(frozen=True)
class Scaling:
    """What relates a sum to its output: the scales of its factors, float32[1] or [channels] each, and y of the output.

    sum scale = x * w, or x alone where w is None; real multiplier = x * w / y. fully_connected: of Gemm or MatMul.
    """

    x: Array
    w: Array | None
    y: Array
    fully_connected: bool = False

    def products(self) -> Array:
        """x * w, float64[channels], exact."""
        x = self.x.astype(np.float64)
        return x if self.w is None else x * self.w.astype(np.float64)

    def real(self) -> Array:
        """x * w / y in float64, left to right."""
        return self.products() / self.y.astype(np.float64)

    def single(self) -> Array:
        """float32(float32(x * w) / y), float32[channels]."""
        x = self.x.astype(np.float32)
        return np.asarray((x if self.w is None else x * self.w.astype(np.float32)) / self.y.astype(np.float32))


def requantization(name: str, scaling: Scaling, y: Format, bits: int, target: Target) -> SpecCall:
    """The spec function that turns a sum of `bits` bits into codes of y, and its parameters.

    Errors: OutOfDomain where the target cannot express the scales.
    """
    return REQUANTIZERS[name](scaling, y, bits, target)


def multiplied(scaling: Scaling, y: Format, target: Target) -> SpecCall:
    """The same for an int32 that is no accumulator: the target's requantizer of convolutions."""
    return requantization(target.requantizer, scaling, y, 32, target)


def _pairs(pairs: list[tuple[int, int]]) -> dict[str, Any]:
    multipliers, shifts = zip(*pairs, strict=True)
    return {"multiplier": _compact(multipliers), "shift": _compact(shifts)}


def _compact(values: Any) -> Any:
    """A scalar where there is one value, else an array: integers, or floats of the dtype that they have."""
    array = np.asarray(values)
    if array.size > 1:
        return array
    return int(array.flat[0]) if array.dtype.kind in "iu" else array.flat[0]


def _tflite(scaling: Scaling, y: Format, bits: int, target: Target) -> SpecCall:
    """Sums of 8-bit operands by the doubling multiply, wider ones (16x8) by TFLite's int64 function."""
    pairs = [tflite.quantize_multiplier(float(m)) for m in scaling.real()]
    return "requantize_tflite_int64" if bits > 32 else "requantize_tflite", {**_pairs(pairs), **output_parameters(y)}


def _tflite_single(scaling: Scaling, y: Format, bits: int, target: Target) -> SpecCall:
    pairs = [tflite.quantize_multiplier(float(m), single_rounding=True) for m in _tflite_real(scaling)]
    op = "requantize_tflite_int64" if bits > 32 else "requantize_tflite_single"
    return op, {**_pairs(pairs), **output_parameters(y)}


def _tflite_real(scaling: Scaling) -> Array:
    """tflite-micro's order of operations: of a fully connected layer, the product is rounded to float32 first."""
    if scaling.fully_connected and scaling.w is not None:
        products = (scaling.x.astype(np.float32) * scaling.w.astype(np.float32)).astype(np.float64)
        return np.asarray(products / scaling.y.astype(np.float64))
    return scaling.real()


def _tflite_float64(scaling: Scaling, y: Format, bits: int, target: Target) -> SpecCall:
    if bits > 32:
        return _tflite(scaling, y, bits, target)
    return "requantize_tflite_float64", {"multiplier": _compact(scaling.real()), **output_parameters(y)}


def _cmsis_nn(scaling: Scaling, y: Format, bits: int, target: Target) -> SpecCall:
    pairs = [tflite.quantize_multiplier(float(m)) for m in _tflite_real(scaling)]
    return "requantize_tflite_int64" if bits > 32 else "requantize_cmsis_nn", {**_pairs(pairs), **output_parameters(y)}


def _cmsis_nn_single(scaling: Scaling, y: Format, bits: int, target: Target) -> SpecCall:
    pairs = [tflite.quantize_multiplier(float(m), single_rounding=True) for m in _tflite_real(scaling)]
    op = "requantize_tflite_int64" if bits > 32 else "requantize_cmsis_nn_single"
    return op, {**_pairs(pairs), **output_parameters(y)}


def _tosa(double_rounding: bool) -> Callable[[Scaling, Format, int, Target], SpecCall]:
    def rescale(scaling: Scaling, y: Format, bits: int, target: Target) -> SpecCall:
        """RESCALE; sums of more than 32 bits take 16-bit multipliers, and then no double rounding."""
        width = 16 if bits > 32 else target.multiplier_bits
        pairs = [tosa.multiplier_and_shift(float(m), width) for m in scaling.real()]
        flags: dict[str, Any] = {
            "double_rounding": double_rounding and width == 32,
            "multiplier_bits": width,
            "input_zero_point": 0,
        }
        return "requantize_tosa", {**_pairs(pairs), **flags, **output_parameters(y)}

    return rescale


def _xnnpack(op: str) -> Callable[[Scaling, Format, int, Target], SpecCall]:
    def requantize(scaling: Scaling, y: Format, bits: int, target: Target) -> SpecCall:
        for multiplier in scaling.single():
            xnnpack.multiplier_and_shift(multiplier)
        return op, {"multiplier": _compact(scaling.single()), **output_parameters(y)}

    return requantize


def _onnx_reference(scaling: Scaling, y: Format, bits: int, target: Target) -> SpecCall:
    return "requantize_onnx_reference", {"multiplier": _compact(scaling.single()), **output_parameters(y)}


def _gemmini(scaling: Scaling, y: Format, bits: int, target: Target) -> SpecCall:
    parameters = {k: v for k, v in output_parameters(y).items() if k != "zero_point"}
    return "requantize_gemmini", {"multiplier": _compact(scaling.single()), **parameters}


def _nvdla(scaling: Scaling, y: Format, bits: int, target: Target) -> SpecCall:
    """A 16-bit multiplier m with 2**14 <= m < 2**15, half_away of x * w / y: the project's choice."""
    pairs = []
    for real in scaling.real():
        m, exponent = normalized(float(real), 15)
        if not 0 <= 15 - exponent <= 63:
            raise OutOfDomain(f"the multiplier {float(real)!r} needs a shift within 0 to 63, not {15 - exponent}")
        pairs.append((m, 15 - exponent))
    parameters = {k: v for k, v in output_parameters(y).items() if k != "zero_point"}
    return "requantize_nvdla", {**_pairs(pairs), **parameters}


def _pulp(scaling: Scaling, y: Format, bits: int, target: Target) -> SpecCall:
    """NEMO's multiplier and shift of each channel; the back ends take both from the model."""
    longest = 32 - y.bits
    pairs = [nemo.multiplier_and_shift(float(s), float(scaling.y[0]), longest=longest) for s in scaling.products()]
    return "requantize_pulp", {**_pairs(pairs), "rounding": target.rounding, **output_parameters(y)}


REQUANTIZERS: Mapping[str, Callable[[Scaling, Format, int, Target], SpecCall]] = {
    "onnx_reference": _onnx_reference,
    "tflite": _tflite,
    "tflite_single": _tflite_single,
    "tflite_float64": _tflite_float64,
    "cmsis_nn": _cmsis_nn,
    "cmsis_nn_single": _cmsis_nn_single,
    "tosa": _tosa(True),
    "tosa_single": _tosa(False),
    "xnnpack_fp32": _xnnpack("requantize_xnnpack_fp32"),
    "xnnpack_rndnu": _xnnpack("requantize_xnnpack_rndnu"),
    "nvdla": _nvdla,
    "gemmini": _gemmini,
    "pulp": _pulp,
}
"""The requantizers that multiply. Those that only shift are in lowering/shift.py, `float32` in onnxruntime.py."""

DERIVATIONS: Mapping[str, str] = {
    "shift": "no multiplier; shift = e_y - (e_x + e_w), the truncation point OTP.",
    "float32": "multiplier = ((alpha * x_scale) * w_scale) / y_scale, each step rounded to float32; no shift.",
    "onnx_reference": "multiplier = float32(float32(x_scale * w_scale) / y_scale); no shift.",
    "tflite": "x_scale * w_scale / y_scale in float64, left to right; its frexp fraction, half_away on 31 bits, is the "
    "multiplier, its exponent the shift.",
    "tflite_single": "as tflite, and of fully connected layers x_scale * w_scale is rounded to float32 first; a shift "
    "above 30 gives (2**31 - 1, 30).",
    "tflite_float64": "multiplier = x_scale * w_scale / y_scale in float64, left to right; no shift.",
    "cmsis_nn": "as tflite, and of fully connected layers x_scale * w_scale is rounded to float32 first.",
    "cmsis_nn_single": "as tflite_single.",
    "tosa": "x_scale * w_scale / y_scale in float64; its frexp fraction, half_away on multiplier_bits - 1 bits, is the "
    "multiplier (MLIR's computeMultiplierAndShift); a shift above 62 becomes 62. Sums of more than 32 bits have 16-bit "
    "multipliers and single rounding.",
    "tosa_single": "as tosa.",
    "xnnpack_fp32": "multiplier = float32(float32(x_scale * w_scale) / y_scale); no shift.",
    "xnnpack_rndnu": "float32(float32(x_scale * w_scale) / y_scale) = multiplier / 2**shift, exactly, with 24 bits.",
    "nvdla": "half_away of x_scale * w_scale / y_scale on 15 bits, so that 2**14 <= multiplier < 2**15 (project's "
    "choice).",
    "gemmini": "multiplier = float32(float32(x_scale * w_scale) / y_scale); no shift.",
    "pulp": "shift = ceil(log2(32 * y_scale / (x_scale * w_scale))), at most 32 bits less the output's; multiplier = "
    "half_even(2**shift * x_scale * w_scale / y_scale) (NEMO's).",
    "max7800x": "no multiplier; output_shift = 7 - (e_y - (e_x + e_w)).",
    "nngen": "scale 1 and sum_shift 0; out_shift = e_y - (e_x + e_w); signed outputs are narrow.",
}
"""Requantizer -> how scales become its multiplier and shift."""

FLOATS: Mapping[str, str] = {
    "float32": "the requantizer: float32(acc) and its product",
    "onnx_reference": "the requantizer: the product and the sum with the zero point, in float64",
    "tflite_float64": "the requantizer of fully connected layers: one product in float64",
    "xnnpack_fp32": "the requantizer: float32(acc) and its product; means of whole axes",
    "xnnpack_rndnu": "means of whole axes; the requantizer only takes a float32 apart",
    "gemmini": "the requantizer: float32(acc) and its product",
}
"""Requantizer -> what it and its family compute in float; not here: nothing."""

WIDE = {name: "requantize_tflite_int64" for name, f in FAMILIES.items() if f == "tflite"}
"""Requantizer -> the spec function of sums of more than 32 bits, where it is another one."""


def check_formats(graph: Graph, node: Node, clamp: Clamp, target: Target) -> None:
    """Raise UnsupportedOp for the first tensor of the node that the target has no codes for."""
    for name in (*node.inputs, *node.outputs, clamp.output):
        format = graph.format(name) if name else None
        if format is None:
            continue
        if target.signed_only and not format.signed:
            raise UnsupportedOp(
                f"node {node.name!r} ({node.op}): tensor {name!r} is unsigned, and target {target.name!r} has signed "
                f"codes only; quantize it to signed codes (in ONNX Runtime: activation_type=QInt8)"
            )
        if not target.zero_points and any(format.zero_point):
            zero = next(z for z in format.zero_point if z)
            raise UnsupportedOp(
                f"node {node.name!r} ({node.op}): tensor {name!r} has the zero point {zero}, and target "
                f"{target.name!r} has none; quantize it symmetrically"
            )


def is_shifted_bias(node: Node, name: str, bias: Format | None, unit: Format, target: Target) -> bool:
    """Whether a bias has another scale than the sum, both powers of two, so that a left shift aligns it exactly.

    Errors: UnsupportedOp for another scale, by more than one in a hundred, that is none.
    """
    if bias is None or (np.abs(bias.scales - unit.scales) <= BIAS_SCALE_TOLERANCE * unit.scales).all():
        return False
    if bias.exponents is None or unit.exponents is None:
        raise UnsupportedOp(
            f"node {node.name!r} ({node.op}): bias {name!r} has the scale {bias.scale[0]!r}, and target "
            f"{target.name!r} adds its codes to the sum as they are; it must be x_scale * w_scale"
        )
    return True
