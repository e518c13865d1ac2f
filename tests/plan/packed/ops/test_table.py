"""Tables, as the engine runs them."""

from __future__ import annotations

import numpy as np
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
]


@pytest.mark.parametrize("x", FORMATS)
@pytest.mark.parametrize("y", FORMATS)
@pytest.mark.parametrize("channelwise", [False, True])
def test_table(x: Format, y: Format, channelwise: bool) -> None:
    """Every code of both formats; a table of all channels, or one for each."""
    net = Network()
    net.input("x", (20, 4, 5), x)
    net.layer("clipped", "clip", "x", x, low=x.low + 1, high=x.high - 2)
    shape = (20, 1 << x.bits) if channelwise else 1 << x.bits
    entries = net.random.integers(y.low, y.high, shape, endpoint=True).astype(y.dtype)
    net.layer("y", "table", "clipped", y, table=entries, low=x.low)
    net.conv("z", "y", 5, FORMATS[0], x_zero=y.zero_point[0])
    agree_all_packed(net.lowered(), net.given)


def test_one_axis() -> None:
    net = Network()
    net.input("x", (37,), FORMATS[0])
    net.layer("y", "table", "x", FORMATS[0], table=np.arange(-128, 128, dtype=np.int8)[::-1].copy(), low=-128)
    agree_all_packed(net.lowered(), net.given)


def test_what_has_no_packed_form() -> None:
    net = Network()
    net.input("x", (3, 4, 5), FORMATS[0])
    net.layer("few", "clip", "x", FORMATS[0], low=-3, high=5)
    lines = net.random.integers(-8, 8, (4, 256)).astype(np.int8)
    net.layer("lines", "table", "few", FORMATS[0], table=lines, low=-128, axis=2)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[1].refused != ""


WORDS = [
    Format(16, scale=(0.125,)),
    Format(16, signed=False, scale=(0.125,), zero_point=(50000,)),
    Format(9, scale=(0.125,)),
]


@pytest.mark.parametrize("x", WORDS)
@pytest.mark.parametrize("y", WORDS)
def test_words(x: Format, y: Format) -> None:
    net = Network()
    net.input("x", (20, 4, 5), x)
    entries = net.random.integers(y.low, y.high, 1 << x.bits, endpoint=True).astype(y.dtype)
    net.layer("y", "table", "x", y, table=entries, low=x.low)
    net.conv("z", "y", 5, FORMATS[0], x_zero=y.zero_point[0])
    agree_all_packed(net.lowered(), net.given)


def test_words_that_have_no_packed_form() -> None:
    net = Network()
    net.input("x", (20, 4, 5), WORDS[2])
    entries = net.random.integers(-256, 256, (20, 512)).astype(np.int16)
    net.layer("y", "table", "x", WORDS[2], table=entries, low=-256)
    net.layer("z", "table", "y", FORMATS[0], table=entries[0] >> 1, low=-256)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[0].refused == "its tables of 16-bit codes differ by channel"
        assert choices[1].refused == "its operands and its result have codes of 8 and of 16 bits"
