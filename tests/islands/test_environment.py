"""Results depend on no rounding mode and on no treatment of denormals that the process has set."""

from __future__ import annotations

import contextlib
import ctypes
import platform
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper

import intsim
from intsim import demo
from intsim.errors import IntsimError
from intsim.islands.environment import standard_floats
from tests.models.quantize import CONFIGURATIONS, preprocess, quantize
from tests.models.small import GRAPHS, small, small_input
from tests.mutations import NETWORKS

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="MXCSR is x86's")

NEAREST, DOWN, UP, TOWARD_ZERO = range(4)
FLUSH = 0x8040
"""FTZ and DAZ."""

ENVIRONMENTS = [(mode, flush) for mode in (NEAREST, DOWN, UP, TOWARD_ZERO) for flush in (0, FLUSH)]
MXCSR = 28
"""Where fenv_t has it, in bytes."""

Array = np.ndarray[Any, Any]

_libm = ctypes.CDLL("libm.so.6") if platform.machine() == "x86_64" else None


def mxcsr() -> int:
    """The register without the flags that operations leave."""
    buffer = ctypes.create_string_buffer(32)
    assert _libm is not None
    _libm.fegetenv(buffer)
    return int.from_bytes(buffer.raw[MXCSR:], "little") & ~0x3F


@contextlib.contextmanager
def environment(mode: int, flush: int) -> Iterator[None]:
    """The thread's rounding mode, and whether denormals are flushed."""
    assert _libm is not None
    before = ctypes.create_string_buffer(32)
    _libm.fegetenv(before)
    changed = before.raw[:MXCSR] + (0x1F80 | mode << 13 | flush).to_bytes(4, "little")
    _libm.fesetenv(ctypes.create_string_buffer(changed, 32))
    try:
        yield
    finally:
        _libm.fesetenv(before)


@cache
def quantized(name: str) -> bytes:
    configuration = CONFIGURATIONS["qdq-u8-asymmetric-channel"]
    return quantize(preprocess(small(name)), configuration, small_input(name, 8)).SerializeToString()


def outcome(name: str, x: Array, engine: str) -> dict[str, Array]:
    """Loaded, lowered and run, all of it in the environment of the caller."""
    model = intsim.load(quantized(name), target="onnxruntime")
    result = model.run(x, taps=["codes"], engine=engine)
    codes = {key: tap.codes for key, tap in result.taps.items() if tap.codes is not None}
    return {**codes, **{f"{key}#real": output.real for key, output in result.outputs.items()}}


@pytest.mark.parametrize("name", GRAPHS)
def test_every_environment_gives_the_same_bits(name: str) -> None:
    pytest.importorskip("onnxruntime")
    x = small_input(name, 4)
    expected = {engine: outcome(name, x, engine) for engine in ("kernels", "spec")}
    for mode, flush in ENVIRONMENTS[1:]:
        with environment(mode, flush):
            for engine, arrays in expected.items():
                found = outcome(name, x, engine)
                assert mxcsr() == 0x1F80 | mode << 13 | flush, "the caller's own comes back"
                for key, array in arrays.items():
                    assert np.array_equal(found[key], array), (key, engine, mode, flush)


def test_the_mode_matters_without_the_guard() -> None:
    """Else the tests above could not fail."""
    a, b = np.array([1, 1e-38], np.float32), np.array([3, 10], np.float32)
    with environment(UP, FLUSH):
        with standard_floats():
            guarded = a / b
        bare = a / b
    assert guarded.tolist() == (a / b).tolist() != bare.tolist()


def test_spec_functions_are_guarded() -> None:
    arguments: dict[str, Any] = {"multiplier": np.float32(0.01234567), "bits": 8, "signed": True}
    acc = np.arange(-9000, 9000)
    expected = intsim.spec.requantize_float32(acc, **arguments)
    with environment(DOWN, FLUSH):
        assert np.array_equal(intsim.spec.requantize_float32(acc, **arguments), expected)


def test_a_comparison_and_a_quantization_are_guarded(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from intsim.quantization import quantize_model

    members = np.load(demo.images())
    calibration = members["calibration"][:32].astype(np.float32)
    plain = quantize_model(demo.float_model(), calibration).model.SerializeToString()
    with environment(UP, FLUSH):
        assert quantize_model(demo.float_model(), calibration).model.SerializeToString() == plain
        model = intsim.load(demo.quantized_model(), target="onnxruntime")
        assert intsim.compare(model, "onnxruntime", members["x"][:4]).equal


@pytest.mark.filterwarnings("error")
def test_infinities_are_results_without_a_warning() -> None:
    huge = np.array([3e38, -3e38], np.float32)
    before = np.geterr()
    with standard_floats():
        assert np.isinf(huge * huge).all() and np.isnan(huge * huge - huge * huge).all() and np.isinf(huge / 0).all()
    assert np.geterr() == before
    with pytest.raises(RuntimeWarning, match="overflow"):
        huge * huge


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-45, 3e38])
@pytest.mark.parametrize("make", NETWORKS)
def test_scales_at_the_ends_of_float32_bring_no_warning(make: Callable[[], ModelProto], scale: float) -> None:
    """A NumPy warning would be two lines on stderr, with the path of a source file."""
    model = make()
    for initializer in model.graph.initializer:
        values = numpy_helper.to_array(initializer)
        if values.dtype == np.float32 and values.size <= 64:
            initializer.CopyFrom(numpy_helper.from_array(np.full_like(values, scale), initializer.name))
    with contextlib.suppress(IntsimError):
        loaded = intsim.load(model)
        shape = [n if isinstance(n, int) else 1 for n in loaded.graph.values[loaded.graph.inputs[0]].shape]
        loaded.run(np.full(shape, 1e38, np.float32), engine="spec")
