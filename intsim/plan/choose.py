"""The one place where the kernel of a layer is chosen; each choice has its reason in words."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain, UnsupportedOp
from intsim.islands.evaluate import evaluate
from intsim.lowering.lowered import Layer
from intsim.ranges.bounds import Bounds
from intsim.summation import PLAIN

Array = np.ndarray[Any, Any]

INT32_BITS = 32
INT64_BITS = 64


@dataclass(frozen=True)
class Choice:
    """How a layer is computed: kernel(*inputs, **layer.parameters, **options).

    options: what the kernel may rely on: `accumulate` (the width of its sums), `check` (whether it looks for sums that
    leave the declared accumulator). reason: why that is right. refused: why it has no packed kernel, "" where it has.
    """

    layer: Layer
    kernel: str
    reason: str
    options: Mapping[str, Any] = field(default_factory=dict)
    refused: str = ""


def choose(layer: Layer, bounds: Bounds | None) -> Choice:
    """The Choice for a layer; bounds: what its accumulator can reach, None where it has none.

    Errors: OutOfDomain where its sums can leave int64, the widest that the kernels have.
    """
    if bounds is None:
        return Choice(layer, layer.op, "integers, exact" if layer.exact else "float32, as the target defines it")
    declared, needed, partial = bounds.declared_bits, bounds.needed_bits, bounds.partial_bits()
    overflow, s = layer.parameters["overflow"], layer.parameters.get("summation") or PLAIN
    if partial > INT64_BITS:
        raise OutOfDomain(
            f"node {layer.node!r}: its sums can need {partial} bits, the kernels have {INT64_BITS}; use operands of "
            f"fewer bits, or the engine `spec`"
        )
    if s.spill_shift:
        why = f"{needed} of {declared} bits needed, but each pass rounds what it spills"
        return Choice(layer, layer.op, f"{why}, so the sums are made in order", _options(False, check=True))
    if bounds.cannot_overflow:
        narrow = partial <= INT32_BITS  # not by the total alone: Numba's compiler may take sums that wrap for undefined
        proof = f"no input can overflow: {needed} of {declared} bits needed"
        return Choice(layer, layer.op, f"{proof}, so any order and width of sums does", _options(narrow, check=False))
    can = f"can overflow: {_shortages(bounds)}"
    if overflow == "saturate" and s.clamp == "product":
        return Choice(layer, layer.op, f"{can}, so each addition is clamped, in order", _options(False, check=True))
    if s.tree_bits is not None or s.channels_per_pass is not None or s.offsets is not None:
        return Choice(layer, layer.op, f"{can}, so the sums are made in order", _options(False, check=True))
    narrow = partial <= INT32_BITS
    rule = {"wrap": "wraps, in any order, counted", "saturate": "is clamped", "trap": "is trapped"}[overflow]
    width = "int32" if narrow else "int64"
    return Choice(layer, layer.op, f"{can}; the exact sum is in {width} and {rule}", _options(narrow, check=True))


def _shortages(bounds: Bounds) -> str:
    """What is too narrow, in words."""
    pairs = {
        "": (bounds.needed_bits, bounds.declared_bits),
        "tree nodes: ": (bounds.tree_bits, bounds.tree_declared),
        "spills: ": (bounds.spill_bits, bounds.spill_declared),
    }
    return "; ".join(
        f"{what}{needed} bits needed, {declared} declared"
        for what, (needed, declared) in pairs.items()
        if needed is not None and declared is not None and needed > declared
    )


def find_kernel(choice: Choice) -> Callable[..., Any]:
    """The function of a chosen kernel. Errors: UnsupportedOp names the node."""
    if choice.kernel == "island":
        return evaluate_island
    try:
        module = importlib.import_module(f"intsim.kernels.{choice.kernel}")
    except ModuleNotFoundError as error:
        if error.name != f"intsim.kernels.{choice.kernel}":
            raise
        raise UnsupportedOp(
            f"node {choice.layer.node!r}: there is no kernel for {choice.kernel}; use the engine `spec`"
        ) from error
    return getattr(module, choice.kernel)


def evaluate_island(*operands: Array, function: str, attributes: Mapping[str, Any], pool: object = None) -> Array:
    """The float32 result of a float island, in NumPy: it is the target's float arithmetic, no kernel of ours."""
    return evaluate(function, attributes, operands)


def _options(narrow: bool, *, check: bool) -> dict[str, Any]:
    return {"accumulate": "int32" if narrow else "int64", "check": check}
