"""Tables against the spec."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from intsim import spec
from intsim.kernels.packed.ops import table
from intsim.kernels.packed.ops.table import BYTES, CHANNELS, LINE, OUT_LINE, TABLE
from intsim.kernels.packed.rows import IN
from tests.kernels.packed.run import Buffer, each_isa, run

RNG = np.random.default_rng(9)
make = functools.cache(table.make)


@each_isa
@pytest.mark.parametrize("vbmi", [0, 1])
@pytest.mark.parametrize("channelwise", [0, 1])
@pytest.mark.parametrize("shape", [(16, 3, 256), (3, 2, 5), (37, 4, 7)])
def test_spec(number: int, vbmi: int, channelwise: int, shape: tuple[int, int, int]) -> None:
    if vbmi and not table.has_vbmi():
        pytest.skip("this processor has no AVX512-VBMI")
    x = RNG.integers(-128, 128, shape)
    entries = RNG.integers(-128, 128, (shape[0], 256) if channelwise else 256)
    buffer, out = Buffer(shape, (0, 1, 0, 0)).fill(x + 128), Buffer(shape, (1, 0, 1, 2))
    stored = (entries + 128).astype(np.uint8)
    if channelwise:
        stored = np.pad(stored, ((0, buffer.channels - shape[0]), (0, 0)))
    columns = {
        IN: buffer.address,
        LINE: buffer.line,
        OUT_LINE: out.line,
        BYTES: shape[2] * buffer.pixel,
        TABLE: stored,
        CHANNELS: buffer.channels,
    }
    expected = spec.table(x, table=entries, low=-128, axis=0)
    np.testing.assert_array_equal(run(make(vbmi, channelwise), columns, shape[1], out), expected + 128)
