from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def printed(*arguments: str | Path) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("kind", ["folder", "renames", "file"])
def test_killed_before_any_step_the_output_is_old_or_new(tmp_path: Path, kind: str) -> None:
    steps = printed("-m", "tests.files.killed", kind, tmp_path).split()
    commits = {"folder": "exchange", "renames": "rename", "file": "replace"}
    assert f"{commits[kind]}:old" in steps and len(steps) > 5
    changes = [step.rpartition(":")[2] for step in steps]
    if kind != "renames":
        assert changes == sorted(changes, reverse=True), "once it is the new one, it stays so"
    if kind != "file":
        assert "unlink:new" in steps


def test_killed_at_random_moments_the_output_is_whole() -> None:
    kinds = ("folder", "renames", "file")
    data = json.loads(printed("tools/kill_writers.py", "--kills", "5", "--json", *(f"--kind={kind}" for kind in kinds)))
    assert [(row["kind"], row["kills"], row["bad"]) for row in data["kinds"]] == [(kind, 5, []) for kind in kinds]
