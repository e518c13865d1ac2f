"""`record_golden.py ops --check` compares every byte that the recorder writes, those of manifests too."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intsim.target import TARGETS

ROOT = Path(__file__).resolve().parents[2]
PLACE = "clip/inside/manifest.json"


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/record_golden.py", "ops", "--check", "--output", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "golden", tmp_path / "golden"))


def with_target(data: dict[str, Any]) -> str:
    return json.dumps({**data, "target": TARGETS["diffquant"].to_dict()}, indent=1) + "\n"


def of_another_version(data: dict[str, Any]) -> str:
    return json.dumps({**data, "manifest_version": 1}, indent=1) + "\n"


def in_other_bytes(data: dict[str, Any]) -> str:
    return json.dumps(data) + "\n"


@pytest.mark.parametrize("stale", [with_target, of_another_version, in_other_bytes])
def test_a_stale_manifest_is_told(recorded: Path, stale: Callable[[dict[str, Any]], str]) -> None:
    path = recorded / PLACE
    path.write_text(stale(json.loads(path.read_text())))
    done = check(recorded)
    assert (done.returncode, done.stdout) == (1, f"{path}: differs\n"), done.stderr
