from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim.errors import OutOfDomain
from tests.kernels.compare import assert_equal, assert_same, codes, kernel_of, spec_of
from tests.kernels.windows import HAND_PICKED, PLAIN, random_windows

DTYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32]


@pytest.mark.nojit
@pytest.mark.parametrize(("image", "changes"), HAND_PICKED)
def test_hand_picked(image: tuple[int, ...], changes: dict[str, Any]) -> None:
    x = codes(np.random.default_rng(1), np.int8, (2, 2, *image))
    assert_same("max_pool", x, **{**PLAIN, **changes})
    assert_same("max_pool", np.full_like(x, -128), **{**PLAIN, **changes})


@given(random_windows(), st.sampled_from(DTYPES), st.integers(0, 2**32))
def test_any(case: tuple[tuple[int, ...], dict[str, Any]], dtype: Any, seed: int) -> None:
    image, parameters = case
    x = codes(np.random.default_rng(seed), dtype, (2, 3, *image))
    assert_same("max_pool", x, **parameters)
    assert kernel_of("max_pool")(x, **parameters).dtype == x.dtype


def test_reals() -> None:
    r = np.random.default_rng(2).integers(-99, 99, (1, 2, 6, 6))
    got = kernel_of("max_pool")(r.astype(np.float32), **{**PLAIN, "pads": (1, 1, 1, 1)})
    expected = spec_of("max_pool")(r, **{**PLAIN, "pads": (1, 1, 1, 1)})
    assert_equal(got, expected.astype(np.float32))


@pytest.mark.parametrize("changes", [{"pads": (2, 0, 0, 0), "strides": (1, 1)}, {"kernel": (7, 2)}])
def test_windows_without_an_image_are_refused(changes: dict[str, Any]) -> None:
    x = np.zeros((1, 1, 6, 6), np.int8)
    with pytest.raises(ValueError, match="window"):
        kernel_of("max_pool")(x, **{**PLAIN, **changes})
    with pytest.raises(OutOfDomain):
        spec_of("max_pool")(x, **{**PLAIN, **changes})
