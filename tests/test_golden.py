"""Kernels, compiled or plain, give the golden vectors of golden/ byte for byte; the vectors are what the spec gives."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.errors import UnusableInput
from intsim.vectors.manifest import Manifest, read_manifest

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "golden"
CASES = sorted(str(path.parent.relative_to(GOLDEN)) for path in GOLDEN.glob("*/*/manifest.json"))

OPS = """
    add add_float32 average_pool average_pool_float32 clip concat conv copy depth_to_space dequantize_float32 flatten
    matmul max_pool mul mul_float32 pad post_conv post_matmul quantize quantize_float32 reduce_max reduce_mean
    reduce_mean_float32 requantize requantize_float32 reshape resize_nearest slice squeeze sub table transpose unsqueeze
"""
"""What networks become on the targets `diffquant` and `onnxruntime`. Left out: constants, which compute nothing, and
float32 islands and tails, whose last bits are those of the machine's libraries."""

LARGEST = 1_500_000
"""Bytes of all golden vectors in this folder."""

Array = np.ndarray[Any, Any]


def call(function: Any, manifest: Manifest) -> dict[str, Array]:
    """The function's results, by the names of the recorded ones."""

    def arrays(role: str) -> dict[str, Array]:
        return {name: manifest.read(name) for name, entry in manifest.tensors.items() if entry.role == role}

    scalars = {name: plain(value) for name, value in manifest.parameters.items()}
    made = function(*arrays("input").values(), **scalars, **arrays("parameter"))
    if isinstance(made, tuple):
        return {"accumulator": made[0], "overflowed": (np.asarray(made[1]) != 0).astype(np.uint8)}
    return {"y": made}


def plain(value: Any) -> Any:
    """An argument as it was before it was JSON: lists were tuples, floats float32."""
    if isinstance(value, list):
        return tuple(value)
    return np.float32(value) if isinstance(value, float) else value


@pytest.mark.nojit
@pytest.mark.parametrize("case", CASES)
def test_the_kernel_gives_it_byte_for_byte(case: str) -> None:
    manifest = read_manifest(GOLDEN / case)
    kernel = getattr(importlib.import_module(f"intsim.kernels.{manifest.op}"), manifest.op)
    made = call(kernel, manifest)
    expected = {name: manifest.read(name) for name, entry in manifest.tensors.items() if entry.role == "output"}
    assert made.keys() == expected.keys()
    for name, array in expected.items():
        assert (made[name].dtype, made[name].shape) == (array.dtype, array.shape), name
        assert made[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("case", CASES)
def test_the_spec_still_gives_it(case: str) -> None:
    manifest = read_manifest(GOLDEN / case)
    for name, array in call(getattr(spec, manifest.op), manifest).items():
        np.testing.assert_array_equal(array, manifest.read(name), err_msg=name)


def test_every_op_of_the_targets_has_golden_vectors() -> None:
    assert set(OPS.split()) <= {case.split("/")[0] for case in CASES}


def test_recording_again_changes_nothing() -> None:
    command = [sys.executable, "tools/record_golden.py", "ops", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_recording_again_tells_what_would_change(tmp_path: Path) -> None:
    changed = tmp_path / "golden"
    shutil.copytree(GOLDEN, changed)
    path = changed / "clip/inside/y.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    shutil.rmtree(changed / "copy")
    (changed / "add/of_old").mkdir()
    (changed / "add/of_old/manifest.json").write_text("{}")
    command = [sys.executable, "tools/record_golden.py", "ops", "--check", "--output", str(changed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert f"{path}: differs" in lines
    assert f"{changed}/add/of_old/manifest.json: belongs to no case" in lines
    assert f"{changed}/copy/plain/y.npy: not recorded" in lines
    assert all("copy" in line or "of_old" in line or "clip" in line for line in lines)
    with pytest.raises(UnusableInput, match="sha256 is not the recorded one"):
        read_manifest(changed / "clip/inside").read("y")


def test_they_are_small() -> None:
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()) < LARGEST
