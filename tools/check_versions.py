"""Install the lowest and the highest versions that pyproject.toml allows, each in a fresh environment, and run tests.

    python tools/check_versions.py [--end lowest|highest]... [--torch] [--keep DIR] [TEST]...

TEST: what pytest runs; default: tests that touch each dependency and take about a minute. Without --torch the packages
of the extra [torch] are left out, as 200 MB to download, and the default tests do without them. Needs PyPI. Prints the
versions that were installed; exits with 1 where an end cannot be installed or a test fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]

TESTS = (
    "tests/files",
    "tests/vectors",
    "tests/images",
    "tests/report",
    "tests/cli/test_errors.py",
    "tests/importers/onnx/test_model_file.py",
    "tests/importers/onnx/test_mutations.py",
    "tests/run",
)
"""NumPy, Pillow, Jinja2, Matplotlib, click, rich, ONNX, ONNX Runtime and Numba, each in use."""

TEST_TOOLS = ("pytest", "hypothesis", "packaging")
"""What the tests themselves need; the first two within the bounds of the extra [dev]."""


def requirements(torch: bool) -> Iterator[Requirement]:
    """What pyproject.toml asks for: the core, the extras that the tests use, and the test tools."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    yield from map(Requirement, project["dependencies"])
    for extra in ("ort", "report", "images", *(["torch"] if torch else [])):
        yield from map(Requirement, extras[extra])
    yield from (r for r in map(Requirement, extras["dev"]) if r.name in TEST_TOOLS)


def pinned(requirement: Requirement, end: str) -> str:
    """The requirement as pip gets it: its lower bound alone, or the whole range, of which pip takes the highest."""
    if end == "highest":
        return str(requirement)
    lowest = next(s.version for s in requirement.specifier if s.operator in (">=", "=="))
    return f"{requirement.name}=={lowest}"


def check(end: str, folder: Path, torch: bool, tests: tuple[str, ...]) -> bool:
    """Whether that end can be installed, and the tests pass on it."""
    print(f"== {end}: installing into {folder}", flush=True)
    python = folder / "bin" / "python"
    own = {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(folder / "kernels")}
    environment = os.environ | own
    wanted = [*(pinned(requirement, end) for requirement in requirements(torch)), "packaging", "setuptools"]
    steps = (
        ["bash", str(ROOT / "tools" / "make_venv.sh"), str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--upgrade", *wanted],
        [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)],
        [str(python), "-m", "pip", "check"],
        [str(python), "-m", "pip", "list", "--format=freeze"],
        [str(python), "-m", "pytest", "-q", *(tests or TESTS), *([] if torch else ["-k", "not torch"])],
    )
    for step in steps:
        if subprocess.run(step, cwd=ROOT, env=environment).returncode:
            print(f"== {end}: failed at {' '.join(step)}", flush=True)
            return False
    print(f"== {end}: passed", flush=True)
    return True


@click.command()
@click.option("--end", "ends", type=click.Choice(["lowest", "highest"]), multiple=True, help="Default: both.")
@click.option("--torch", is_flag=True, help="With the extra [torch], whose wheel for the CPU has about 200 MB.")
@click.option("--keep", type=click.Path(path_type=Path), help="A folder where the environments stay.")
@click.argument("tests", nargs=-1)
def main(ends: tuple[str, ...], torch: bool, keep: Path | None, tests: tuple[str, ...]) -> None:
    """Run tests with the lowest and the highest versions of all dependencies."""
    with tempfile.TemporaryDirectory(prefix="intsim-versions-") as scratch:
        passed = [check(end, (keep or Path(scratch)) / end, torch, tests) for end in ends or ("lowest", "highest")]
    sys.exit(not all(passed))


if __name__ == "__main__":
    main()
