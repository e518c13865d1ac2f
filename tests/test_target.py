from __future__ import annotations

import os
import tomllib
from dataclasses import fields
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


def test_the_named_targets() -> None:
    assert sorted(TARGETS) == sorted(NAMED)
    assert all(find_target(name) is TARGETS[name] and TARGETS[name].name == name for name in NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_a_target_comes_back_from_toml(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    other = Target.from_dict({**target.to_dict(), "overrides": [{"node": "conv*", "rounding": "floor"}]})
    for t in (target, other):
        path = tmp_path / "t.toml"
        path.write_text(t.to_toml(), encoding="utf-8")
        assert tomllib.loads(path.read_text())["target_version"] == 1
        assert find_target(path) == t
    assert other.at("conv1").rounding == "floor" and other.at("fc").rounding == target.rounding


def test_a_target_with_everything_comes_back_from_toml(tmp_path: Path) -> None:
    everything = Target.from_dict(
        {
            "name": 'Größe "14"\\',
            "accumulator_bits": 14,
            "overflow": "saturate",
            "mac_order": ["row", "column", "channel"],
            "lanes": 4,
            "tree_bits": 16,
            "channels_per_pass": 8,
            "spill_bits": 12,
            "spill_shift": 2,
            "bias_bits": 16,
            "zero_points": False,
            "activation": "before",
            "overrides": [
                {"node": "conv[12]", "rounding": "half_even", "accumulator_bits": 16},
                {"node": "*.fc", "mac_order": ["column", "row", "channel"]},
            ],
        }
    )
    path = tmp_path / "t.toml"
    path.write_text(everything.to_toml(), encoding="utf-8")
    assert find_target(path) == everything
    assert everything.at("conv2").accumulator_bits == 16 and everything.at("conv3").accumulator_bits == 14
    assert everything.at("a.fc").mac_order == ("column", "row", "channel")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "difquant"', "base must be one of diffquant, onnxruntime, .*, not 'difquant'"),
        ("base = 3", "base must be one of .*, not 3"),
        ('accumulator_bits = "20"', "accumulator_bits must be an integer, not '20'"),
        ("accumulator_bits = true", "accumulator_bits must be an integer, not True"),
        ("headroom = 1.5", "headroom must be an integer, not 1.5"),
        ("zero_points = 1", "zero_points must be true or false, not 1"),
        ("rounding = 1", "rounding must be a string, not 1"),
        ('overrides = [{ node = "conv[0-9]", accumulator_bits = 200 }]', "accumulator_bits must be 8 to 64, not 200"),
        ('overrides = [{ rounding = "floor" }]', "each override needs `node`"),
        ("overrides = 7", "each override needs `node`"),
        ('overrides = ["conv"]', "each override needs `node`"),
        ("target_version = 2", "target_version must be 1, not 2"),
        ("widht = 8", "unknown key 'widht'; one of accumulator_bits"),
    ],
)
def test_what_a_file_cannot_say(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text)
    with pytest.raises(UnusableInput, match=message):
        find_target(path)


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


STRANGE = (
    *("-1", "0", "true", "1.5", "1e999", "-inf", "nan", "0x" + "f" * 5000, "9" * 500, "07:32:00", "1979-05-27", "''"),
    *(
        '"' + "y" * 5000 + '"',
        "'\\x1b[31m'",
        "[]",
        "{}",
        "[[]]",
        "{a = 1}",
        "[" * 900 + "]" * 900,
        "[" * 3000 + "]" * 3000,
    ),
    *("{a = " * 900 + "1" + "}" * 900, "['row', 'row', 'row']", "[1, 'a']", "[{}]", "[{node = 1}]"),
)
"""Values of other kinds, sizes and depths than a field expects, in TOML."""


@pytest.mark.parametrize("key", [f.name for f in fields(Target)] + ["base", "target_version", "node", "unknown"])
def test_every_field_with_values_of_other_kinds_and_depths(key: str, tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    refused = 0
    for value in STRANGE:
        for text in (f"{key} = {value}", f"[[overrides]]\nnode = 'a'\n{key} = {value}", f"{key}.{key} = {value}"):
            path.write_text(text)
            try:
                found = find_target(path)
            except UnusableInput as error:
                refused += 1
                assert str(error).isprintable() and len(str(error)) < 1000
            else:
                path.write_text(found.to_toml())
                assert find_target(path) == found
    assert refused > len(STRANGE)


def test_a_pipe_a_folder_and_a_huge_file_are_no_target(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "folder.toml").mkdir()
    with (tmp_path / "huge.toml").open("wb") as file:
        file.truncate(1 << 40)
    for name, message in (("pipe", "a pipe"), ("folder", "a folder"), ("huge", "has 1099511627776 bytes or more")):
        with pytest.raises(UnusableInput, match=f"^target file .*{name}.toml: .*{message}"):
            find_target(tmp_path / f"{name}.toml")
