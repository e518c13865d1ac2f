"""The largest code of each window against the spec."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.kernels.packed.ops import max_pool
from intsim.kernels.packed.ops.max_pool import COLUMN_TAPS, KERNEL_H, KERNEL_W, OUT_LINE, PIXEL, ROW_TAPS, WIDTH
from intsim.kernels.packed.rows import IN
from tests.kernels.packed.run import Buffer, each_isa, run

make = functools.cache(max_pool.make)


@each_isa
@pytest.mark.parametrize("unrolled", [True, False])
@pytest.mark.parametrize(
    ("shape", "kernel", "strides", "pads", "dilations", "ceil_mode"),
    [
        ((64, 8, 9), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), False),
        ((40, 7, 6), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), True),
        ((3, 9, 9), (3, 3), (2, 2), (0, 0, 0, 0), (1, 1), True),
        ((100, 5, 7), (3, 2), (1, 3), (2, 1, 0, 0), (1, 1), False),
        ((16, 9, 8), (2, 3), (1, 2), (1, 2, 2, 1), (3, 2), False),
        ((17, 4, 5), (4, 5), (1, 1), (0, 0, 0, 0), (1, 1), False),
    ],
)
def test_spec(
    number: int, unrolled: bool, shape: Any, kernel: Any, strides: Any, pads: Any, dilations: Any, ceil_mode: bool
) -> None:
    x = np.random.default_rng(5).integers(-128, 0, shape)
    parameters = {"kernel": kernel, "strides": strides, "pads": pads, "dilations": dilations, "ceil_mode": ceil_mode}
    expected = spec.max_pool(x[None], **parameters)[0]
    buffer, out = Buffer(shape, (1, 2, 0, 1), 255).fill(x + 128), Buffer(expected.shape, (0, 1, 1, 0))
    sizes = (buffer.line, buffer.pixel)
    taps = [
        max_pool.tap_offsets(
            shape[1 + i], expected.shape[1 + i], kernel[i], strides[i], dilations[i], pads[i], sizes[i]
        )
        for i in (0, 1)
    ]
    columns = {
        IN: buffer.address,
        ROW_TAPS: taps[0],
        COLUMN_TAPS: taps[1],
        KERNEL_H: kernel[0],
        KERNEL_W: kernel[1],
        PIXEL: buffer.pixel,
        OUT_LINE: out.line,
        WIDTH: expected.shape[2],
    }
    op = make(*(kernel if unrolled else (0, 0)), max_pool.width_for(buffer.pixel, number))
    np.testing.assert_array_equal(run(op, columns, expected.shape[1], out), expected + 128)
