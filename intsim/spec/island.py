"""island: float arithmetic of a machine between its integer kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from intsim.islands.environment import standard_floats
from intsim.islands.evaluate import evaluate


@standard_floats()
def island(*xs: np.ndarray[Any, Any], function: str, attributes: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """The float32 result of the ONNX op `function` on float32 operands, as intsim.islands.evaluate defines it."""
    return evaluate(function, attributes, xs)
