"""`import intsim` is fast because it loads NumPy only; everything else comes at first use."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("PIL", "click", "jinja2", "llvmlite", "matplotlib", "numba", "onnx", "onnxruntime", "rich", "scipy", "torch")

CHILD = f"""
import sys, time
begin = time.perf_counter()
import intsim
seconds = time.perf_counter() - begin
print(f"{{seconds:.3f}}", *(name for name in {HEAVY!r} if name in sys.modules))
"""


@pytest.mark.nojit
def test_import_loads_nothing_heavy() -> None:
    child = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    seconds, *loaded = child.stdout.split()
    print(f"import intsim: {seconds} s")
    assert loaded == []


def test_the_exported_names_are_found_and_no_others() -> None:
    import intsim

    for name in intsim.__all__:
        assert getattr(intsim, name) is not None
    assert set(intsim.__all__) <= set(dir(intsim))
    with pytest.raises(AttributeError, match="no attribute 'compere'"):
        _ = intsim.compere
