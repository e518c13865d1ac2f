"""Who is told of machine code that has to be made first, because the cache lacks it. Loads nothing of Numba."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

Listener = Callable[[str, bool], None]
"""Told the name of a function: True before its machine code is made, False when it is there."""

_listeners: list[Listener] = []


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Inside, the listener is told of each function that is compiled, in the thread that compiles it."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(name: str, begins: bool) -> None:
    """Tell all listeners."""
    for listener in tuple(_listeners):
        listener(name, begins)
