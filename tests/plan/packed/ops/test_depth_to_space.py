"""DepthToSpace, as the engine runs it."""

from __future__ import annotations

import pytest

from intsim.formats import Format
from intsim.plan import make_plan
from tests.kernels.packed.run import needs_instructions
from tests.plan.packed.chains import Network
from tests.plan.packed.paths import agree, agree_all_packed

pytestmark = needs_instructions

U8 = Format(8, signed=False, scale=(0.125,), zero_point=(113,))
U16 = Format(16, signed=False, scale=(0.125,), zero_point=(113,))


@pytest.mark.parametrize("format", [U8, U16])
@pytest.mark.parametrize(("channels", "block"), [(8, 2), (12, 2), (80, 2), (63, 3), (5, 1)])
def test_dcr(format: Format, channels: int, block: int) -> None:
    """Of what was computed, for what is padded with the zero point."""
    net = Network()
    net.input("x", (channels, 3, 5), format)
    net.layer("clipped", "clip", "x", format, low=3, high=250)
    net.layer("y", "depth_to_space", "clipped", format, blocksize=block, mode="DCR")
    net.conv("z", "y", 7, format, pads=(0, 2, 2, 0), x_zero=113, accumulator_bits=48)
    agree_all_packed(net.lowered(), net.given, threads=2)


def test_crd_runs_in_portable_loops() -> None:
    net = Network()
    net.input("x", (12, 3, 5), U8)
    net.layer("y", "depth_to_space", "x", U8, blocksize=2, mode="CRD")
    agree(make_plan(net.lowered()), net.given)
