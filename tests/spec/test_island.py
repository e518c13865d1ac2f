from __future__ import annotations

import numpy as np
import pytest

from intsim import spec
from intsim.errors import UnsupportedOp
from tests.spec.judges import onnx_reference


def test_float32_operations_as_onnx_says() -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.normal(0, 4, (2, 3)).astype(np.float32) for _ in range(2))
    assert np.array_equal(spec.island(x, function="Relu", attributes={}), onnx_reference("Relu", [x]))
    assert np.array_equal(spec.island(x, y, function="Mul", attributes={}), onnx_reference("Mul", [x, y]))
    clip = spec.island(x, function="Clip", attributes={"min": -1.0, "max": 2.0})
    assert np.array_equal(clip, onnx_reference("Clip", [x, np.float32(-1), np.float32(2)]))
    assert clip.dtype == np.float32


def test_an_unknown_function_is_named() -> None:
    with pytest.raises(UnsupportedOp, match="no float form of Foo"):
        spec.island(np.zeros(1, np.float32), function="Foo", attributes={})


def test_a_constant_is_its_value() -> None:
    value = np.arange(6, dtype=np.int8).reshape(2, 3)
    assert np.array_equal(spec.constant(value=value), value)
    assert spec.constant(value=value).dtype == np.int8
