from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Files
from tests.kernels.packed.run import ISAS


def test_the_table_has_a_line_a_node(cli: Cli, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTSIM_ISA", "portable")
    done = cli("inspect", files.model)
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert lines[0] == "small.onnx, target diffquant (auto: every scale is a power of two)"
    assert lines[1].split() == ["tensor", "op", "format", "requantize", "bits", "kernel"]
    conv1 = next(line for line in lines if line.startswith("conv1_q"))
    assert " ".join(conv1.split()) == "conv1_q Conv i8 x 2**-5 OTP 9 half_up 18/32 conv, requantize, clip"
    assert "Relu on codes: conv1_q" in lines
    assert "15 nodes" in done.out and "float tail" not in done.out


@pytest.mark.parametrize("isa", ISAS)
def test_packed_kernels(cli: Cli, files: Files, monkeypatch: pytest.MonkeyPatch, isa: str) -> None:
    """A line below the table tells the instruction set, another what has no packed kernel, and why."""
    monkeypatch.setenv("INTSIM_ISA", isa)
    lines = cli("inspect", files.model).out.splitlines()
    conv1 = next(line for line in lines if line.startswith("conv1_q"))
    assert conv1.split()[-2:] == ["18/32", "conv_u8_u8__shift"]
    assert f"kernels: those of {isa}; the environment variable INTSIM_ISA chooses others." in lines
    assert "in portable loops (its output: it holds reals): logits" in lines
    document = cli("inspect", files.model, "--json").json
    layers = {layer["name"]: layer for layer in document["layers"]}
    assert document["isa"] == isa
    assert layers["conv1_q#accumulator"]["kernel"] == layers["conv1_q"]["kernel"] == f"conv_u8_u8__shift_{isa}"
    assert "tiles" in layers["conv1_q"]["reason"]
    assert layers["logits"]["reason"].endswith("portable loops: its output: it holds reals")


def test_plain_on_a_pipe(cli: Cli, files: Files) -> None:
    done = cli("inspect", files.model)
    assert "\x1b" not in done.out
    assert all(line == line.rstrip() for line in done.out.splitlines())


def test_the_json_document(cli: Cli, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTSIM_ISA", "portable")
    document = cli("inspect", files.model, "--json").json
    assert (document["schema_version"], document["isa"]) == (1, "portable")
    assert (document["model"], document["target"]) == ("small.onnx", "diffquant")
    assert document["arithmetic"]["rounding"] == "half_up"
    assert document["inputs"] == [
        {"name": "image", "shape": [None, 2, 8, 8], "codes": "image_q", "format": document["inputs"][0]["format"]}
    ]
    assert document["inputs"][0]["format"]["scale"] == [2.0**-5]
    assert document["outputs"][0]["codes"] == "fc_q"
    assert document["float_tail"] == []
    conv1 = next(layer for layer in document["layers"] if layer["name"] == "conv1_q#accumulator")
    assert (conv1["op"], conv1["bits_needed"], conv1["bits_declared"]) == ("conv", 18, 32)
    assert conv1["kernel"] == "conv"
    assert all(layer["exact"] for layer in document["layers"])


def test_float_islands_are_named(cli: Cli, files: Files) -> None:
    done = cli("inspect", files.odd)
    assert done.out.startswith("odd.onnx, target onnxruntime (auto: not every scale is a power of two)")
    assert "float island: ONNX Runtime has no integer kernel for Sub: sub1_q" in done.out


@pytest.mark.skipif(not ISAS, reason="this processor has no packed kernels")
def test_why_a_layer_has_no_packed_kernel(cli: Cli, files: Files, tmp_path: Path) -> None:
    (tmp_path / "narrow.toml").write_text('base = "diffquant"\naccumulator_bits = 12\n')
    done = cli("inspect", files.model, "--target", tmp_path / "narrow.toml")
    assert "in portable loops (its sums may leave the accumulator" in done.out


def test_an_instruction_set_that_there_is_not(cli: Cli, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTSIM_ISA", "avx9")
    done = cli("inspect", files.model)
    assert done.code == 2
    assert "INTSIM_ISA must be one of avx512vnni, avxvnni, avx2, portable, not 'avx9'" in done.err


def test_a_target_that_was_asked_for(cli: Cli, files: Files) -> None:
    assert cli("inspect", files.model, "--target", "onnxruntime").out.startswith("small.onnx, target onnxruntime\n")


def test_formulas_with_their_numbers(cli: Cli, files: Files) -> None:
    text = cli("inspect", files.model, "--target", "tflite").out
    assert "\n  conv1_q#unclamped = half_away(half_up(acc * 1073741824 / 2**31) / 2**8)\n" in text
    layers = cli("inspect", files.model, "--target", "xnnpack", "--json").json["layers"]
    formulas = {layer["name"]: layer["formula"] for layer in layers}
    assert formulas["conv1_q#unclamped"] == "half_even(float32(acc) * 0.001953125)"
    assert formulas["conv1_q#accumulator"] == "sum(x * w) + bias; wraps in 32 bits"
    assert formulas["conv1_q"] == ""


WALK = """
base = "diffquant"
accumulator_bits = 14
overflow = "saturate"
mac_order = ["row", "column", "channel"]
lanes = 4
tree_bits = 16
tree_overflow = "saturate"
channels_per_pass = 2
spill_bits = 12
spill_shift = 2
spill_rounding = "half_even"
bias_added = "first"
overrides = [{ node = "*", rounding_constant = "inside" }, { node = "nosuch*", headroom = 3 }]
"""


def test_the_walk_of_an_accumulator(cli: Cli, files: Files, tmp_path: Path) -> None:
    path = tmp_path / "walk.toml"
    path.write_text(WALK)
    done = cli("inspect", files.model, "--target", str(path))
    walk = (
        "in the order row, column, channel; trees of 4, whose nodes have 16 bits (saturate); saturates in 14 bits "
        "after every addition; every 2 channels half_even(acc / 2**2) is spilled in 12 bits (saturate)"
    )
    assert f"conv1_q#accumulator = bias + sum(x * w) + 256; {walk}\n" in done.out
    assert "The target's override of 'nosuch*' matches no node." in done.out
    assert cli("inspect", files.model, "--target", str(path), "--json").json["unused_overrides"] == ["nosuch*"]


def test_multipliers_are_shown_in_full(cli: Cli, files: Files) -> None:
    line = next(li for li in cli("inspect", files.model, "--target", "tflite").out.splitlines() if "conv1_q" in li)
    assert "x 1073741824, shift -8" in line
