"""Another axis as the channels: every element at its place, in parts, nothing written between pixels or after them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.kernels.packed.ops import transpose
from intsim.kernels.packed.rows import IN
from tests.kernels.packed.run import Buffer, needs_instructions, run

pytestmark = needs_instructions


@pytest.mark.parametrize("shape", [(5, 1, 5), (17, 3, 20), (48, 2, 16), (31, 5, 33), (16, 4, 6)])
@pytest.mark.parametrize("lines", [False, True])
def test_transpose(shape: tuple[int, int, int], lines: bool) -> None:
    """Columns become the channels, and the channels columns, or lines; [C, H, W] with padding around both images."""
    x = np.random.default_rng(0).integers(0, 256, shape)
    channels, height, width = shape
    expected = spec.transpose(x, perm=(2, 0, 1) if lines else (2, 1, 0))
    source, out = Buffer(shape, (1, 0, 0, 2)).fill(x), Buffer(expected.shape, (0, 1, 2, 1))
    columns: dict[int, Any] = {
        IN: source.address,
        transpose.V_OFFSETS: np.arange(height) * source.line,
        transpose.C_OFFSETS: np.arange(width) * source.pixel,
        transpose.LENGTH: channels,
        transpose.CHANNELS: width,
        transpose.OUT_V: out.pixel if lines else out.line,
        transpose.OUT_U: out.line if lines else out.pixel,
    }
    got = run(transpose.make(), columns, height, out)
    np.testing.assert_array_equal(got, expected)
