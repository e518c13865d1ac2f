from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from intsim.errors import UnusableInput
from intsim.target import ALIGNMENTS, MEANS, REQUANTIZERS, TARGETS, Target, find_target

NAMED = [
    "diffquant",
    "onnxruntime",
    "onnxruntime-avx2",
    "onnx-reference",
    "tflite",
    "tflite-single",
    "cmsis-nn",
    "tosa",
    "tosa-single",
    "xnnpack",
    "nvdla",
    "gemmini",
    "vitis-dpu",
    "max7800x",
    "pulp",
    "nngen",
]


def toml(data: dict[str, Any]) -> str:
    """A target's dict as TOML: its values are strings, numbers, booleans, lists of strings, and tables of overrides."""
    plain = "".join(f"{k} = {json.dumps(v)}\n" for k, v in data.items() if k != "overrides")
    tables = "".join(
        "[[overrides]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in entry.items()) for entry in data["overrides"]
    )
    return plain + tables


def test_the_named_targets() -> None:
    assert sorted(TARGETS) == sorted(NAMED)
    assert all(find_target(name) is TARGETS[name] and TARGETS[name].name == name for name in NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_a_target_comes_back_from_toml(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    other = Target.from_dict({**target.to_dict(), "overrides": [{"node": "conv*", "rounding": "floor"}]})
    for t in (target, other):
        path = tmp_path / "t.toml"
        path.write_text(toml(t.to_dict()))
        assert tomllib.loads(path.read_text())["target_version"] == 1
        assert find_target(path) == t
    assert other.at("conv1").rounding == "floor" and other.at("fc").rounding == target.rounding


def test_a_file_may_start_from_a_named_target(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "nvdla"\nrounding = "half_even"\n')
    mine = find_target(path)
    assert (mine.name, mine.requantizer, mine.rounding, mine.signed_only) == ("mine", "nvdla", "half_even", True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"requantizer": "magic"}, "requantizer must be one of shift, float32, onnx_reference"),
        ({"fully_connected": "magic"}, "fully_connected must be one of"),
        ({"table_rounding": "up"}, "table_rounding must be one of half_up"),
        ({"alignment": "middle"}, "alignment must be one of left, right"),
        ({"mean": "median"}, "mean must be one of division, multiplier, shift"),
        (
            {"requantizer": "pulp", "rounding": "half_even"},
            "rounding must be half_up or floor with the requantizer pulp",
        ),
        ({"multiplier_bits": 24}, "multiplier_bits must be 16 or 32, not 24"),
        ({"wide_accumulator_bits": 65}, "wide_accumulator_bits must be 8 to 64, not 65"),
        ({"accumulator_bits": 7}, "accumulator_bits must be 8 to 64, not 7"),
        ({"headroom": 49}, "headroom must be 0 to 48, not 49"),
    ],
)
def test_what_no_target_can_have(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UnusableInput, match=message):
        Target("x", **wrong)


def test_wide_operands_have_their_own_accumulator() -> None:
    assert [TARGETS["tosa"].accumulator(*bits) for bits in ((8, 8), (16, 8), (8, 16))] == [32, 48, 48]
    assert [TARGETS["nvdla"].accumulator(*bits) for bits in ((8, 8), (16, 8))] == [32, 32]
    assert TARGETS["diffquant"].accumulator(8, 8) == 32


def test_only_some_requantizers_need_powers_of_two() -> None:
    assert {name for name in NAMED if TARGETS[name].shifts_only} == {"diffquant", "vitis-dpu", "max7800x", "nngen"}
    assert all(target.requantizer in REQUANTIZERS for target in TARGETS.values())
    assert all(target.alignment in ALIGNMENTS and target.mean in MEANS for target in TARGETS.values())
