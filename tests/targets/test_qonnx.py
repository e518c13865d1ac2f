"""QONNX judges its Quant and Trunc, by recorded vectors: tools/record_qonnx.py made them with PyPI's qonnx."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.spec.quantize_qonnx import ROUNDING_MODES

MODES = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")


@functools.cache
def recorded() -> Any:
    return np.load(Path(__file__).with_name("qonnx.npz"), allow_pickle=False)


def test_provenance() -> None:
    assert recorded()["provenance"].tolist() == ["qonnx 1.0.0", "numpy 2.4.6", "onnx 1.23.2"]
    assert tuple(recorded()["modes"]) == MODES
    assert set(MODES) == set(ROUNDING_MODES) - {"HALF_EVEN"}


@pytest.mark.parametrize("mode", MODES)
def test_quant(mode: str) -> None:
    for f, (bits, signed, narrow, zero) in enumerate(recorded()["formats"].tolist()):
        for s, scale in enumerate(recorded()["scales"]):
            given: dict[str, Any] = {"bits": int(bits), "signed": bool(signed), "narrow": bool(narrow)}
            codes = spec.quantize_qonnx(recorded()["r"], scale=scale, zero_point=int(zero), rounding_mode=mode, **given)
            assert np.array_equal(codes, recorded()["quant"][MODES.index(mode), f, s]), given


@pytest.mark.parametrize("mode", MODES)
def test_trunc(mode: str) -> None:
    for shift in range(recorded()["trunc"].shape[1]):
        codes = spec.requantize(recorded()["codes"], shift=shift, rounding=ROUNDING_MODES[mode], bits=4, signed=True)
        assert np.array_equal(codes, recorded()["trunc"][MODES.index(mode), shift])
