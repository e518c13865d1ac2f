"""Metrics: how far apart two results are, in classes, in reals and in distributions.

Scores are [N, classes], reals or codes. The class of an input is its largest score, the first one where several
are equal.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from intsim.errors import UnusableInput

Array = np.ndarray[Any, Any]

LARGEST = 1e140
"""The largest number whose square, times as many as memory holds, is a float64."""


def top1(scores: Array, labels: Array) -> float:
    """The share of inputs whose class is the label: scores [N, classes], labels integers [N].

    Errors: UnusableInput for other shapes, no input at all, or labels that are no integers.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise UnusableInput(f"labels must be integers, not {labels.dtype}")
    found = _classes(scores)
    if labels.shape != found.shape:
        raise UnusableInput(f"labels must have the shape {list(found.shape)}, not {list(labels.shape)}")
    return float(np.mean(found == labels))


def agreement(scores: Array, others: Array) -> float:
    """The share of inputs that get the same class from both: [N, classes] each. Errors: UnusableInput."""
    return float(np.mean(_pairs(scores, others)))


def compression_difference(scores: Array, others: Array) -> float:
    """DiffQuant's CD: the share of inputs whose class differs, [N, classes] each. Errors: UnusableInput."""
    return float(np.mean(~_pairs(scores, others)))


def mse(a: Array, b: Array) -> float:
    """The mean squared error of two arrays of one shape: mean((a - b)**2), in float64. Errors: UnusableInput."""
    a, b = _reals(a, b)
    return float(np.mean((a - b) ** 2))


def pcc(a: Array, b: Array) -> float:
    """Pearson's correlation of two arrays of one shape: cov(a, b) / sqrt(var(a) var(b)), in float64, -1 to 1.

    A constant array has no correlation: 1.0 where both arrays are equal, else 0.0. Errors: UnusableInput.
    """
    a, b = _reals(a, b)
    if np.array_equal(a, b):
        return 1.0
    a, b = a - a.mean(), b - b.mean()
    return correlation(float(np.vdot(a, b)), float(np.vdot(a, a)), float(np.vdot(b, b)))


def correlation(covariance: float, variance_a: float, variance_b: float) -> float:
    """cov / sqrt(var_a var_b), limited to [-1, 1] against rounding; 0.0 where a variance is zero."""
    if variance_a <= 0.0 or variance_b <= 0.0:
        return 0.0
    return max(-1.0, min(1.0, covariance / (math.sqrt(variance_a) * math.sqrt(variance_b))))


def jsd(p: Array, q: Array) -> float:
    """The Jensen-Shannon divergence of two histograms over the same bins, base 2: 0 = equal, 1 = disjoint.

    (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2 of the normalised histograms, 0 log 0 = 0.
    p, q: non-negative counts or rates of one shape. Errors: UnusableInput, also for an empty histogram.
    """
    p, q = _reals(p, q)
    if p.min() < 0 or q.min() < 0 or not p.sum() > 0 or not q.sum() > 0:
        raise UnusableInput("histograms must hold non-negative counts, and at least one")
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    return max(0.0, min(1.0, (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2))


def similarity(p: Array, q: Array) -> float:
    """1 - jsd(p, q): 1 = equal, 0 = disjoint, as the DiffQuant paper prints it."""
    return 1.0 - jsd(p, q)


def _relative_entropy(p: Array, q: Array) -> float:
    """KL(p || q) in bits; q > 0 wherever p > 0."""
    used = p > 0
    return float(np.sum(p[used] * np.log2(p[used] / q[used])))


def _classes(scores: Array) -> Array:
    scores = _numbers(scores)
    if scores.ndim != 2 or 0 in scores.shape:
        raise UnusableInput(f"scores must be [inputs, classes] with at least one of each, not {list(scores.shape)}")
    return np.argmax(scores, axis=1)


def _pairs(scores: Array, others: Array) -> Array:
    a, b = _classes(scores), _classes(others)
    if a.shape != b.shape:
        raise UnusableInput(f"both must score the same inputs, not {len(a)} and {len(b)}")
    return a == b


def _reals(a: Array, b: Array) -> tuple[Array, Array]:
    a, b = _numbers(a).astype(np.float64), _numbers(b).astype(np.float64)
    if a.shape != b.shape or a.size == 0:
        raise UnusableInput(f"both arrays must have one shape and an element, not {list(a.shape)} and {list(b.shape)}")
    for array in (a, b):
        least, most = array.min(), array.max()
        if not -LARGEST <= least <= most <= LARGEST:  # NaN is not either
            raise UnusableInput(f"both arrays must hold numbers of up to ±{LARGEST:g}, not {least} to {most}")
    return a, b


def _numbers(array: Array) -> Array:
    """The array. Errors: UnusableInput where its elements are no real numbers."""
    array = np.asarray(array)
    if array.dtype.kind not in "biuf":
        raise UnusableInput(f"an array must hold real numbers, not {array.dtype}")
    return array
