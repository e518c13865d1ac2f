from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.errors import OutOfDomain
from tests.spec.second import clipped, float32

OUT: dict[str, Any] = {"bits": 8, "signed": True}


def rounded(value: Fraction) -> Fraction:
    return Fraction(float(float32(value)))


@pytest.mark.parametrize("multiplier", [2.0**-4, 0.0123, 0.3])
@pytest.mark.parametrize(("x_zero", "zero_point"), [(0, 0), (-128, 100), (77, -3)])
def test_steps_written_out(multiplier: float, x_zero: int, zero_point: int) -> None:
    x = np.random.default_rng(5).integers(-128, 128, (60, 3, 3))
    m = Fraction(float(np.float32(multiplier)))
    codes = spec.reduce_mean_xnnpack(
        x,
        axes=(1, 2),
        keepdims=False,
        x_zero=x_zero,
        multiplier=np.float32(multiplier),
        zero_point=zero_point,
        **OUT,
    )
    addend = rounded(zero_point - rounded(9 * x_zero * m))
    for image, code in zip(x, codes, strict=True):
        exact = rounded(rounded(int(image.sum()) * m) + addend)
        assert code == clipped(round(exact), 8, True)


def test_what_is_refused() -> None:
    with pytest.raises(OutOfDomain, match="multiplier must be"):
        spec.reduce_mean_xnnpack(np.zeros((2, 2), int), axes=(1,), keepdims=False, multiplier=np.float32(0), **OUT)
    with pytest.raises(OutOfDomain, match="bits must be"):
        spec.reduce_mean_xnnpack(
            np.zeros((2, 2), int), axes=(1,), keepdims=False, multiplier=np.float32(1), bits=17, signed=True
        )
