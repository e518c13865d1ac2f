from __future__ import annotations

import threading

import numpy as np
import pytest

from intsim.kernels.parallel import Pool, run_all

pytestmark = pytest.mark.nojit


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [0, 1, 2, 7, 100])
def test_every_row_is_run_once(threads: int, rows: int) -> None:
    counts = np.zeros(rows, np.int64)

    def run(start: int, stop: int) -> None:
        counts[start:stop] += 1

    with Pool(threads) as pool:
        pool(run, rows)
        pool(run, rows)
    run_all(run, rows)
    assert (counts == 3).all()


def test_the_threads_work_at_once() -> None:
    meeting = threading.Barrier(3, timeout=30)  # breaks unless all three are there together

    def run(start: int, stop: int) -> None:
        meeting.wait()

    with Pool(3) as pool:
        pool(run, 3)


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_in_any_thread_is_raised_after_all_have_ended(failing: int) -> None:
    ended = []

    def run(start: int, stop: int) -> None:
        if start == failing:
            raise ArithmeticError(f"row {start}")
        ended.append(start)

    with Pool(3) as pool, pytest.raises(ArithmeticError, match=f"row {failing}"):
        pool(run, 3)
    assert sorted(ended) == [row for row in range(3) if row != failing]


def test_no_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        Pool(0)
