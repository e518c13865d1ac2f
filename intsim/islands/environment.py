"""The float environment: round to nearest, ties to even, denormals kept, whatever the process has set.

Infinities and NaN are results like others inside: NumPy prints no warning of them. What must be finite is checked.
A library that was linked with -ffast-math, or `torch.set_flush_denormal(True)`, changes these for the whole thread, and
every float operation on it then gives other bits. Threads that are created inside inherit the standard environment.
Source: C11 7.6 (fenv.h); Intel SDM volume 1, 10.2.3 (MXCSR: rounding bits 13 and 14, FTZ bit 15, DAZ bit 6).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from typing import Any

import numpy as np

SIZE = 64
"""Bytes that hold a fenv_t: 32 on x86-64, 8 on AArch64."""

DEFAULT = ctypes.c_void_p(-1)
"""FE_DFL_ENV of glibc and musl: the environment that a program starts with."""


class standard_floats(contextlib.ContextDecorator):
    """Around code, or as a decorator: the standard float environment inside, the caller's own one again after it.

    About 1 µs. Where the C library has no fesetenv nothing is changed.
    """

    def _recreate_cm(self) -> standard_floats:
        """Each call of a decorated function keeps an environment of its own."""
        return standard_floats()

    def __enter__(self) -> None:
        self._quiet = np.errstate(all="ignore")
        self._quiet.__enter__()
        library = _library()
        if library is None:
            return
        self._before = ctypes.create_string_buffer(SIZE)
        library.fegetenv(self._before)
        library.fesetenv(DEFAULT)

    def __exit__(self, *error: object) -> None:
        self._quiet.__exit__(None, None, None)
        library = _library()
        if library is not None:
            library.fesetenv(self._before)


@functools.cache
def _library() -> Any:
    """The C library's functions of fenv.h, None where there are none."""
    for name in ("libm.so.6", None):
        try:
            library = ctypes.CDLL(name)
            library.fesetenv.argtypes = [ctypes.c_void_p]
            library.fegetenv.argtypes = [ctypes.c_void_p]
        except (OSError, AttributeError):
            continue
        return library
    return None
