"""Unbounded integers on NumPy: int64 where exact bounds prove that it is enough, Python's own integers elsewhere."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain

Integers = npt.NDArray[Any]
"""int64[...], or object[...] of Python integers."""

INT64 = (-(2**63), 2**63 - 1)


def as_integers(values: npt.ArrayLike, name: str) -> Integers:
    """The values as int64, or as object where one of them does not fit.

    values: an int, an array of any integer dtype, or an object array of integers.
    Raises OutOfDomain for reals, booleans and anything else that is no integer.
    """
    # from a list with a large integer in it, NumPy alone would make float64
    array = values if isinstance(values, np.ndarray | np.generic) else np.asarray(values, object)
    array = np.asarray(array)
    if array.dtype.kind == "O":
        try:
            array = np.asarray(np.frompyfunc(operator.index, 1, 1)(array), object)
        except TypeError:
            raise OutOfDomain(f"{name} must hold integers, not {_first_foreign(array)!r}") from None
        return _smallest(array)
    if array.dtype.kind not in "iu":
        raise OutOfDomain(f"{name} must hold integers, not {array.dtype.name}")
    if array.dtype == np.uint64:
        return _smallest(array.astype(object))
    return array.astype(np.int64, copy=False)


def bounds(values: Integers) -> tuple[int, int]:
    """The least and the greatest of the values, as Python integers; (0, 0) where there are none."""
    return (int(values.min()), int(values.max())) if values.size else (0, 0)


def dtype_for(low: int, high: int) -> np.dtype[Any]:
    """int64 if it holds low to high, else object."""
    return np.dtype(np.int64 if INT64[0] <= low and high <= INT64[1] else object)


def result(values: Any) -> Integers:
    """The values as a spec function returns them: an array of int64 if all of them fit, else of object."""
    return as_integers(values, "result")


def add(a: Integers, b: Integers) -> Integers:
    """a + b, exactly."""
    (a_low, a_high), (b_low, b_high) = bounds(a), bounds(b)
    dtype = dtype_for(min(a_low, b_low, a_low + b_low), max(a_high, b_high, a_high + b_high))
    return result(a.astype(dtype) + b.astype(dtype))


def subtract(a: Integers, b: Integers) -> Integers:
    """a - b, exactly."""
    (a_low, a_high), (b_low, b_high) = bounds(a), bounds(b)
    dtype = dtype_for(min(a_low, b_low, a_low - b_high), max(a_high, b_high, a_high - b_low))
    return result(a.astype(dtype) - b.astype(dtype))


def multiply(a: Integers, b: Integers) -> Integers:
    """a * b, exactly."""
    a_bounds, b_bounds = bounds(a), bounds(b)
    corners = [x * y for x in a_bounds for y in b_bounds]
    dtype = dtype_for(min(*a_bounds, *b_bounds, *corners), max(*a_bounds, *b_bounds, *corners))
    return result(a.astype(dtype) * b.astype(dtype))


def shift_left(a: Integers, amount: Integers) -> Integers:
    """a * 2**amount, exactly; amount >= 0."""
    return multiply(a, np.asarray(np.left_shift(np.asarray(1, object), amount)))


def along(parameter: npt.NDArray[Any], axis: int | None, shape: tuple[int, ...], name: str) -> npt.NDArray[Any]:
    """A parameter ready to broadcast against `shape`: one per channel (1-D) lies along `axis`, if there is one.

    A scalar, or an array with the axes of `shape`, stays as it is. Raises OutOfDomain if it does not fit.
    """
    if axis is not None and parameter.ndim == 1 and len(shape) > 1:
        if not -len(shape) <= axis < len(shape):
            raise OutOfDomain(f"axis must be within the {len(shape)} axes, not {axis!r}")
        if parameter.size not in (1, shape[axis]):
            raise OutOfDomain(f"{name} must have 1 or {shape[axis]} elements, not {parameter.size}")
        return parameter.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])
    try:
        np.broadcast_shapes(parameter.shape, shape)
    except ValueError:
        raise OutOfDomain(f"{name} must broadcast to shape {shape}, not {parameter.shape}") from None
    return parameter


def _smallest(array: Integers) -> Integers:
    return array.astype(dtype_for(*bounds(array)), copy=False)


def _first_foreign(array: Integers) -> Any:
    return next(v for v in array.flat if not hasattr(v, "__index__"))
