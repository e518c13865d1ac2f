"""The float32 steps of ONNX Runtime's requantizers. NumPy rounds each float32 operation on its own, to nearest even."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.integers import Integers, along

Float32 = npt.NDArray[np.float32]

WIDEST = 16
"""Bits of the codes that these formulas are defined for: every code, and code minus zero point, is exact in float32."""


def reals(values: npt.ArrayLike, name: str) -> Float32:
    """The values as float32[...]. Raises OutOfDomain for NaN, and for what is no float32 value."""
    array = np.asarray(values)
    if array.dtype.kind != "f":
        raise OutOfDomain(f"{name} must hold float32 values, not {array.dtype.name}")
    if np.isnan(array).any():
        raise OutOfDomain(f"{name} must hold no NaN")
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    if (single != array).any():
        raise OutOfDomain(f"{name} must hold float32 values, not {float(array[single != array].flat[0])!r}")
    return single


def scales(values: Any, axis: int | None, shape: tuple[int, ...], name: str) -> Float32:
    """Positive finite float32 factors that broadcast against `shape`; one per channel lies along `axis`."""
    array = reals(np.asarray(values) if isinstance(values, np.ndarray) else np.asarray(values, np.float64), name)
    good = np.isfinite(array) & (array > 0)
    if not good.all():
        raise OutOfDomain(f"{name} must be positive and finite, not {float(array[~good].flat[0])!r}")
    return along(array, None if axis is None else checks.integer(axis, -64, 63, "axis"), shape, name)


def factor(value: Any, name: str) -> Float32:
    """One positive finite float32 factor, without axes."""
    array = scales(value, None, (1,), name)
    if array.size != 1:
        raise OutOfDomain(f"{name} must be one number, not of shape {array.shape}")
    return array.reshape(())


def code_range(bits: Any, signed: Any, narrow: Any) -> tuple[int, int]:
    """The lowest and the highest code, of at most 16 bits."""
    return checks.code_range(checks.integer(bits, 1, WIDEST, "bits"), signed, narrow)


def to_float32(values: Integers, name: str) -> Float32:
    """The integers in float32, each rounded once (half_even). Raises OutOfDomain for what is no int64."""
    if values.dtype == object:
        raise OutOfDomain(f"{name} must fit in int64")
    return values.astype(np.float32)


def clamp_round(f: Float32, zero_point: Integers, low: int, high: int) -> Integers:
    """int64: half_even(min(max(f, low - zero_point), high - zero_point)) + zero_point."""
    clamped = np.minimum(np.maximum(f, (low - zero_point).astype(np.float32)), (high - zero_point).astype(np.float32))
    return np.asarray(np.rint(clamped).astype(np.int64) + zero_point)


def round_saturate(f: Float32, low: int, high: int) -> Integers:
    """int64: min(max(half_even(f), low), high); low where half_even(f) is 2**31 or more.

    The integer passes through int32, where x86's conversion (CVTPS2DQ) makes -2**31 of all that does not fit.
    """
    whole = np.rint(f)
    clipped = np.minimum(np.maximum(whole, np.float32(low)), np.float32(high))
    return np.asarray(np.where(whole < np.float32(2**31), clipped, np.float32(low)).astype(np.int64))
