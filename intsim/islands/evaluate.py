"""Float islands and tails: what a machine computes in float32 between its integer kernels.

One definition serves lowering (tables), the reference and the engine: it is float by the machine's own definition, and
the machine itself is its judge. Operations and their order are ONNX Runtime 1.31's on x86-64, found by experiment on
the float32 bits; `is_exact` says where they are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from intsim.errors import UnsupportedOp

Array = np.ndarray[Any, Any]

INEXACT = frozenset({"Conv", "MatMul", "Gemm", "Softmax"})
"""Functions whose sums a machine's float library orders as it likes: computed here in float64, not bit-exact."""


def evaluate(function: str, attributes: Mapping[str, Any], operands: Sequence[Array]) -> Array:
    """float32 result of an ONNX op on float32 operands, each operation rounded to float32."""
    if function not in FUNCTIONS:
        raise UnsupportedOp(f"no float form of {function}; there are {', '.join(sorted(FUNCTIONS))}")
    return FUNCTIONS[function](attributes, *operands).astype(np.float32, copy=False)


def is_exact(function: str, attributes: Mapping[str, Any], rank: int) -> bool:
    """Whether `evaluate` follows ONNX Runtime's float32 operations one by one, for operands of that rank."""
    if function == "ReduceMean":
        axes = sorted(attributes["axes"])
        return bool(axes) and axes == list(range(rank - len(axes), rank))
    return function in FUNCTIONS and function not in INEXACT


def _fma(a: Array, b: Array, c: Array | np.floating[Any]) -> Array:
    """float32(a * b + c), rounded once: the float64 sum is rounded to odd before it becomes float32."""
    product = a.astype(np.float64) * b.astype(np.float64)  # exact: 24 + 24 bits
    addend = np.float64(c)
    total = product + addend
    back = total - product
    error = (product - (total - back)) + (addend - back)  # Knuth's two-sum: total + error is exact
    bits = total.view(np.int64)
    toward = np.where(error != 0, np.nextafter(total, np.where(error > 0, np.inf, -np.inf)), total)
    odd = np.where((error != 0) & (bits & 1 == 0), toward, total)
    return odd.astype(np.float32)


def _horner(x: Array, coefficients: Sequence[float]) -> Array:
    """The polynomial in x, highest coefficient first, one fma a step."""
    result = np.full_like(x, np.float32(coefficients[0]))
    for coefficient in coefficients[1:]:
        result = _fma(result, x, np.float32(coefficient))
    return result


TANH = (
    (
        -2.76076847742355e-16,
        2.00018790482477e-13,
        -8.60467152213735e-11,
        5.12229709037114e-08,
        1.48572235717979e-05,
        6.37261928875436e-04,
        4.89352455891786e-03,
    ),
    (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03),
)
LOGISTIC = (
    (4.37031012579801e-11, 1.15627324459942e-07, 6.08574864600143e-05, 8.51377133304701e-03, 2.48287947061529e-01),
    (
        6.10247389755681e-13,
        5.76102136993427e-09,
        6.29106785017040e-06,
        1.70198817374094e-03,
        1.16817656904453e-01,
        9.93151921023180e-01,
    ),
)
"""Odd numerator and even denominator of the rational approximations in ONNX Runtime's tanh.cpp and logistic.cpp."""


def _rational(x: Array, limit: float, parts: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    x = np.clip(x, np.float32(-limit), np.float32(limit))
    square = x * x
    return (_horner(square, parts[0]) * x) / _horner(square, parts[1])


def _tanh(attributes: Mapping[str, Any], x: Array) -> Array:
    return _rational(x, 9.0, TANH)


def _sigmoid(attributes: Mapping[str, Any], x: Array) -> Array:
    return np.clip(_rational(x, 18.0, LOGISTIC) + np.float32(0.5), np.float32(0), np.float32(1))


def _hard_sigmoid(attributes: Mapping[str, Any], x: Array) -> Array:
    line = np.float32(attributes["alpha"]) * x + np.float32(attributes["beta"])
    return np.maximum(np.float32(0), np.minimum(np.float32(1), line))


def _hard_swish(attributes: Mapping[str, Any], x: Array) -> Array:
    return x * _hard_sigmoid({"alpha": np.float32(1 / 6), "beta": 0.5}, x)


def _clip(attributes: Mapping[str, Any], x: Array) -> Array:
    low, high = attributes.get("min", -np.inf), attributes.get("max", np.inf)
    return np.minimum(np.maximum(x, np.float32(low)), np.float32(high))


def _divide(attributes: Mapping[str, Any], a: Array, b: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return a / b


def _softmax(attributes: Mapping[str, Any], x: Array) -> Array:
    axis = attributes["axis"]
    power = np.exp(x - x.max(axis=axis, keepdims=True))
    return power / power.sum(axis=axis, keepdims=True)


def _lane_sum(rows: Array) -> Array:
    """float32[r]: the sums of float32[r, n] as four lanes, lanes 0 + 2 and 1 + 3 first, then the odd ones out."""
    whole = rows.shape[1] // 4 * 4
    lanes = np.zeros((len(rows), 4), np.float32)
    for start in range(0, whole, 4):
        lanes = lanes + rows[:, start : start + 4]
    total = (lanes[:, 0] + lanes[:, 2]) + (lanes[:, 1] + lanes[:, 3])
    for index in range(whole, rows.shape[1]):
        total = total + rows[:, index]
    return total


def _global_average_pool(attributes: Mapping[str, Any], x: Array) -> Array:
    count = int(np.prod(x.shape[2:]))
    means = _lane_sum(x.reshape(-1, count)) / np.float32(count)
    return means.reshape(*x.shape[:2], *(1,) * (x.ndim - 2))


def _aligned_sum(row: Array, offset: int) -> np.float32:
    """The sum of one row of a larger array: two packets of four from the first aligned element, as Eigen reduces.

    The row starts `offset` elements into the array, so where its packets start depends on the row.
    """
    count = len(row)
    start = min(-offset % 4, count)
    whole, pairs = (count - start) // 4 * 4, (count - start) // 8 * 8
    if whole == 0:
        total = np.float32(0)
        for value in row:
            total = total + value
        return total
    packet = row[start : start + 4]
    if whole > 4:
        other = row[start + 4 : start + 8]
        for index in range(start + 8, start + pairs, 8):
            packet = packet + row[index : index + 4]
            other = other + row[index + 4 : index + 8]
        packet = packet + other
        if whole > pairs:
            packet = packet + row[start + pairs : start + pairs + 4]
    total = (packet[0] + packet[2]) + (packet[1] + packet[3])
    for value in (*row[:start], *row[start + whole :]):
        total = total + value
    return np.float32(total)


def _reduce_mean(attributes: Mapping[str, Any], x: Array) -> Array:
    axes, keepdims = tuple(sorted(attributes["axes"])), bool(attributes["keepdims"])
    if not is_exact("ReduceMean", attributes, x.ndim):
        return x.astype(np.float64).mean(axis=axes, keepdims=keepdims)
    count = int(np.prod([x.shape[a] for a in axes]))
    rows = x.reshape(-1, count)
    sums = np.array([_aligned_sum(row, i * count) for i, row in enumerate(rows)], np.float32)
    shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes]
    return (sums / np.float32(count)).reshape(shape)


def _batch_normalization(
    attributes: Mapping[str, Any], x: Array, scale: Array, bias: Array, mean: Array, variance: Array
) -> Array:
    if scale.ndim == 1:
        shape = (1, -1, *(1,) * (x.ndim - 2))
        scale, bias, mean, variance = (v.reshape(shape) for v in (scale, bias, mean, variance))
    factor = scale * (np.float32(1) / np.sqrt(variance + np.float32(attributes["epsilon"])))
    return x * factor + (bias - mean * factor)


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
    "PRelu": lambda _, x, slope: np.where(x < 0, x * slope, x),
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Add": lambda _, a, b: a + b,
    "Sub": lambda _, a, b: a - b,
    "Mul": lambda _, a, b: a * b,
    "Div": _divide,
    "Min": lambda _, *xs: np.minimum.reduce(np.broadcast_arrays(*xs)),
    "Max": lambda _, *xs: np.maximum.reduce(np.broadcast_arrays(*xs)),
    "Concat": lambda a, *xs: np.concatenate(xs, a["axis"]),
    "Softmax": _softmax,
    "BatchNormalization": _batch_normalization,
    "ReduceMean": _reduce_mean,
    "GlobalAveragePool": _global_average_pool,
    "MatMul": lambda _, a, b: a.astype(np.float64) @ b.astype(np.float64),
    "Gemm": _gemm,
    "Conv": _conv,
}
"""ONNX op -> its float32 form, f(attributes, *operands)."""
