"""What CONTRIBUTING says of the tree is what the tree is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import intsim
from intsim import demo
from intsim.kernels.packed.epilogues import EPILOGUES
from intsim.kernels.packed.isa import ISAS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
KERNEL = re.compile(
    rf"(?P<op>[a-z0-9_]+?)_(u8|i16|i32|f32)_(u8|i16|i32)"
    rf"(__({'|'.join(sorted((re.escape(e.name) for e in EPILOGUES), key=len, reverse=True))}|half_up|half_even))?"
    rf"(_({'|'.join(ISAS)}|avx512vbmi))?"
)
WHOLE = {"alias", "enter", "leave"}


def block(heading: str) -> list[str]:
    """The lines of the first fenced block after a heading."""
    return TEXT.partition(f"\n## {heading}\n")[2].split("```")[1].strip("\n").split("\n")


def test_the_layout_names_every_folder_and_every_module_at_the_root() -> None:
    named, parents = set(), [""]
    for line in block("Layout"):
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        parents[depth + 1 :] = [f"{parents[depth]}{name}"]
        named.add(parents[-1])
    package = ROOT / "intsim"
    folders = [file.parent for file in package.rglob("__init__.py") if file.parent != package]
    modules = [file for file in package.glob("*.py") if file.name != "__init__.py"]
    there = {f"{folder.relative_to(ROOT).as_posix()}/" for folder in folders}
    there |= {module.relative_to(ROOT).as_posix() for module in modules}
    assert {name for name in named if name.startswith("intsim/")} - {"intsim/"} == there
    assert all((ROOT / name).exists() for name in named)


def test_the_floors_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert block("Who may import whom") == layers


def test_every_tool_is_listed() -> None:
    listed = (ROOT / "tools/README.md").read_text()
    assert [file.name for file in (ROOT / "tools").glob("*.*") if f"`{file.name}" not in listed] == ["README.md"]


@pytest.mark.parametrize("target", ["diffquant", "onnxruntime"])
def test_kernels_have_names_of_that_grammar(target: str) -> None:
    model = intsim.load(demo.quantized_model(), target)
    stems = {file.stem for file in (ROOT / "intsim/spec").glob("*.py")} | {"depthwise"}
    for choice in model.choices:
        if choice.kernel in stems | WHOLE:
            continue
        match = KERNEL.fullmatch(choice.kernel)
        assert match is not None and match["op"] in stems, choice.kernel
