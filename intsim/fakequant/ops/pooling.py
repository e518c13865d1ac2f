"""Pools, means and maxima."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from intsim.fakequant.ops.padding import padded


def windows(a: Mapping[str, Any], x: Tensor, value: float) -> Tensor:
    """x padded as ONNX says, and at the end so that ceil_mode's last window is whole."""
    x = padded(x, a["pads"], value)
    if not a["ceil_mode"]:
        return x
    extra = []
    inside = [n - end for n, end in zip(x.shape[2:], a["pads"][x.ndim - 2 :], strict=True)]
    for length, k, s, d, total in zip(x.shape[2:], a["kernel"], a["strides"], a["dilations"], inside, strict=True):
        reach = (k - 1) * d + 1
        count = -(-(length - reach) // s) + 1
        count -= (count - 1) * s >= total  # a window must start in the image or its leading pad
        extra.append(max(0, (count - 1) * s + reach - length))
    return padded(x, (*(0 for _ in extra), *extra), value)


def max_pool(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """The largest element of each window; padding never wins."""
    run = functional.max_pool1d if x.ndim == 3 else functional.max_pool2d
    return run(windows(a, x, float("-inf")), a["kernel"], a["strides"], 0, a["dilations"])


def average_pool(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """The sum of each window over the number of its elements that count."""
    ones = torch.ones_like(x)
    if a["count_include_pad"]:
        counted = windows({**a, "pads": (0,) * len(a["pads"])}, padded(ones, a["pads"], 1.0), 0.0)
    else:
        counted = windows(a, ones, 0.0)
    weight = torch.ones((1, 1, *a["kernel"]))
    run = functional.conv1d if x.ndim == 3 else functional.conv2d

    def total(v: Tensor) -> Tensor:
        flat = v.reshape(-1, 1, *v.shape[2:])
        y = run(flat, weight, None, a["strides"], 0, a["dilations"])
        return y.reshape(*v.shape[:2], *y.shape[2:])

    return total(windows(a, x, 0.0)) / total(counted)


def global_average_pool(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """The mean of each channel's image."""
    return x.mean(tuple(range(2, x.ndim)), keepdim=True)


def reduce_mean(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """The mean over the axes."""
    return x.mean(tuple(a["axes"]), keepdim=bool(a["keepdims"]))


def reduce_max(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """The largest element over the axes; where several are, they share its gradient."""
    return x.amax(tuple(a["axes"]), keepdim=bool(a["keepdims"]))


FORMS: Mapping[str, Callable[..., Any]] = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "ReduceMean": reduce_mean,
    "ReduceMax": reduce_max,
}
