"""Target: what the hardware does with the accumulators, the scales and the ties."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from intsim.accumulator import Accumulator
from intsim.errors import UnknownName, UnusableInput, shown
from intsim.files import read_toml
from intsim.formats import OVERFLOWS, ROUNDINGS

REQUANTIZERS = (
    "shift",
    "float32",
    "onnx_reference",
    "tflite",
    "tflite_single",
    "tflite_float64",
    "cmsis_nn",
    "cmsis_nn_single",
    "tosa",
    "tosa_single",
    "xnnpack_fp32",
    "xnnpack_rndnu",
    "nvdla",
    "gemmini",
    "pulp",
    "max7800x",
    "nngen",
)
"""How an accumulator becomes an output code: `shift` (round and truncate), `float32` (ONNX Runtime's), and the spec
functions requantize_<name>; `tosa` is RESCALE with double rounding, `tosa_single` with single rounding."""

SHIFTS_ONLY = frozenset({"shift", "max7800x", "nngen"})
"""The requantizers that shift and never multiply: every scale must be a power of two."""

ALIGNMENTS = ("left", "right")
"""How the operands of Add, Sub and Concat come to one exponent: the coarser one to the left, exactly, or the finer one
to the right, rounded."""

ACTIVATIONS = ("after", "before")
"""When LeakyRelu and PRelu right after a MAC layer act: on its output codes, or on its accumulator."""

MEANS = ("division", "multiplier", "shift")
"""How a mean is divided: exactly; by a multiplier and a shift that approximate the count; by a shift alone."""


KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "int | None": (int, type(None)),
    "bool": (bool,),
}
"""The annotation of a field -> the types that its value may have."""


@dataclass(frozen=True)
class Target(Accumulator):
    """The arithmetic of one machine; each field is a fact about it. Those of the accumulator: intsim/accumulator.py.

    requantizer: one of REQUANTIZERS; how scales become its multiplier and shift follows from it.
    fully_connected: the requantizer of Gemm and MatMul where it is another one.
    rounding: the tie rule of every requantization that has a choice, and of reals entering.
    table_rounding: the rounding rule of activation tables, None: the same.
    multiplier_bits: the width of the requantizer's multiplier where it has a choice, 16 or 32.
    signed_only: every tensor is signed. zero_points: whether a zero point may differ from 0.
    alignment: one of ALIGNMENTS. mean: one of MEANS. Both for machines that only shift.
    activation: one of ACTIVATIONS; slope_bits: the fraction bits of the slope that multiplies an accumulator below
    zero, where it is `before`. Relu and Clip give the same codes before and after, since rounding is monotonic.
    accumulator_bits: the accumulator's width A; None means N_x + N_w + headroom bits.
    wide_accumulator_bits: that width where an operand has more than 8 bits; None: the same.
    headroom: L, the widening of the accumulator and the limit of the bias's left shift.
    overflow: what the accumulator does with a sum that does not fit (one of OVERFLOWS).
    float_islands: whether chains that the machine runs in float32 are part of it (ONNX Runtime) or refused.
    overrides: (pattern, field, value) for the nodes whose name matches the pattern, the last match wins.
    """

    name: str
    requantizer: str = "shift"
    rounding: str = "half_up"
    accumulator_bits: int | None = None
    headroom: int = 16
    overflow: str = "wrap"
    float_islands: bool = False
    fully_connected: str | None = None
    table_rounding: str | None = None
    multiplier_bits: int = 32
    wide_accumulator_bits: int | None = None
    signed_only: bool = False
    zero_points: bool = True
    alignment: str = "left"
    mean: str = "division"
    activation: str = "after"
    slope_bits: int = 8
    overrides: tuple[tuple[str, str, Any], ...] = ()

    def __post_init__(self) -> None:
        where = f"target {shown(self.name)}"
        self._check_types(where)
        for value, known, what in (
            (self.requantizer, REQUANTIZERS, "requantizer"),
            (self.rounding, ROUNDINGS, "rounding"),
            (self.overflow, OVERFLOWS, "overflow"),
            (self.fully_connected or self.requantizer, REQUANTIZERS, "fully_connected"),
            (self.table_rounding or self.rounding, ROUNDINGS, "table_rounding"),
            (self.alignment, ALIGNMENTS, "alignment"),
            (self.mean, MEANS, "mean"),
            (self.activation, ACTIVATIONS, "activation"),
        ):
            if value not in known:
                raise UnusableInput(f"{where}: {what} must be one of {', '.join(known)}, not {shown(value)}")
        if self.accumulator_bits is not None and not 8 <= self.accumulator_bits <= 64:
            raise UnusableInput(f"{where}: accumulator_bits must be 8 to 64, not {shown(self.accumulator_bits)}")
        if self.wide_accumulator_bits is not None and not 8 <= self.wide_accumulator_bits <= 64:
            raise UnusableInput(
                f"{where}: wide_accumulator_bits must be 8 to 64, not {shown(self.wide_accumulator_bits)}"
            )
        if self.requantizer == "pulp" and self.rounding not in ("half_up", "floor"):
            raise UnusableInput(
                f"{where}: rounding must be half_up or floor with the requantizer pulp, not {shown(self.rounding)}"
            )
        if self.multiplier_bits not in (16, 32):
            raise UnusableInput(f"{where}: multiplier_bits must be 16 or 32, not {shown(self.multiplier_bits)}")
        if self.activation == "before" and (self.rounding_constant == "inside" or self.requantizer == "max7800x"):
            raise UnusableInput(
                f"{where}: activation must be after where the rounding constant or the bias (max7800x) "
                f"joins the sum after it, not 'before'"
            )
        if not 0 <= self.slope_bits <= 24:
            raise UnusableInput(f"{where}: slope_bits must be 0 to 24, not {shown(self.slope_bits)}")
        if not 0 <= self.headroom <= 48:
            raise UnusableInput(f"{where}: headroom must be 0 to 48, not {shown(self.headroom)}")
        self.check_accumulator(where, self.requantizer, self.rounding)
        changeable = {f.name for f in fields(self)} - {"name", "overrides"}
        for _, key, _ in self.overrides:
            if key not in changeable:
                raise UnusableInput(f"{where}: cannot override {shown(key)}; one of {', '.join(sorted(changeable))}")
        for pattern in {pattern for pattern, _, _ in self.overrides}:  # a wrong value is found before any node matches
            replace(self, overrides=(), **{key: value for p, key, value in self.overrides if p == pattern})

    def _check_types(self, where: str) -> None:
        """Raise UnusableInput for a field whose value is of another kind than its default; None stays possible."""
        for field in fields(self):
            value, known = getattr(self, field.name), KINDS.get(str(field.type))
            if known is not None and (type(value) not in known):
                kind = {str: "a string", int: "an integer", bool: "true or false"}[known[0]]
                raise UnusableInput(f"{where}: {field.name} must be {kind}, not {shown(value)}")

    def at(self, node: str) -> Target:
        """This target as it applies to the node of that name, its overrides carried out."""
        changes = {key: value for pattern, key, value in self.overrides if fnmatchcase(node, pattern)}
        return replace(self, overrides=(), **changes) if changes else self

    def accumulator(self, x_bits: int, w_bits: int) -> int:
        """The accumulator's width A in bits for operands of these widths."""
        if self.wide_accumulator_bits is not None and max(x_bits, w_bits) > 8:
            return self.wide_accumulator_bits
        return self.accumulator_bits or min(64, x_bits + w_bits + self.headroom)

    @property
    def shifts_only(self) -> bool:
        """Whether every scale must be a power of two."""
        return self.requantizer in SHIFTS_ONLY

    def to_dict(self) -> dict[str, Any]:
        """A dict for JSON and TOML, with a version; `from_dict` reads it back."""
        data = {k: v for k, v in asdict(self).items() if v is not None and k != "overrides"}
        data["overrides"] = [{"node": p, k: v} for p, k, v in self.overrides]
        return {"target_version": 1, **data}

    def changes(self) -> dict[str, Any]:
        """As `to_dict`, without the fields that have their default value; `from_dict` reads the whole target back."""
        usual = Target("").to_dict()
        return {k: v for k, v in self.to_dict().items() if k == "target_version" or k not in usual or v != usual[k]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "target") -> Target:
        """The Target that a dict describes; unknown keys are errors. `base` names the target it starts from."""
        entries = dict(data)
        version = entries.pop("target_version", 1)
        if version != 1 or isinstance(version, bool):
            raise UnusableInput(f"{where}: target_version must be 1, not {shown(version)}")
        start = entries.pop("base", None)
        if start is not None and not (isinstance(start, str) and start in TARGETS):
            raise UnusableInput(f"{where}: base must be one of {', '.join(TARGETS)}, not {shown(start)}")
        base = Target("custom") if start is None else TARGETS[start]
        overrides = []
        listed = entries.pop("overrides", [])
        for entry in listed if isinstance(listed, list) else [listed]:
            pattern = entry.get("node") if isinstance(entry, Mapping) else None
            if not isinstance(entry, Mapping) or not isinstance(pattern, str):
                raise UnusableInput(f"{where}: each override needs `node`, a name or pattern")
            overrides += [(pattern, k, v) for k, v in entry.items() if k != "node"]
        known = {f.name for f in fields(cls)} - {"overrides"}
        unknown = sorted(set(entries) - known, key=str)
        if unknown:
            raise UnusableInput(f"{where}: unknown key {shown(unknown[0])}; one of {', '.join(sorted(known))}")
        return replace(base, overrides=tuple(overrides), **entries)

    def to_toml(self) -> str:
        """The text of a TOML file from which `find_target` makes this target again."""
        data = self.to_dict()
        overrides = data.pop("overrides")
        lines = [f"{key} = {_toml(value)}" for key, value in data.items()]
        for entry in overrides:
            lines += ["", "[[overrides]]", *(f"{key} = {_toml(value)}" for key, value in entry.items())]
        return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A string, number, boolean or list of strings as TOML, which writes them as JSON does."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("diffquant"),
        Target(
            "onnxruntime",
            requantizer="float32",
            rounding="half_even",
            accumulator_bits=32,
            float_islands=True,
        ),
        Target(
            "onnxruntime-avx2",
            requantizer="float32",
            rounding="half_even",
            accumulator_bits=32,
            float_islands=True,
            mac_order=("row", "column", "channel"),
            lanes=2,
            tree_bits=16,
            tree_overflow="saturate",
            tree_layers="dense_unsigned_by_signed",
            zeros_subtracted="after",
        ),
        Target(
            "onnx-reference",
            requantizer="onnx_reference",
            rounding="half_even",
            accumulator_bits=32,
            float_islands=True,
        ),
        Target(
            "tflite",
            requantizer="tflite",
            fully_connected="tflite_float64",
            rounding="half_away",
            accumulator_bits=32,
            wide_accumulator_bits=64,
        ),
        Target(
            "tflite-single",
            requantizer="tflite_single",
            rounding="half_away",
            accumulator_bits=32,
            wide_accumulator_bits=64,
        ),
        Target(
            "cmsis-nn",
            requantizer="cmsis_nn",
            rounding="half_away",
            accumulator_bits=32,
            wide_accumulator_bits=64,
        ),
        Target(
            "tosa",
            requantizer="tosa",
            rounding="half_up",
            table_rounding="half_away",
            accumulator_bits=32,
            wide_accumulator_bits=48,
        ),
        Target(
            "tosa-single",
            requantizer="tosa_single",
            rounding="half_up",
            table_rounding="half_away",
            accumulator_bits=32,
            wide_accumulator_bits=48,
        ),
        Target("xnnpack", requantizer="xnnpack_fp32", rounding="half_even", accumulator_bits=32),
        Target(
            "nvdla",
            requantizer="nvdla",
            rounding="half_away",
            accumulator_bits=32,
            overflow="saturate",
            signed_only=True,
            zero_points=False,
        ),
        Target(
            "gemmini",
            requantizer="gemmini",
            rounding="half_even",
            accumulator_bits=32,
            signed_only=True,
            zero_points=False,
        ),
        Target(
            "vitis-dpu",
            accumulator_bits=32,
            signed_only=True,
            zero_points=False,
            mean="multiplier",
        ),
        Target(
            "max7800x",
            requantizer="max7800x",
            accumulator_bits=32,
            signed_only=True,
            zero_points=False,
        ),
        Target("pulp", requantizer="pulp", accumulator_bits=32),
        Target(
            "nngen",
            requantizer="nngen",
            rounding="half_away",
            accumulator_bits=32,
            signed_only=True,
            zero_points=False,
        ),
    )
}
"""The named targets. What each follows: TARGET_SOURCES; their requantizers' formulas: the spec functions."""

TARGET_SOURCES: Mapping[str, str] = {
    "diffquant": "The DiffQuant paper: round and truncate (ties to +inf), accumulator widened by 16 bits.",
    "onnxruntime": "ONNX Runtime 1.31's integer kernels on x86-64 with VNNI: int32 accumulators that wrap.",
    "onnxruntime-avx2": "ONNX Runtime 1.31 without VNNI, where VPMADDUBSW adds the products of two neighbours, "
    "unsigned activations by signed weights, to a sum saturated to 16 bits "
    "(onnxruntime/core/mlas/lib/qgemm_kernel_avx2.cpp and its assembly). "
    "Signed activations, unsigned weights and depthwise convolutions have kernels with exact products.",
    "onnx-reference": "onnx's ReferenceEvaluator: QLinearConv and QLinearMatMul in integers, all else in float.",
    "tflite": "LiteRT's reference kernels, double rounding; fully connected layers in float64.",
    "tflite-single": "tflite-micro built with TFLITE_SINGLE_ROUNDING.",
    "cmsis-nn": "CMSIS-NN's default build, double rounding.",
    "tosa": "arm/tosa-specification: RESCALE with double rounding.",
    "tosa-single": "arm/tosa-specification: RESCALE with single rounding.",
    "xnnpack": "google/XNNPACK's fp32 kernels.",
    "nvdla": "nvdla/hw: the output converter (SDP), 16-bit multipliers.",
    "gemmini": "ucb-bar/gemmini in its default configuration: fp32 scales.",
    "vitis-dpu": "Xilinx/Vitis-AI's quantizer: shifts only; means by a multiplier and a shift.",
    "max7800x": "analogdevicesinc/ai8x-synthesis' simulator of the MAX78000 and MAX78002: shifts only.",
    "pulp": "pulp-platform/Deeploy's RequantShift with the multipliers of pulp-platform/nemo.",
    "nngen": "NNgen/nngen: shifts only; its scale stays 1.",
}
"""Named target -> the public source that it follows. Those of the single functions stand in their docstrings."""


def find_target(name: str | Path | Target) -> Target:
    """The Target that is named, or described by a TOML file."""
    if isinstance(name, Target):
        return name
    if str(name) in TARGETS:
        return TARGETS[str(name)]
    if not isinstance(name, str | Path):
        raise UnusableInput(f"a target must be a name, the path of a .toml file or a Target, not {name!r}")
    path = Path(name)
    if path.suffix != ".toml":
        raise UnknownName(
            f"unknown target {shown(str(name))}: one of auto, {', '.join(TARGETS)}, or the path of a .toml file"
        )
    data = read_toml(path, "target file")
    return Target.from_dict({"name": path.stem, **data}, where=f"target file {path}")
