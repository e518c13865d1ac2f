"""Mutants: copies of the kernels in which one piece of text is replaced, run as plain Python."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from intsim.kernels import _jit

SOURCES = Path(_jit.__file__).parent
NUMBERS = itertools.count()

UNCOMPILED = """
from __future__ import annotations


def kernel(function):
    return function
"""


def mutant(folder: Path, op: str, module: str, old: str, new: str) -> Callable[..., Any]:
    """The op's function from a copy of all kernels where, in `module`, the one occurrence of `old` is `new`."""
    package = f"mutant_{next(NUMBERS)}"
    (folder / package).mkdir()
    for path in SOURCES.glob("*.py"):
        text = UNCOMPILED if path.name == "_jit.py" else path.read_text()
        if path.stem == module:
            assert text.count(old) == 1, f"{module} has {text.count(old)} times {old!r}"
            text = text.replace(old, new)
        (folder / package / path.name).write_text(text.replace("intsim.kernels", package))
    sys.path.insert(0, str(folder))
    try:
        return getattr(importlib.import_module(f"{package}.{op}"), op)
    finally:
        sys.path.remove(str(folder))
