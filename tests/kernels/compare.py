"""Compares a kernel with the spec of the same stem: equal values, the storage dtype, however it is called."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numba
import numpy as np

from intsim.formats import storage_dtype
from intsim.kernels.parallel import Pool

Array = np.ndarray[Any, np.dtype[Any]]

MACS = ("conv", "matmul", "post_conv", "post_matmul")


def kernel_of(op: str) -> Callable[..., Any]:
    """The kernel with this stem."""
    return getattr(import_module(f"intsim.kernels.{op}"), op)


def spec_of(op: str) -> Callable[..., Any]:
    """The spec with this stem."""
    return getattr(import_module(f"intsim.spec.{op}"), op)


def assert_same(op: str, *xs: Any, under_test: Any = None, **parameters: Any) -> None:
    """Fail unless the kernel gives the spec's result: in one thread, in two, and from read-only strided inputs."""
    kernel = under_test or kernel_of(op)
    expected = spec_of(op)(*xs, **parameters)
    check(op, kernel(*xs, **parameters), expected, parameters)
    config: Any = numba.config
    if config.DISABLE_JIT:  # plain Python: once is slow enough
        return
    with Pool(2) as pool:
        check(op, kernel(*xs, **parameters, pool=pool), expected, parameters)
    check(op, kernel(*map(strided, xs), **parameters), expected, parameters)
    if op in MACS:
        acc, overflowed = kernel(*xs, **parameters, check=False)
        assert overflowed is None
        if parameters["overflow"] == "wrap" and parameters.get("summation") is None:
            check(op, (acc, expected[1]), expected, parameters)


def check(op: str, result: Any, expected: Any, parameters: dict[str, Any]) -> None:
    """Fail unless the results have equal elements, shapes and, for codes, the storage dtype of the parameters."""
    if op in MACS:
        for got, want in zip(result, expected, strict=True):
            assert_equal(got, want)
        assert result[0].dtype == storage_dtype(max(parameters["accumulator_bits"], 32), True)
        assert result[1].dtype == np.uint8
        return
    assert_equal(result, expected)
    if "bits" in parameters:
        assert result.dtype == storage_dtype(parameters["bits"], parameters["signed"])


def assert_equal(got: Array, want: Array) -> None:
    """Fail unless shapes and values are equal; float32 by bit patterns. Names the first difference."""
    assert got.shape == want.shape
    if want.dtype.kind == "f":
        assert got.dtype == want.dtype
        got, want = (x.view(np.dtype(f"i{x.itemsize}")) for x in (np.atleast_1d(got), np.atleast_1d(want)))
    different = np.argwhere(np.asarray(got != want))
    if len(different):
        at = tuple(int(i) for i in different[0])
        raise AssertionError(f"{len(different)} of {want.size} differ, first at {at}: {got[at]}, not {want[at]}")


def strided(x: Array) -> Array:
    """x as a read-only array with gaps between its elements and its first two axes exchanged in memory."""
    if x.ndim == 0:
        return x
    order = (1, 0, *range(2, x.ndim)) if x.ndim > 1 else (0,)
    store = np.zeros((*(x.shape[a] for a in order[:-1]), 2 * x.shape[order[-1]]), x.dtype)
    view = store[..., ::2].transpose(order)
    view[...] = x
    view.flags.writeable = False
    return view


def f32(values: Any) -> Array:
    """The values as a float32 array."""
    return np.array(values, np.float32)


def codes(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> Array:
    """Random codes over a dtype's whole range, with both ends present."""
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    x.reshape(-1)[: min(2, x.size)] = (info.min, info.max)[: min(2, x.size)]
    return x
