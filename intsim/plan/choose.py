"""The one place where the kernel of a layer is chosen; each choice has its reason in words."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from intsim.errors import OutOfDomain, UnsupportedOp
from intsim.lowering.lowered import Layer
from intsim.ranges import Bounds

INT32_BITS = 32
INT64_BITS = 64


@dataclass(frozen=True)
class Choice:
    """How a layer is computed: kernel(*inputs, **parameters, **options).

    options: what the kernel may rely on: `accumulate` (the width of its sums), `check` (whether it looks for sums that
    leave the declared accumulator). reason: why that is right.
    """

    kernel: str
    reason: str
    options: Mapping[str, Any] = field(default_factory=dict)


def choose(layer: Layer, bounds: Bounds | None) -> Choice:
    """The Choice for a layer; bounds: what its accumulator can reach, None where it has none.

    Errors: OutOfDomain where its sums can leave int64, the widest that the kernels have.
    """
    if bounds is None:
        return Choice(layer.op, layer.note if not layer.exact else "exact on codes")
    declared, needed, partial = bounds.declared_bits, bounds.needed_bits, bounds.partial_bits()
    overflow = layer.parameters["overflow"]
    if partial > INT64_BITS:
        raise OutOfDomain(
            f"node {layer.node!r}: its sums can need {partial} bits, the kernels have {INT64_BITS}; use operands of fewer "
            f"bits, or the engine `spec`"
        )
    if bounds.cannot_overflow:
        narrow = declared <= INT32_BITS or partial <= INT32_BITS
        proof = f"no input can overflow: {needed} of {declared} bits needed"
        return Choice(layer.op, f"{proof}, so any order and width of sums does", _options(narrow, check=False))
    can = f"can overflow: {needed} bits needed, {declared} declared"
    if overflow == "saturate":
        return Choice(layer.op, f"{can}, so each addition is clamped, in order", _options(False, check=True))
    narrow = partial <= INT32_BITS
    rule = "wraps, in any order, counted" if overflow == "wrap" else "is trapped"
    width = "int32" if narrow else "int64"
    return Choice(layer.op, f"{can}; the exact sum is in {width} and {rule}", _options(narrow, check=True))


def find_kernel(name: str, node: str) -> Callable[..., Any]:
    """The function of the kernel of that name. Errors: UnsupportedOp names the node."""
    try:
        module = importlib.import_module(f"intsim.kernels.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"intsim.kernels.{name}":
            raise
        raise UnsupportedOp(f"node {node!r}: there is no kernel for {name}; use the engine `spec`") from error
    return getattr(module, name)  # type: ignore[no-any-return]


def _options(narrow: bool, *, check: bool) -> dict[str, Any]:
    return {"accumulate": "int32" if narrow else "int64", "check": check}
