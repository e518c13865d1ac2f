"""Clamps that are layers of their own, as the engine runs them."""

from __future__ import annotations

import pytest

from intsim.formats import Format
from intsim.plan import make_plan
from tests.kernels.packed.run import needs_instructions
from tests.plan.packed.chains import Network
from tests.plan.packed.paths import agree, agree_all_packed

pytestmark = needs_instructions

FORMATS = [
    Format(8, scale=(0.125,)),
    Format(8, signed=False, scale=(0.125,), zero_point=(7,)),
    Format(4, scale=(1.0,)),
    Format(16, scale=(0.125,)),
    Format(16, signed=False, scale=(0.125,), zero_point=(50000,)),
    Format(11, signed=False, scale=(0.125,), zero_point=(3,)),
]


@pytest.mark.parametrize("x", FORMATS)
@pytest.mark.parametrize("shape", [(20, 4, 5), (37,), (64, 3)])
def test_clip(x: Format, shape: tuple[int, ...]) -> None:
    """Both ends of the format and of the clamp; lines in one piece, and between padding."""
    net = Network()
    net.input("x", shape, x)
    net.layer("y", "clip", "x", x, low=x.low + 1, high=x.high - 2)
    net.layer("z", "clip", "y", x, low=x.zero_point[0], high=x.high)
    if len(shape) == 3:
        net.conv("end", "z", 5, FORMATS[0], x_zero=x.zero_point[0])
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("x", [FORMATS[0], FORMATS[3]])
def test_few_channels_have_no_packed_form(x: Format) -> None:
    net = Network()
    net.input("x", (3, 4, 5), x)
    net.layer("few", "clip", "x", x, low=-3, high=5)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[0].refused == "its input has few channels"
