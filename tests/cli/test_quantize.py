from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import intsim
from intsim.quantization import quantize_model
from tests.cli.conftest import Cli
from tests.models.small import small, small_input


@pytest.fixture
def float_model(tmp_path: Path) -> str:
    onnx.save(small("residual"), tmp_path / "float.onnx")
    np.save(tmp_path / "x.npy", small_input("residual", 8))
    return str(tmp_path / "float.onnx")


def test_the_model_and_the_tables(cli: Cli, float_model: str, tmp_path: Path) -> None:
    done = cli("quantize", float_model, "--calibration", "x.npy", "--output", "q.onnx")
    assert (done.code, done.err) == (0, "")
    expected = quantize_model(float_model, small_input("residual", 8))
    assert (tmp_path / "q.onnx").read_bytes() == expected.model.SerializeToString(deterministic=True)
    for part in ("MSE", "PCC", "JSD", "1 - JSD", "OTP", "saturated", "zero", "bias error", "wrote q.onnx"):
        assert part in done.out
    assert intsim.load(tmp_path / "q.onnx").target.name == "diffquant"


def test_the_json_document(cli: Cli, float_model: str) -> None:
    options = ("--bits", 4, "--momentum", 0.5, "--batch", 3, "--output", "q.onnx", "--json")
    document = cli("quantize", float_model, "--calibration", "x.npy", *options).json
    assert (document["bits"], document["momentum"], document["batch"], document["images"]) == (4, 0.5, 3, 8)
    rows = quantize_model(float_model, small_input("residual", 8), bits=4, momentum=0.5, batch=3).rows
    assert [layer["exponent"] for layer in document["layers"]] == [row.exponent for row in rows]
    candidates = document["layers"][0]["candidates"]
    assert len(candidates) == 7 and {"exponent", "mse", "pcc", "jsd", "similarity"} == candidates[0].keys()


@pytest.mark.parametrize("member", ["calibration", "x"])
def test_calibration_from_an_archive(cli: Cli, float_model: str, tmp_path: Path, member: str) -> None:
    other = "x" if member == "calibration" else "z"
    arrays: dict[str, Any] = {member: small_input("residual", 8), other: np.zeros(3)}
    np.savez(tmp_path / "x.npz", allow_pickle=False, **arrays)
    for path, output in (("x.npy", "a.onnx"), ("x.npz", "b.onnx")):
        assert cli("quantize", float_model, "--calibration", path, "--output", output).code == 0
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
