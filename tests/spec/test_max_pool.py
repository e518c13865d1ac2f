from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from intsim import spec
from intsim.errors import OutOfDomain
from tests.spec.judges import onnx_reference, onnxruntime
from tests.spec.pools import onnx_attributes, poolings
from tests.spec.second import Array, window_elements

CROOKED: dict[str, Any] = {
    "kernel": (3, 2),
    "strides": (2, 1),
    "pads": (2, 0, 1, 1),
    "dilations": (1, 2),
    "ceil_mode": True,
}


def mismatches(function: Callable[..., Array], x: Array, parameters: dict[str, Any]) -> int:
    """How many codes differ from the largest element of each window, found by walking."""
    codes = function(x, **parameters)
    window = {k: parameters[k] for k in ("kernel", "strides", "pads", "dilations")}
    return sum(int(c) != max(window_elements(x, at, **window)[0]) for at, c in np.ndenumerate(codes))


@given(poolings())
def test_any_window(pooling: tuple[Array, dict[str, Any]]) -> None:
    assert mismatches(spec.max_pool, *pooling) == 0


def test_mutants_are_caught() -> None:
    x = np.random.default_rng(0).integers(-128, -1, (1, 2, 7, 6))

    def zero_wins(x: Array, **p: Any) -> Array:
        return np.maximum(spec.max_pool(x, **p), 0)

    def shifted_pad(x: Array, **p: Any) -> Array:
        return spec.max_pool(x, **{**p, "pads": (1, 0, 2, 1)})

    def swapped_axis(x: Array, **p: Any) -> Array:
        turned = {k: v[::-1] for k, v in p.items() if k in ("kernel", "strides", "dilations")}
        top, left, bottom, right = p["pads"]
        return spec.max_pool(x, **turned, pads=(left, top, right, bottom), ceil_mode=p["ceil_mode"])

    assert mismatches(spec.max_pool, x, CROOKED) == 0
    for mutant in (zero_wins, shifted_pad):
        assert mismatches(mutant, x, CROOKED) > 0, mutant.__name__
    assert swapped_axis(x, **CROOKED).shape != spec.max_pool(x, **CROOKED).shape


@given(poolings())
def test_as_onnx_runtime(pooling: tuple[Array, dict[str, Any]]) -> None:
    pytest.importorskip("onnxruntime")
    x, parameters = pooling
    expected = onnxruntime("MaxPool", [x.astype(np.float32)], **onnx_attributes(parameters))
    assert np.array_equal(spec.max_pool(x, **parameters), expected)


@given(poolings())
def test_as_onnx_says(pooling: tuple[Array, dict[str, Any]]) -> None:
    """Without padding: the reference evaluator's own padding is one-sided."""
    x, parameters = pooling
    parameters = {**parameters, "pads": (0,) * len(parameters["pads"]), "ceil_mode": False}
    expected = onnx_reference("MaxPool", [x.astype(np.float64)], **onnx_attributes(parameters))
    assert np.array_equal(spec.max_pool(x, **parameters), expected)


def test_padding_never_wins_for_any_dtype() -> None:
    for dtype, low in ((np.int8, -128), (np.uint8, 0), (object, -(2**70))):
        x = np.full((1, 1, 2, 2), low, dtype)
        pooled = spec.max_pool(x, **{**CROOKED, "kernel": (2, 2), "dilations": (1, 1), "pads": (1, 1, 1, 1)})
        assert set(pooled.ravel().tolist()) == {low}


def test_wrong_parameters() -> None:
    x = np.zeros((1, 1, 4, 4), int)
    message = r"pads must leave each window an element of the image, not \(5, 0, 0, 0\): window \(0, 0\) has none"
    with pytest.raises(OutOfDomain, match=message):
        spec.max_pool(x, **{**CROOKED, "pads": (5, 0, 0, 0)})
    with pytest.raises(OutOfDomain, match=r"x must have a rank of at least 3, not shape \(4, 4\)"):
        spec.max_pool(x[0, 0], **CROOKED)
    with pytest.raises(OutOfDomain, match="x must hold integers, not float64"):
        spec.max_pool(x * 1.0, **CROOKED)
    with pytest.raises(OutOfDomain, match="ceil_mode must be True or False, not 'up'"):
        spec.max_pool(x, **{**CROOKED, "ceil_mode": "up"})
