from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from intsim.cli import cli as group
from tests.cli.conftest import Files


def completed(*words: str) -> list[str]:
    """What may stand in the place of the last word."""
    *before, last = words
    shell = ShellComplete(group, {}, "intsim", "_INTSIM_COMPLETE")
    return [item.value for item in shell.get_completions(before, last)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("mine.toml", "other.txt", "sub/deep.toml", "twin.pt2"):
        (tmp_path / name).touch()
    return tmp_path


def test_commands() -> None:
    assert completed("co") == ["compare"]


def test_targets() -> None:
    assert completed("inspect", "--target", "tfl") == ["tflite", "tflite-single"]
    assert completed("inspect", "--target", "mi") == ["mine.toml"]
    assert completed("inspect", "--target", "sub") == ["sub/"]
    assert completed("inspect", "--target", "sub/") == ["sub/deep.toml"]
    assert "other.txt" not in completed("inspect", "--target", "")


def test_peers() -> None:
    assert completed("compare", "--against", "o") == ["onnxruntime"]
    assert completed("compare", "--against", "target:tfl") == ["target:tflite", "target:tflite-single"]
    assert completed("compare", "--against", "torch:t") == ["torch:twin.pt2"]
    assert completed("compare", "--against", "golden:") == ["golden:sub/"]


def test_every_peer_is_completed() -> None:
    from intsim.cli.complete import PEERS
    from intsim.comparison.peers import PEERS as known

    assert {peer.partition(":")[0] for peer in PEERS} == set(known)


def test_taps_and_tensors(files: Files) -> None:
    assert completed("run", "--tap", "s") == ["saturation"]
    assert completed("run", files.model, "--tap", "codes@conv") == ["codes@conv1_q", "codes@conv2_q"]
    assert completed("explain", files.model, "--tensor", "conv") == ["conv1_q", "conv2_q"]
    assert completed("run", "none.onnx", "--tap", "codes@conv") == []
    assert completed("run", "--tap", "codes@conv") == []


def test_completion_loads_nothing_heavy() -> None:
    script = (
        "import sys; from click.shell_completion import ShellComplete; from intsim.cli import cli\n"
        "shell = ShellComplete(cli, {}, 'intsim', 'X')\n"
        "assert shell.get_completions(['compare', '--target'], 'tf')\n"
        "assert shell.get_completions(['compare', '--against'], 's')\n"
        "assert shell.get_completions(['run', '--tap'], 'c')\n"
        "print({'numba', 'onnx', 'torch', 'onnxruntime', 'rich', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
