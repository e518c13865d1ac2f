from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from intsim.formats import ROUNDINGS
from tests.kernels.compare import assert_same, codes, kernel_of

I8 = np.arange(-128, 128, dtype=np.int8)
PLAIN: dict[str, Any] = {"a_shift": 0, "b_shift": 0, "shift": 1, "rounding": "half_up", "bits": 8, "signed": True}


@pytest.mark.parametrize("op", ["add", "sub"])
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(("a_shift", "b_shift", "shift"), [(0, 0, 0), (0, 3, 4), (2, 0, 1), (1, 1, -1)])
def test_all_pairs_of_8_bits(op: str, rounding: str, a_shift: int, b_shift: int, shift: int) -> None:
    changes = {"a_shift": a_shift, "b_shift": b_shift, "shift": shift, "rounding": rounding}
    assert_same(op, I8[:, None], I8, **{**PLAIN, **changes}, a_zero=-3, b_zero=9, zero_point=5)


@pytest.mark.nojit
@pytest.mark.parametrize("op", ["add", "sub"])
def test_tiny(op: str) -> None:
    a, b = I8[::31].reshape(3, 3), I8[::90]
    for changes in ({}, {"a_shift": 2, "b_zero": 7}, {"b_shift": 3, "shift": 5, "rounding": "half_even"}):
        assert_same(op, a, b, **{**PLAIN, **changes})


@given(
    shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4),
    dtypes=st.tuples(*[st.sampled_from([np.int8, np.uint8, np.int16, np.uint16, np.int32])] * 2),
    op=st.sampled_from(["add", "sub"]),
    shifts=st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(-5, 40)),
    zeros=st.tuples(*[st.integers(0, 127)] * 3),
    form=st.sampled_from([(8, True, False), (8, False, False), (8, True, True), (16, True, False), (4, True, False)]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=100)
def test_any_shapes_and_dtypes(
    shapes: Any, dtypes: Any, op: str, shifts: Any, zeros: Any, form: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = (codes(rng, dtype, shape) for dtype, shape in zip(dtypes, shapes.input_shapes, strict=True))
    bits, signed, narrow = form
    assert_same(
        op,
        a,
        b,
        a_shift=shifts[0],
        b_shift=shifts[1],
        shift=shifts[2],
        a_zero=zeros[0],
        b_zero=zeros[1],
        zero_point=zeros[2] % 8,
        rounding="half_away",
        bits=bits,
        signed=signed,
        narrow=narrow,
    )


def test_sums_that_int64_does_not_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="may leave int64"):
        kernel_of("add")(I8, I8, **{**PLAIN, "a_shift": 56})
    assert_same("add", I8, I8, **{**PLAIN, "a_shift": 54, "shift": 54})
