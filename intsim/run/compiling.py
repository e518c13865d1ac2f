"""Compiling: who is told while the kernels' machine code is made, which is kept for later runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager


def listening(listener: Callable[[str, bool], None]) -> AbstractContextManager[None]:
    """A context in which listener(name, True) is called before a kernel is compiled, listener(name, False) after.

    It loads nothing of Numba. The calls come from the thread that compiles, and kernels compile inside each other.
    """
    from intsim.kernels import _listeners

    return _listeners.listening(listener)
