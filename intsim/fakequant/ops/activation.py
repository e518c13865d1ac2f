"""Functions of one element, and Softmax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def relu(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """max(x, 0)."""
    return functional.relu(x)


def clip(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """x within min and max, where there are such."""
    return x.clamp(a.get("min", -np.inf), a.get("max", np.inf))


def leaky_relu(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """x, or alpha * x below 0."""
    return functional.leaky_relu(x, a["alpha"])


def prelu(a: Mapping[str, Any], x: Tensor, slope: Tensor) -> Tensor:
    """x, or slope * x below 0; the slope broadcasts to x."""
    return torch.where(x >= 0, x, x * slope)


def sigmoid(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return torch.sigmoid(x)


def tanh(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """tanh(x)."""
    return torch.tanh(x)


def hard_sigmoid(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """alpha * x + beta within 0 and 1."""
    return (a["alpha"] * x + a["beta"]).clamp(0, 1)


def hard_swish(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """x * (x + 3, within 0 and 6) / 6."""
    return functional.hardswish(x)


def softmax(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """exp(x) over its sum along the axis."""
    return functional.softmax(x, a["axis"])


FORMS: Mapping[str, Callable[..., Any]] = {
    "Relu": relu,
    "Clip": clip,
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Sigmoid": sigmoid,
    "Tanh": tanh,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Softmax": softmax,
}
