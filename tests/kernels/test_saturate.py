from __future__ import annotations

import numpy as np
import pytest

from intsim.formats import storage_dtype
from intsim.kernels.saturate import accumulator_dtype, clamp, code_dtype, limits, wrap
from intsim.spec.saturate import saturate as spec_saturate
from intsim.spec.saturate import wrap as spec_wrap
from tests import cases


@pytest.mark.nojit
@pytest.mark.parametrize("bits", [1, 2, 7, 8])
def test_wrap_and_clamp_of_all_narrow_numbers(bits: int) -> None:
    v = np.arange(-300, 301)
    assert [int(wrap(np.int64(n), bits)) for n in v] == list(spec_wrap(v, bits, True))
    for signed in (True, False):
        low, high = limits(bits, signed)
        assert [int(clamp(n, low, high)) for n in v] == list(spec_saturate(v, bits, signed))


def test_wrap_at_the_ends_of_int64() -> None:
    v = cases.integers(*cases.INT64)
    for bits in (1, 31, 32, 33, 63, 64):
        assert [int(wrap(n, bits)) for n in v] == spec_wrap(np.array(v), bits, True).tolist()


def test_limits_and_dtypes_are_the_formats() -> None:
    assert limits(8, True) == (-128, 127)
    assert limits(8, True, narrow=True) == (-127, 127)
    assert limits(4, False) == (0, 15)
    assert limits(64, True) == (-(2**63), 2**63 - 1)
    for bits in range(1, 64):
        for signed in (True, False):
            assert code_dtype(bits, signed) == storage_dtype(bits, signed)
    assert [accumulator_dtype(bits) for bits in (8, 32, 33)] == [np.int32, np.int32, np.int64]


@pytest.mark.parametrize(("bits", "signed"), [(0, True), (65, True), (64, False)])
def test_widths_that_int64_does_not_hold_are_refused(bits: int, signed: bool) -> None:
    with pytest.raises(ValueError, match="signed bits, not"):
        limits(bits, signed)
