from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim import spec
from intsim.errors import OutOfDomain
from intsim.formats import Format
from tests.spec.second import clipped, wrapped

NARROW = np.arange(-300, 300)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("signed", [True, False])
def test_every_narrow_width(bits: int, signed: bool) -> None:
    codes = Format(bits, signed)
    assert spec.saturate(NARROW, bits, signed).tolist() == [min(max(v, codes.low), codes.high) for v in NARROW.tolist()]
    inside = set(range(codes.low, codes.high + 1))
    for v, code in zip(NARROW.tolist(), spec.wrap(NARROW, bits, signed).tolist(), strict=True):
        assert code in inside
        assert (code - v) % 2**bits == 0


@pytest.mark.parametrize("bits", range(2, 9))
def test_narrow_range(bits: int) -> None:
    assert spec.saturate([-1000, 1000], bits, True, True).tolist() == [1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1]


WIDE = [
    # value, bits, signed, saturated, wrapped
    (2**63, 64, True, 2**63 - 1, -(2**63)),  # one above the widest signed code
    (-(2**63) - 1, 64, True, -(2**63), 2**63 - 1),  # one below it
    (2**64, 64, False, 2**64 - 1, 0),  # one above the widest unsigned code
    (-1, 64, False, 0, 2**64 - 1),  # below zero
    (2**62, 63, True, 2**62 - 1, -(2**62)),  # 63 bits: masks are int64
    (2**31, 32, True, 2**31 - 1, -(2**31)),  # the usual accumulator
    (2**100 + 5, 8, True, 127, 5),  # far outside int64
    (-(2**100) - 5, 8, False, 0, 251),  # and below
]


@pytest.mark.parametrize(("value", "bits", "signed", "saturated", "modular"), WIDE)
def test_wide(value: int, bits: int, signed: bool, saturated: int, modular: int) -> None:
    assert int(spec.saturate(value, bits, signed)) == saturated
    assert int(spec.wrap(value, bits, signed)) == modular
    assert spec.wrap(np.array([value], object), bits, signed).dtype == (object if modular >= 2**63 else np.int64)


@given(value=st.integers(-(2**130), 2**130), bits=st.integers(1, 64), signed=st.booleans())
def test_any_width(value: int, bits: int, signed: bool) -> None:
    assert int(spec.saturate(value, bits, signed)) == clipped(value, bits, signed)
    expected = wrapped(value, bits) if signed else value % 2**bits
    assert int(spec.wrap(value, bits, signed)) == expected


@pytest.mark.parametrize(
    ("bits", "signed", "message"),
    [
        (0, True, "bits must be an integer within 1 to 64, not 0"),
        (65, True, "bits must be an integer within 1 to 64, not 65"),
        (8.0, True, "bits must be an integer within 1 to 64, not 8.0"),
        (True, True, "bits must be an integer within 1 to 64, not True"),
        (8, 1, "signed must be True or False, not 1"),
    ],
)
def test_wrong_parameters(bits: int, signed: bool, message: str) -> None:
    with pytest.raises(OutOfDomain, match=message):
        spec.saturate(1, bits, signed)
    with pytest.raises(OutOfDomain, match=message):
        spec.wrap(1, bits, signed)
    with pytest.raises(OutOfDomain, match="narrow must be True or False, not 'no'"):
        spec.saturate(1, 8, True, "no")  # type: ignore[arg-type]
