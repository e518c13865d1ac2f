"""BatchNormalization, in inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional


def batch_normalization(
    a: Mapping[str, Any], x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    """scale * (x - mean) / sqrt(variance + epsilon) + bias, by channel."""
    return functional.batch_norm(x, mean, variance, scale, bias, False, 0.0, a["epsilon"])


FORMS: Mapping[str, Callable[..., Any]] = {"BatchNormalization": batch_normalization}
