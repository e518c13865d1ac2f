"""intsim runs a quantized neural network exactly as a given integer accelerator would, bit for bit."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intsim import spec
    from intsim.comparison import compare
    from intsim.errors import IntsimError
    from intsim.formats import Format
    from intsim.model import Model, load
    from intsim.run.result import Result
    from intsim.target import Target

__version__ = "0.1.0"

__all__ = ["Format", "IntsimError", "Model", "Result", "Target", "compare", "load", "spec"]

_HOMES = {
    "Format": "intsim.formats",
    "IntsimError": "intsim.errors",
    "Model": "intsim.model",
    "Result": "intsim.run.result",
    "Target": "intsim.target",
    "compare": "intsim.comparison",
    "load": "intsim.model",
}


def __getattr__(name: str) -> Any:
    """A public name, imported at its first use, so that `import intsim` itself loads next to nothing."""
    if name == "spec":
        return importlib.import_module("intsim.spec")
    if name not in _HOMES:
        raise AttributeError(f"module 'intsim' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
