"""Each op has the same stem, parameters and defaults in spec and kernels; kernels import nothing else of intsim."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

import intsim.kernels
import intsim.spec
from tests.kernels.compare import MACS, kernel_of, spec_of

KERNELS, SPEC = (Path(package.__path__[0]) for package in (intsim.kernels, intsim.spec))
HELPERS = {
    "layout",
    "mac",
    "parallel",
    "rounding",
    "saturate",
    "fma",
    "accumulate",
    "windows",
    "gemmlowp",
    "multiplied",
    "lanes",
}
OPS = sorted(p.stem for p in KERNELS.glob("*.py") if not p.stem.startswith("_") and p.stem not in HELPERS)
# float arithmetic of the target in NumPy, which has no kernel; what makes a parameter of layers
SPEC_ONLY = {"island", "post_table"}


def test_every_op_of_the_spec_has_a_kernel() -> None:
    stems = sorted(
        p.stem
        for p in SPEC.glob("*.py")
        if isinstance(vars(import_module(f"intsim.spec.{p.stem}")).get(p.stem), FunctionType)
    )
    assert [s for s in stems if s not in HELPERS | SPEC_ONLY] == OPS


@pytest.mark.parametrize("op", OPS)
def test_parameters_and_defaults_are_the_specs(op: str) -> None:
    kernel, spec = (
        [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]
        for function in (kernel_of(op), spec_of(op))
    )
    added = [name for name, _, _ in kernel if name not in [n for n, _, _ in spec]]
    assert added == (["check", "accumulate", "pool"] if op in MACS else ["pool"])
    assert kernel[: len(spec)] == spec


@pytest.mark.parametrize("path", sorted(KERNELS.glob("*.py")), ids=lambda path: path.stem)
def test_imports(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not any(n.startswith("intsim") and not n.startswith("intsim.kernels") for n in names)
