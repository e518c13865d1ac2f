"""Threads: how the rows of a kernel are shared out."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeAlias

Run: TypeAlias = Callable[[int, int], None]
"""Computes the rows start <= row < stop of a kernel's result. Rows are independent of each other."""

Sharing: TypeAlias = Callable[[Run, int], None]
"""Carries out a Run over that many rows: `run_all` or a Pool."""


def run_all(run: Run, rows: int) -> None:
    """All rows in the caller's thread."""
    run(0, rows)


class Pool:
    """Shares rows over threads; a `with` block (or `close`) ends them. The caller's thread is one of them.

    Every row is computed by one thread in the same way, so the result does not depend on the number of threads.
    """

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads!r}")
        self.threads = threads
        self._executor = ThreadPoolExecutor(threads - 1, "intsim") if threads > 1 else None

    def __call__(self, run: Run, rows: int) -> None:
        """run(start, stop) for consecutive ranges of nearly equal length; returns when all are done."""
        parts = min(self.threads, rows)
        if self._executor is None or parts < 2:
            run(0, rows)
            return
        bounds = [rows * part // parts for part in range(parts + 1)]
        futures = [self._executor.submit(run, *bounds[part : part + 2]) for part in range(1, parts)]
        try:
            run(bounds[0], bounds[1])
        finally:  # no thread may still write into the caller's arrays after an error here
            errors = [future.exception() for future in futures]
        for error in errors:
            if error is not None:
                raise error

    def close(self) -> None:
        """End the threads."""
        if self._executor is not None:
            self._executor.shutdown()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
