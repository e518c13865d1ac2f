"""Target: what the hardware does with the accumulators, the scales and the ties."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from intsim.accumulator import Accumulator
from intsim.errors import UnusableInput
from intsim.formats import OVERFLOWS, ROUNDINGS

REQUANTIZERS = ("shift", "float32")
"""How an accumulator becomes an output code: `shift` (round and truncate), `float32` (ONNX Runtime's)."""


@dataclass(frozen=True)
class Target(Accumulator):
    """The arithmetic of one machine; each field is a fact about it. Those of the accumulator: intsim/accumulator.py.

    requantizer: one of REQUANTIZERS. rounding: the tie rule of every requantization and of reals entering.
    accumulator_bits: the accumulator's width A; None means N_x + N_w + headroom bits.
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
    overrides: tuple[tuple[str, str, Any], ...] = ()

    def __post_init__(self) -> None:
        for value, known, what in (
            (self.requantizer, REQUANTIZERS, "requantizer"),
            (self.rounding, ROUNDINGS, "rounding"),
            (self.overflow, OVERFLOWS, "overflow"),
        ):
            if value not in known:
                raise UnusableInput(f"target {self.name!r}: {what} must be one of {', '.join(known)}, not {value!r}")
        if self.accumulator_bits is not None and not 8 <= self.accumulator_bits <= 64:
            raise UnusableInput(
                f"target {self.name!r}: accumulator_bits must be 8 to 64, not {self.accumulator_bits!r}"
            )
        if not 0 <= self.headroom <= 48:
            raise UnusableInput(f"target {self.name!r}: headroom must be 0 to 48, not {self.headroom!r}")
        self.check_accumulator(self.name, self.requantizer, self.rounding)
        changeable = {f.name for f in fields(self)} - {"name", "overrides"}
        for _, key, _ in self.overrides:
            if key not in changeable:
                raise UnusableInput(
                    f"target {self.name!r}: cannot override {key!r}; one of {', '.join(sorted(changeable))}"
                )

    def at(self, node: str) -> Target:
        """This target as it applies to the node of that name, its overrides carried out."""
        changes = {key: value for pattern, key, value in self.overrides if fnmatchcase(node, pattern)}
        return replace(self, overrides=(), **changes) if changes else self

    def accumulator(self, x_bits: int, w_bits: int) -> int:
        """The accumulator's width A in bits for operands of these widths."""
        return self.accumulator_bits or min(64, x_bits + w_bits + self.headroom)

    def to_dict(self) -> dict[str, Any]:
        """A dict for JSON and TOML, with a version; `from_dict` reads it back."""
        data = {k: v for k, v in asdict(self).items() if v is not None and k != "overrides"}
        data["overrides"] = [{"node": p, k: v} for p, k, v in self.overrides]
        return {"target_version": 1, **data}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "target") -> Target:
        """The Target that a dict describes; unknown keys are errors. `base` names the target it starts from."""
        entries = dict(data)
        version = entries.pop("target_version", 1)
        if version != 1:
            raise UnusableInput(f"{where}: target_version must be 1, not {version!r}")
        base = TARGETS.get(entries.pop("base", ""), Target("custom"))
        overrides = []
        for entry in entries.pop("overrides", []):
            pattern = entry.get("node")
            if not isinstance(pattern, str):
                raise UnusableInput(f"{where}: each override needs `node`, a name or pattern")
            overrides += [(pattern, k, v) for k, v in entry.items() if k != "node"]
        known = {f.name for f in fields(cls)} - {"overrides"}
        unknown = sorted(set(entries) - known)
        if unknown:
            raise UnusableInput(f"{where}: unknown key {unknown[0]!r}; one of {', '.join(sorted(known))}")
        try:
            return replace(base, overrides=tuple(overrides), **entries)
        except TypeError as error:
            raise UnusableInput(f"{where}: {error}") from error


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
    )
}
"""The named targets. `diffquant`: round and truncate (ties to +inf), accumulator widened by 16 bits. `onnxruntime`:
ONNX Runtime 1.31's integer kernels on x86-64 with VNNI: int32 accumulators that wrap, float32 requantizer."""


def find_target(name: str | Path | Target) -> Target:
    """The Target that is named, or described by a TOML file."""
    if isinstance(name, Target):
        return name
    if str(name) in TARGETS:
        return TARGETS[str(name)]
    path = Path(name)
    if path.suffix != ".toml":
        raise UnusableInput(
            f"unknown target {str(name)!r}: one of auto, {', '.join(TARGETS)}, or the path of a .toml file"
        )
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UnusableInput(f"target file {path}: {error}") from error
    return Target.from_dict({"name": path.stem, **data}, where=f"target file {path}")
