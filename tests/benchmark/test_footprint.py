from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from intsim.benchmark import peak_memory
from intsim.errors import UnusableInput
from tests.cli.small_model import small_model


@pytest.fixture
def file(tmp_path: Path) -> Path:
    onnx.save(small_model(), tmp_path / "small.onnx")
    return tmp_path / "small.onnx"


@pytest.mark.parametrize("runtime", ["intsim", "onnxruntime"])
def test_the_model_adds_to_the_libraries(file: Path, runtime: str) -> None:
    pytest.importorskip(runtime)
    made = peak_memory(runtime, file, "diffquant", 1, 2)
    assert 1 < made.imported_mib < made.peak_mib and made.model_mib == made.peak_mib - made.imported_mib


def test_what_fails_there_is_said_here(file: Path) -> None:
    with pytest.raises(UnusableInput, match=r"intsim's memory failed: .*unknown target 'vpu'"):
        peak_memory("intsim", file, "vpu", 1, 1)
    with pytest.raises(UnusableInput, match="runtime must be one of intsim, onnxruntime, not 'torch'"):
        peak_memory("torch", file, "diffquant", 1, 1)
