"""Conv, MatMul and Gemm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional

from intsim.fakequant.ops.padding import padded


def conv(a: Mapping[str, Any], x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
    """The convolution of x f32[N, C, (H,) W] with w."""
    run = functional.conv1d if x.ndim == 3 else functional.conv2d
    return run(padded(x, a["pads"]), w, bias, a["strides"], 0, a["dilations"], a["groups"])


def matmul(a: Mapping[str, Any], x: Tensor, y: Tensor) -> Tensor:
    """x @ y."""
    return x @ y


def gemm(a: Mapping[str, Any], x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
    """alpha * x @ w + beta * bias."""
    y = x @ w if a.get("alpha", 1.0) == 1.0 else a["alpha"] * (x @ w)
    return y if bias is None else y + (bias if a.get("beta", 1.0) == 1.0 else a["beta"] * bias)


FORMS: Mapping[str, Callable[..., Any]] = {"Conv": conv, "MatMul": matmul, "Gemm": gemm}
