from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from intsim.cli import COMMANDS
from intsim.cli import cli as group
from tests.cli.conftest import Cli, Files

INTSIM = str(Path(sys.executable).with_name("intsim"))


def test_the_overview(cli: Cli) -> None:
    for arguments in ([], ["--help"], ["-h"]):
        done = cli(*arguments)
        assert (done.code, done.err) == (0, "")
        assert all(f"\n  {command} " in done.out for command in COMMANDS)
    assert list(COMMANDS) == [
        "demo",
        "inspect",
        "run",
        "compare",
        "explain",
        "histogram",
        "ranges",
        "quantize",
        "bench",
    ]


def test_the_version(cli: Cli) -> None:
    import intsim

    assert cli("--version").out == f"intsim, version {intsim.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_json_and_threads(cli: Cli, command: str) -> None:
    import click

    done = cli(command, "--help")
    assert done.code == 0 and "--json" in done.out and "--threads" in done.out
    found = group.get_command(click.Context(group), command)
    assert found is not None and found.name == command


def test_the_overview_loads_nothing_heavy() -> None:
    script = (
        "import sys; from intsim.cli import run_line; run_line(['--help']); "
        "print({'numba', 'onnx', 'torch', 'onnxruntime', 'rich', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_the_installed_command(files: Files, tmp_path: Path) -> None:
    done = subprocess.run([INTSIM, "inspect", files.model, "--json"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and json.loads(done.stdout)["target"] == "diffquant"
    wrong = subprocess.run([INTSIM, "inspect", "none.onnx"], capture_output=True, text=True, cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_a_narrow_encoding(files: Files) -> None:
    """Signs that the encoding lacks are no error."""
    environment = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    command = [INTSIM, "explain", files.model, "--input", files.codes, "--tensor", "conv2_q", "--index", "0,0,0,0"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "") and "The engine computed the same." in done.stdout


def test_commands_follow_each_other_in_one_process(cli: Cli, files: Files, tmp_path: Path) -> None:
    """The module of a command hides no function of the package."""
    import intsim.cli

    for number in range(2):
        assert cli("run", files.model, "--input", files.reals, "--output", tmp_path / str(number)).code == 0
    with pytest.raises(SystemExit) as left:
        intsim.cli.main(["inspect", files.model])
    assert left.value.code == 0
