from __future__ import annotations

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
    assert (conv1["op"], conv1["kernel"], conv1["bits_needed"], conv1["bits_declared"]) == ("conv", "conv", 18, 32)
    assert all(layer["exact"] for layer in document["layers"])


def test_float_islands_are_named(cli: Cli, files: Files) -> None:
    done = cli("inspect", files.odd)
    assert done.out.startswith("odd.onnx, target onnxruntime (auto: not every scale is a power of two)")
    assert "float island: ONNX Runtime has no integer kernel for Sub: sub1_q" in done.out


def test_a_target_that_was_asked_for(cli: Cli, files: Files) -> None:
    assert cli("inspect", files.model, "--target", "onnxruntime").out.startswith("small.onnx, target onnxruntime\n")


def test_formulas_with_their_numbers(cli: Cli, files: Files) -> None:
    text = cli("inspect", files.model, "--target", "tflite").out
    assert "\n  conv1_q#unclamped = half_away(half_up(acc * 1073741824 / 2**31) / 2**8)\n" in text
    layers = cli("inspect", files.model, "--target", "xnnpack", "--json").json["layers"]
    formulas = {layer["name"]: layer["formula"] for layer in layers}
    assert formulas["conv1_q#unclamped"] == "half_even(float32(acc) * 0.001953125)"
    assert formulas["conv1_q#accumulator"] == formulas["conv1_q"] == ""
