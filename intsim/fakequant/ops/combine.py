"""Add, Sub, Mul, Div, Min, Max and Concat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def add(a: Mapping[str, Any], x: Tensor, y: Tensor) -> Tensor:
    """x + y."""
    return x + y


def sub(a: Mapping[str, Any], x: Tensor, y: Tensor) -> Tensor:
    """x - y."""
    return x - y


def mul(a: Mapping[str, Any], x: Tensor, y: Tensor) -> Tensor:
    """x * y."""
    return x * y


def div(a: Mapping[str, Any], x: Tensor, y: Tensor) -> Tensor:
    """x / y."""
    return x / y


def minimum(a: Mapping[str, Any], x: Tensor, y: Tensor) -> Tensor:
    """The smaller of x and y."""
    return torch.minimum(x, y)


def maximum(a: Mapping[str, Any], x: Tensor, y: Tensor) -> Tensor:
    """The larger of x and y."""
    return torch.maximum(x, y)


def concat(a: Mapping[str, Any], *xs: Tensor) -> Tensor:
    """The operands one after the other along the axis."""
    return torch.cat(xs, a["axis"])


FORMS: Mapping[str, Callable[..., Any]] = {
    "Add": add,
    "Sub": sub,
    "Mul": mul,
    "Div": div,
    "Min": minimum,
    "Max": maximum,
    "Concat": concat,
}
