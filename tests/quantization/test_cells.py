from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from intsim import metrics
from intsim.quantization.candidates import Trial, finest_grid, try_tensor
from intsim.quantization.cells import codes, count_cells, find_bins, moments, own_histogram, quantized_histogram
from intsim.quantization.exponents import candidate_exponents, quantize, reference_exponent

Array = np.ndarray[Any, Any]

# Multiples of 2**-12: every sum of float64 below is exact, so equal means equal.
COARSE = hnp.arrays(np.int32, st.integers(1, 60), elements=st.integers(-(2**18), 2**18)).map(
    lambda n: np.ldexp(n.astype(np.float32), -12)
)
BITS = st.sampled_from([2, 4, 8, 12])


def brute_force_errors(reals: Array, bits: int) -> dict[int, Fraction]:
    """The squared error of every candidate, number by number, in exact arithmetic."""
    reference = reference_exponent(float(np.max(np.abs(reals))), bits)
    return {
        e: sum(
            (
                (Fraction(float(r)) - int(c) * Fraction(2) ** e) ** 2
                for r, c in zip(reals, quantize(reals, e, bits), strict=True)
            ),
            Fraction(0),
        )
        for e in candidate_exponents(reference)
    }


@given(COARSE, BITS)
def test_errors_of_all_candidates_are_exact(reals: Array, bits: int) -> None:
    trial = try_tensor(reals, bits)
    expected = brute_force_errors(reals, bits)
    assert {e: Fraction(m.squared_error) for e, m in trial.moments.items()} == expected
    assert trial.best() == min(expected, key=lambda e: (expected[e], e))


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("seed", range(3))
def test_best_candidate_of_random_numbers_by_brute_force(bits: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    reals = (random.standard_normal(300) * 10.0 ** random.integers(-4, 4)).astype(np.float32)
    expected = brute_force_errors(reals, bits)
    assert try_tensor(reals, bits).best() == min(expected, key=lambda e: (expected[e], e))


def test_a_tie_takes_the_smaller_exponent() -> None:
    # 2 bits, codes -2 … 1: 1.5 is 1 at e = 0 (clipped) and 2 at e = 1: both 0.5 away, as -1.5 is at e = 0 and 1.
    reals = np.array([1.5], np.float32)
    errors = brute_force_errors(reals, 2)
    assert errors[0] == errors[1] == min(errors.values())
    assert try_tensor(reals, 2).best() == 0


def test_an_all_zero_tensor_is_exact_at_every_candidate() -> None:
    trial = try_tensor(np.zeros(5, np.float32), 8)
    assert trial.reference == 0
    assert trial.best() == -3  # the smallest of the candidates, all equal
    assert [(c.mse, c.pcc, c.jsd) for c in trial.candidates()] == [(0.0, 1.0, 0.0)] * 7


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_metrics_agree_with_those_of_the_arrays(bits: int) -> None:
    reals = np.random.default_rng(bits).standard_normal(4000).astype(np.float32)
    trial = try_tensor(reals, bits)
    first, width = trial.bins.first, trial.bins.width
    edges = np.ldexp(np.arange(first, first + 2**bits + 1, dtype=np.float64), width)
    for candidate in trial.candidates():
        quantized = np.ldexp(quantize(reals, candidate.exponent, bits).astype(np.float64), candidate.exponent)
        own, theirs = (np.histogram(_inside(v, edges), edges)[0] for v in (reals, quantized))
        # float64 sums in another order
        assert candidate.mse == pytest.approx(metrics.mse(reals, quantized), rel=1e-12)
        assert candidate.pcc == pytest.approx(metrics.pcc(reals, quantized), rel=1e-12)
        assert candidate.jsd == pytest.approx(metrics.jsd(own, theirs), abs=1e-14)
        assert candidate.similarity == 1 - candidate.jsd


def _inside(values: Array, edges: Array) -> Array:
    return np.clip(values.astype(np.float64), edges[0], np.nextafter(edges[-1], -np.inf))


@given(COARSE, BITS, st.integers(0, 3))
def test_codes_of_a_cell_are_those_of_its_numbers(reals: Array, bits: int, finer: int) -> None:
    largest = float(np.max(np.abs(reals)))
    reference = reference_exponent(largest, bits)
    for real in reals:
        cells = count_cells(np.array([real], np.float32), finest_grid(reference) - finer, largest)
        for e in candidate_exponents(reference):
            assert codes(cells, e, bits).tolist() == quantize(np.array([real], np.float32), e, bits).tolist()


@given(COARSE, BITS, st.integers(0, 59))
def test_parts_add_up_to_the_whole(reals: Array, bits: int, cut: int) -> None:
    """Parts may be counted on other, finer grids: that is how batches of smaller numbers come."""
    whole = try_tensor(reals, bits)
    parts = Trial(float(reals.min()), float(reals.max()), bits)
    for i, part in enumerate((reals[:cut], reals[cut:])):
        if part.size:
            parts.add(count_cells(part, finest_grid(parts.reference) - i, float(np.max(np.abs(part)))))
    assert parts.moments == whole.moments
    assert parts.candidates() == whole.candidates()


def test_chunks_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    reals = np.ldexp(np.random.default_rng(0).integers(-999, 999, 5000).astype(np.float32), -7)
    whole = moments(count_cells(reals, -9, 8.0), -5, 8)
    monkeypatch.setattr("intsim.quantization.cells.CHUNK", 64)
    assert moments(count_cells(reals, -9, 8.0), -5, 8) == whole


@pytest.mark.parametrize(
    ("lowest", "highest", "bits", "width", "first"),
    [
        (0.0, 7.9, 2, 1, 0),  # four bins of 2 span 0 … 8
        (0.0, 8.0, 2, 2, 0),  # 8 begins a fifth bin of 2
        (-1.0, 0.5, 2, -1, -2),  # [-1, 1) in four halves
        (3.0, 4.0, 8, -5, 0),  # zero is spanned too
        (0.0, 0.0, 8, -9, 0),  # never finer than the grid
    ],
)
def test_bins_are_the_narrowest_that_span_the_numbers(
    lowest: float, highest: float, bits: int, width: int, first: int
) -> None:
    bins = find_bins(lowest, highest, bits, -9)
    assert (bins.width, bins.first) == (width, first)


def test_histograms_by_hand() -> None:
    reals = np.array([0.0, 0.3, 1.0, 1.9, -1.0], np.float32)
    cells = count_cells(reals, -4, 1.9)
    bins = find_bins(-1.0, 1.9, 2, -4)  # four bins of 1 from -1 on
    assert own_histogram(cells, bins).tolist() == [1, 2, 2, 0]
    # at e = 1 the codes are 0 0 1 1 0 (half_up: 1 / 2 and -1 / 2 are ties), the values 0 0 2 2 0
    assert quantized_histogram(cells, 1, bins, 2).tolist() == [0, 3, 0, 2]
