from __future__ import annotations

import numpy as np
import pytest

from intsim.kernels.layout import BLOCK, channel_rows, contiguous, flat_pair, per_channel, share_elements
from intsim.kernels.mac import centre, centred_dtype, extremes
from intsim.kernels.parallel import Pool

pytestmark = pytest.mark.nojit


def test_contiguous_copies_only_what_it_must() -> None:
    x = np.arange(12, dtype=np.int16).reshape(3, 4)
    assert np.shares_memory(contiguous(x), x)
    fixed = x.copy()
    fixed.flags.writeable = False
    for other in (x.T, x[:, ::2], fixed, x.astype(">i2")):
        result = contiguous(other)
        assert result.flags.c_contiguous and result.flags.writeable and result.dtype == np.dtype("i2")
        assert np.array_equal(result, other) and not np.shares_memory(result, x)


def test_rows_have_the_parameters_of_their_channel() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    for axis in (0, 1, 2, -1):
        channels = x.shape[axis]
        rows, (zeros, shifts) = channel_rows(x, axis, per_channel(range(channels)), per_channel(7))
        assert (len(zeros), list(shifts)) == (channels, [7] * channels)
        index = np.indices(x.shape)[axis].reshape(rows.shape)
        assert (index == zeros[np.arange(len(rows)) % channels][:, None]).all()
    assert channel_rows(x, 1, per_channel(1))[0].shape == (6, 4)
    assert channel_rows(np.array(3), 1, per_channel(1))[0].shape == (1, 1)
    with pytest.raises(ValueError, match="axis 2 of shape"):
        channel_rows(x, 2, per_channel([1, 2, 3]))


def test_flat_pair_broadcasts() -> None:
    a, b, shape = flat_pair(np.arange(3)[:, None], np.arange(2))
    assert (list(a), list(b), shape) == ([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1], (3, 2))


@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK + 1, 5 * BLOCK - 1])
def test_elements_are_shared_out_once(size: int) -> None:
    counts = np.zeros(size, np.int8)

    def run(start: int, stop: int) -> None:
        counts[start:stop] += 1

    with Pool(2) as pool:
        share_elements(pool, run, size)
    assert (counts == 1).all()


def test_bounds_of_centred_codes() -> None:
    assert extremes(np.zeros(1, np.int8), 5) == (-133, 122)
    assert extremes(np.zeros(1, np.uint8), np.array([0, 255])) == (-255, 255)
    assert extremes(np.array([-9, 7], np.int32), 1) == (-10, 6)
    assert extremes(np.zeros(0, np.int64), 0) == (0, 0)
    assert [centred_dtype(-255, 255), centred_dtype(0, 2**15), centred_dtype(-(2**31) - 1, 0)] == [
        np.int16,
        np.int32,
        np.int64,
    ]
    assert list(centre(np.array([0, 255], np.uint8), 255, np.int32)) == [-255, 0]
