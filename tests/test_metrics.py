from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from intsim.errors import UnusableInput
from intsim.metrics import agreement, compression_difference, correlation, jsd, mse, pcc, similarity, top1

SCORES = np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0], [0.0, 1.0, 1.0], [-1.0, -2.0, -3.0]])  # classes 1 0 1 0


def test_top1_takes_the_first_of_equal_scores() -> None:
    assert top1(SCORES, np.array([1, 0, 1, 0])) == 1.0
    assert top1(SCORES, np.array([1, 1, 2, 0])) == 0.5
    assert top1(SCORES.astype(np.int8), np.array([1, 0, 1, 2])) == 0.75


def test_agreement_and_cd_are_shares_of_the_inputs() -> None:
    others = np.array([[9, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert agreement(SCORES, others) == 0.5
    assert compression_difference(SCORES, others) == 0.5
    assert compression_difference(SCORES, SCORES * 7) == 0.0
    assert compression_difference(SCORES[:3], others[:3]) == pytest.approx(1 / 3, abs=0)


def test_mse_by_hand() -> None:
    assert mse(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 0.0])) == (0 + 4 + 9) / 3
    # int8 codes must not wrap on the way
    assert mse(np.array([127], np.int8), np.array([-128], np.int8)) == 255.0**2


def test_pcc_by_hand_and_against_numpy() -> None:
    a = np.array([1.0, 2.0, 3.0, 4.0])
    assert pcc(a, 3 * a + 1) == pytest.approx(1.0, abs=1e-15)
    assert pcc(a, -a) == pytest.approx(-1.0, abs=1e-15)
    b = np.array([2.0, 1.0, 4.0, 3.0])
    assert pcc(a, b) == pytest.approx(0.6, abs=1e-15)  # cov 3, variances 5 and 5
    assert pcc(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-15)


def test_pcc_of_a_constant() -> None:
    flat = np.full(4, 2.0)
    assert pcc(flat, flat) == 1.0
    assert pcc(flat, np.arange(4.0)) == 0.0
    assert correlation(1.0 + 1e-9, 1.0, 1.0) == 1.0  # rounding never leaves [-1, 1]


def test_jsd_by_hand() -> None:
    assert jsd(np.array([1, 0]), np.array([0, 5])) == 1.0
    assert jsd(np.array([2, 4, 6]), np.array([1, 2, 3])) == 0.0  # counts are normalised
    # p = (1, 0), q = (1/2, 1/2), m = (3/4, 1/4)
    expected = (math.log2(4 / 3) + 0.5 * math.log2(2 / 3) + 0.5 * math.log2(2)) / 2
    assert jsd(np.array([1, 0]), np.array([3, 3])) == pytest.approx(expected, abs=1e-15)
    assert jsd(np.array([3, 3]), np.array([1, 0])) == pytest.approx(expected, abs=1e-15)  # symmetric
    assert similarity(np.array([1, 0]), np.array([3, 3])) == pytest.approx(1 - expected, abs=1e-15)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (top1, (SCORES, np.array([0.0, 1.0, 2.0, 0.0])), "labels must be integers"),
        (top1, (SCORES, np.array([0, 1])), r"labels must have the shape \[4\]"),
        (top1, (SCORES[0], np.array([0])), r"scores must be \[inputs, classes\]"),
        (top1, (np.zeros((0, 3)), np.zeros(0, np.int64)), "at least one of each"),
        (agreement, (SCORES, SCORES[:2]), "the same inputs, not 4 and 2"),
        (mse, (SCORES, SCORES[:2]), "one shape"),
        (pcc, (np.zeros(0), np.zeros(0)), "an element"),
        (jsd, (np.array([1, -1]), np.array([1, 1])), "non-negative"),
        (jsd, (np.array([0, 0]), np.array([1, 1])), "at least one"),
    ],
)
def test_unusable_arguments(function: Any, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UnusableInput, match=message):
        function(*arguments)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "wrong",
    [
        np.array([math.nan, 1.0]),
        np.array([math.inf, 1.0]),
        np.array([-math.inf, math.nan]),
        np.array([1e200, -1e200]),
        np.array([1j, 2]),
        np.array(["a", "b"]),
        np.array([None, 1], object),
        np.array([2**70, 1], object),
        np.array([1, 2], "M8[s]"),
    ],
)
def test_what_is_no_finite_number_is_one_error(wrong: Any) -> None:
    right = np.array([1.0, 2.0])
    for metric in (mse, pcc, jsd, similarity):
        for a, b in ((wrong, right), (right, wrong), (wrong, wrong)):
            with pytest.raises(UnusableInput, match="must hold"):
                metric(a, b)
    if wrong.dtype.kind != "f":
        for share in (agreement, compression_difference):
            with pytest.raises(UnusableInput, match="must hold real numbers"):
                share(wrong[None], right[None])
        with pytest.raises(UnusableInput, match="must hold real numbers"):
            top1(wrong[None], np.array([0]))


@pytest.mark.filterwarnings("error")
def test_the_largest_and_the_smallest_numbers_have_their_metrics() -> None:
    for size in (1e140, 5e-324):
        a, b = np.array([size, -size, 0.0]), np.array([-size, size, size])
        assert all(math.isfinite(metric(a, b)) for metric in (mse, pcc))
        assert math.isfinite(jsd(np.abs(a), np.abs(b)))
