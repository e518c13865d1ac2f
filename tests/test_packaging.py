"""What is shipped, what it asks for, and that the import rules really refuse what they forbid."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import intsim

ROOT = Path(__file__).parents[1]
MADE = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "*.egg-info", "build", "dist", ".hypothesis")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository's files, so that a build leaves nothing behind in the real one."""
    copy = tmp_path_factory.mktemp("tree") / "intsim"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=MADE)
    return copy


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution."""
    output = tmp_path_factory.mktemp("sdist")
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(output)!r})"
    run([sys.executable, "-c", build], tree)
    [archive] = output.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as an index's users would."""
    output = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(output)]
    run([sys.executable, "-m", "pip", "wheel", *options, str(sdist)], output)
    [archive] = output.iterdir()
    return archive


def script(name: str) -> str:
    """The path of a command of this environment."""
    return str(Path(sys.executable).with_name(name))


def run(command: list[str], folder: Path) -> str:
    """What the command prints, run in the folder; it must succeed."""
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def names_in(wheel: Path) -> set[str]:
    """The files that the wheel installs, its own metadata left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_link_is_relative_and_leads_to_the_kernels() -> None:
    assert (ROOT / "kernels").readlink() == Path("intsim/kernels")


def test_the_wheel_owns_intsim_and_no_other_top_level_name(wheel: Path) -> None:
    assert {name.split("/")[0] for name in names_in(wheel)} == {"intsim"}


def test_the_wheel_holds_every_module_and_all_data(wheel: Path, tree: Path) -> None:
    files = {p.relative_to(tree).as_posix() for p in (tree / "intsim").rglob("*") if p.is_file()}
    assert names_in(wheel) == files
    assert {"intsim/kernels/conv.py", "intsim/spec/conv.py", "intsim/py.typed"} <= files
    assert {Path(name).suffix for name in files if name.startswith("intsim/demo/")} >= {".onnx", ".npz"}


def test_the_wheel_installs_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [entry] = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        assert archive.read(entry).decode().split("\n")[:2] == ["[console_scripts]", "intsim = intsim.cli:main"]


def test_an_editable_install_is_a_path_that_type_checkers_follow(tree: Path, tmp_path: Path) -> None:
    build = f"from setuptools import build_meta; build_meta.build_editable({str(tmp_path)!r})"
    run([sys.executable, "-c", build], tree)
    [editable] = tmp_path.iterdir()
    assert {Path(name).suffix for name in names_in(editable)} == {".pth"}, "an import hook"
    with zipfile.ZipFile(editable) as archive:
        assert [archive.read(name).decode().split() for name in names_in(editable)] == [[str(tree)]]


def test_the_source_distribution_keeps_the_link(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        behind = [member for member in archive if member.name.split("/")[1:2] == ["kernels"]]
    assert [(member.issym(), member.linkname) for member in behind] == [(True, "intsim/kernels")]


def test_the_source_distribution_holds_what_the_tests_need(sdist: Path, tree: Path) -> None:
    with tarfile.open(sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive if member.isfile()}
    for folder in ("golden", "tests", "tools"):
        assert {p.relative_to(tree).as_posix() for p in (tree / folder).rglob("*") if p.is_file()} <= held
    assert {"Makefile", "constraints.txt", "LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"} <= held


def requirements(name: str, extra: str = "") -> Iterator[Requirement]:
    """What an installed distribution asks for here: without an extra, or with this one."""
    for line in metadata.requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def closure(name: str, extra: str = "") -> set[str]:
    """The names of everything that installing `name[extra]` installs, as far as it is installed here."""
    found: set[tuple[str, str]] = set()
    todo = [(canonicalize_name(name), wanted) for wanted in {"", extra}]
    while todo:
        item = todo.pop()
        if item in found:
            continue
        found.add(item)
        for requirement in requirements(*item):
            todo += [(canonicalize_name(requirement.name), e) for e in ("", *requirement.extras)]
    return {name for name, _ in found}


def test_the_core_pulls_no_framework() -> None:
    assert closure("intsim") & {"torch", "onnxruntime", "onnxscript", "matplotlib"} == set()
    assert closure("intsim", "ort") & {"torch", "onnxruntime"} == {"onnxruntime"}
    assert closure("intsim", "torch") & {"torch", "onnxruntime"} == {"torch"}


def test_every_dependency_has_a_lowest_and_a_highest_version() -> None:
    """What tools/check_versions.py installs: a later major would come untested."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    for requirement in map(Requirement, lines):
        operators = sorted(s.operator for s in requirement.specifier)
        assert requirement.name == "intsim" or operators in (["<", ">="], ["=="]), str(requirement)


def test_every_package_that_make_installs_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().split()
    pins = {canonicalize_name(name) for name, version in (line.split("==") for line in lines)}
    assert closure("intsim", "dev") - pins == {"intsim"}


def test_the_version_has_an_entry_in_the_change_log() -> None:
    _, heading, entry = (ROOT / "CHANGELOG.md").read_text().partition(f"\n## {intsim.__version__}")
    assert heading and "\n### Changed bits\n" in entry.partition("\n## ")[0]


def broken_contracts(tree: Path) -> list[str]:
    """The import rules that the tree breaks, by name."""
    command = [script("lint-imports"), "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})
    verdicts = re.findall(r"^(.+) (KEPT|BROKEN)(?: \(\d+ ignored imports?\))?$", done.stdout, re.MULTILINE)
    assert len(verdicts) >= 10, done.stdout + done.stderr
    assert done.returncode == int(any(verdict == "BROKEN" for _, verdict in verdicts))
    return [name for name, verdict in verdicts if verdict == "BROKEN"]


def test_the_import_rules_are_kept(tree: Path) -> None:
    assert broken_contracts(tree) == []


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("formats", "import intsim.graph", "a module imports only what lies below it"),
        ("importers/__init__", "import intsim.lowering", "a module imports only what lies below it"),
        ("vectors/manifest", "import intsim.comparison", "a module imports only what lies below it"),
        ("left_out", "import intsim.errors", "a module imports only what lies below it"),
        ("kernels/rounding", "import intsim.formats", "kernels know nothing but each other"),
        ("spec/rounding", "import intsim.graph", "spec, the definition, knows formats, float islands and errors only"),
        (
            "spec/rounding",
            "import intsim.kernels.rounding",
            "kernels are for plan and run, those on float carriers for training",
        ),
        (
            "comparison/differences",
            "def f(): import intsim.kernels",
            "kernels are for plan and run, those on float carriers for training",
        ),
        (
            "cli/run",
            "import intsim.spec.rounding",
            "spec is for run; fakequant and explain ask it where elements come from, trace what adders hold",
        ),
        (
            "importers/__init__",
            "import intsim.target",
            "target is for lowering and what is above it, never for importers",
        ),
        ("quantization/__init__", "import intsim.run.engine", "engine and reference are for model and comparison"),
        ("plan/choose", "import numba", "numba is for kernels"),
        ("graph", "import onnx", "onnx is for importers, comparison, quantization and training"),
        ("quantization/__init__", "import torch", "torch is for fakequant, comparison and training"),
        ("importers/__init__", "import onnxruntime", "onnxruntime is for comparison and quantization"),
        ("cli/run", "import matplotlib.pyplot", "matplotlib and jinja2 are for report"),
        ("files", "from PIL import Image", "pillow is for images"),
        ("model", "import rich.table", "click and rich are for cli"),
        (
            "training/modules/conv",
            "import intsim.kernels.conv",
            "kernels are for plan and run, those on float carriers for training",
        ),
        ("comparison/differences", "import intsim.training", "a module imports only what lies below it"),
        ("ranges/bounds", "import intsim.ranges.prove", "no circles, in no folder"),
    ],
)
def test_a_forbidden_import_is_refused(tree: Path, module: str, statement: str, contract: str) -> None:
    file = tree / "intsim" / f"{module}.py"
    before = file.read_text() if file.exists() else None
    file.write_text(f"{before or ''}\n{statement}\n")
    try:
        assert contract in broken_contracts(tree)
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_text(before)


@pytest.mark.parametrize(
    "statement", ["import kernels", "import pickle", "import torch", "from intsim.kernels import conv"]
)
def test_ruff_refuses_it_at_the_top_of_a_module(tree: Path, statement: str) -> None:
    command = [
        script("ruff"),
        "check",
        "--no-cache",
        "--select",
        "TID",
        "--output-format",
        "concise",
    ]
    source = f"from __future__ import annotations\n\n{statement}\n"
    options = ["--stdin-filename", "intsim/plan/bad.py", "-"]
    done = subprocess.run([*command, *options], cwd=tree, input=source, capture_output=True, text=True)
    assert done.returncode == 1
    assert "TID25" in done.stdout


def test_ruff_does_not_follow_the_link(tree: Path) -> None:
    files = run([script("ruff"), "check", "--no-cache", "--show-files"], tree).splitlines()
    behind = {Path(name).relative_to(tree).parts[0] for name in files}
    assert "intsim" in behind
    assert "kernels" not in behind
