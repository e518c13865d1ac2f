"""Float islands and tails: what a machine computes in float32 between its integer kernels.

One definition serves lowering (tables), the reference and the engine: it is float by the machine's own definition, and
the machine itself is its judge. `evaluate` says in EXACT which functions follow the machine's operations one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from intsim.errors import UnsupportedOp

Array = np.ndarray[Any, Any]

EXACT = frozenset(
    {
        "Requantize",
        "Relu",
        "Clip",
        "LeakyRelu",
        "PRelu",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Min",
        "Max",
        "HardSigmoid",
        "HardSwish",
        "Concat",
    }
)
"""Functions of one float32 operation an element, or of operations whose order is known."""


def evaluate(function: str, attributes: Mapping[str, Any], operands: Sequence[Array]) -> Array:
    """float32 result of an ONNX op on float32 operands, each operation rounded to float32."""
    if function not in FUNCTIONS:
        raise UnsupportedOp(f"no float form of {function}; there are {', '.join(sorted(FUNCTIONS))}")
    return FUNCTIONS[function](attributes, *operands).astype(np.float32, copy=False)


def _hard_sigmoid(attributes: Mapping[str, Any], x: Array) -> Array:
    alpha = np.float32(attributes.get("alpha", np.float32(1) / np.float32(6)))
    beta = np.float32(attributes.get("beta", 0.5))
    return np.minimum(np.maximum(alpha * x + beta, np.float32(0)), np.float32(1))


def _clip(attributes: Mapping[str, Any], x: Array) -> Array:
    low, high = attributes.get("min", -np.inf), attributes.get("max", np.inf)
    return np.minimum(np.maximum(x, np.float32(low)), np.float32(high))


def _sigmoid(attributes: Mapping[str, Any], x: Array) -> Array:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def _softmax(attributes: Mapping[str, Any], x: Array) -> Array:
    axis = attributes["axis"]
    power = np.exp(x - x.max(axis=axis, keepdims=True))
    return power / power.sum(axis=axis, keepdims=True)


def _mean(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    return x.astype(np.float64).mean(axis=axes, keepdims=keepdims)


def _batch_normalization(
    attributes: Mapping[str, Any], x: Array, scale: Array, bias: Array, mean: Array, variance: Array
) -> Array:
    if scale.ndim == 1:
        shape = (1, -1, *(1,) * (x.ndim - 2))
        scale, bias, mean, variance = (v.reshape(shape) for v in (scale, bias, mean, variance))
    factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + attributes["epsilon"])
    return (x - mean) * factor + bias


def _gemm(attributes: Mapping[str, Any], a: Array, b: Array, c: Array | None = None) -> Array:
    product = float(attributes.get("alpha", 1.0)) * (a.astype(np.float64) @ b.astype(np.float64))
    return product if c is None else product + float(attributes.get("beta", 1.0)) * c


def _conv(attributes: Mapping[str, Any], x: Array, w: Array, bias: Array | None = None) -> Array:
    pads, strides, dilations = attributes["pads"], attributes["strides"], attributes["dilations"]
    groups, spatial = attributes["groups"], x.ndim - 2
    width = [(0, 0), (0, 0), *((pads[i], pads[i + spatial]) for i in range(spatial))]
    padded = np.pad(x.astype(np.float64), width)
    extent = tuple((k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(padded, extent, tuple(range(2, x.ndim)))
    take = (
        slice(None),
        slice(None),
        *(slice(None, None, s) for s in strides),
        *(slice(None, None, d) for d in dilations),
    )
    windows = windows[take]
    kernel_axes = tuple(range(2 + spatial, 2 + 2 * spatial))
    parts = [
        np.tensordot(
            windows[:, g * w.shape[1] : (g + 1) * w.shape[1]],
            w[g * (len(w) // groups) : (g + 1) * (len(w) // groups)].astype(np.float64),
            ((1, *kernel_axes), tuple(range(1, w.ndim))),
        )
        for g in range(groups)
    ]
    result = np.moveaxis(np.concatenate(parts, -1), -1, 1)
    return result if bias is None else result + bias.reshape(1, -1, *(1,) * spatial)


FUNCTIONS: Mapping[str, Callable[..., Array]] = {
    "Requantize": lambda _, x: x,
    "Relu": lambda _, x: np.maximum(x, np.float32(0)),
    "Clip": _clip,
    "LeakyRelu": lambda a, x: np.where(x >= 0, x, x * np.float32(a["alpha"])),
    "PRelu": lambda _, x, slope: np.where(x >= 0, x, x * slope),
    "Sigmoid": _sigmoid,
    "Tanh": lambda _, x: np.tanh(x.astype(np.float64)),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda _, x: x * _hard_sigmoid({}, x),
    "Add": lambda _, a, b: a + b,
    "Sub": lambda _, a, b: a - b,
    "Mul": lambda _, a, b: a * b,
    "Div": lambda _, a, b: a / b,
    "Min": lambda _, *xs: np.minimum.reduce(np.broadcast_arrays(*xs)),
    "Max": lambda _, *xs: np.maximum.reduce(np.broadcast_arrays(*xs)),
    "Concat": lambda a, *xs: np.concatenate(xs, a["axis"]),
    "Softmax": _softmax,
    "BatchNormalization": _batch_normalization,
    "ReduceMean": lambda a, x: _mean(x, tuple(a["axes"]), bool(a["keepdims"])),
    "GlobalAveragePool": lambda _, x: _mean(x, tuple(range(2, x.ndim)), True),
    "MatMul": lambda _, a, b: a.astype(np.float64) @ b.astype(np.float64),
    "Gemm": _gemm,
    "Conv": _conv,
}
