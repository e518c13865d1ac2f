from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import intsim
from intsim import demo


@pytest.mark.parametrize("bits", [12, 14, 16])
@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
def test_the_shipped_model_on_a_narrow_accumulator(bits: int, overflow: str) -> None:
    """The ordered kernel is the spec: codes, accumulators, and where they overflow. The tool does it on all images."""
    with np.load(demo.images()) as file:
        x = file["x"][:2]
    model = intsim.load(demo.quantized_model(), target="diffquant")
    narrow = model.with_target(replace(model.target, accumulator_bits=bits, overflow=overflow))
    taps = ["codes", "accumulator", "overflow"]
    kernels, spec = narrow.run(x, taps=taps), narrow.run(x, taps=taps, engine="spec")
    assert dict(kernels.overflows) == dict(spec.overflows) != {}
    for name, expected in spec.taps.items():
        got = kernels.taps[name]
        assert got.codes is not None and expected.codes is not None
        assert np.array_equal(got.codes, expected.codes)
        assert got.summary() == expected.summary()
        if expected.accumulator is not None:
            assert got.accumulator is not None
            assert np.array_equal(got.accumulator, expected.accumulator)
