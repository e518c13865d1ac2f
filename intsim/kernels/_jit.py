"""The one decorator of compiled functions, and where their machine code is cached."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import types
from numba.core.ccallback import CFunc

from intsim.kernels._loading import KernelCache

KEEP = 4
"""How many versions of the compiled kernels stay on disk: checkouts that are used in turn must not evict each other."""

_PREFIX = "kernels-"

_LOCK = threading.RLock()

_config: Any = numba.config  # numba fills this module in as it runs

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """The function compiled by Numba: without the GIL, without fast-math, cached on disk by the sources of all kernels.

    Numba's own cache looks at the caller's file only, so a change in a helper would leave stale machine code behind;
    here the folder's name has a digest of every kernel source. Where no private folder can be had, nothing is cached.
    With NUMBA_DISABLE_JIT=1 the function comes back as it is.
    """
    if _config.DISABLE_JIT:
        return function
    # error_model: a division by zero is no exception, which lets float divisions be vectorised
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    with _cached() as cache:
        if cache:
            compiled._cache = KernelCache(function)
    return compiled


def op(function: Callable[[Any, Any, Any], Any]) -> Any:
    """The C function int64(int64 row, int64 start, int64 stop) of a packed op, compiled and cached like a `kernel`.

    It must not raise: it returns 0, or the status of what is wrong. Only where packed.isa.available() has an
    instruction set that the function uses; LLVM aborts the process otherwise.
    """
    arguments = (types.int64, types.int64, types.int64)
    compiled: Any = CFunc(function, (arguments, types.int64), locals={}, options={"error_model": "numpy"})
    with _cached() as cache:
        if cache:
            compiled._cache = KernelCache(function)
    compiled.compile()
    return compiled


@contextlib.contextmanager
def _cached() -> Iterator[bool]:
    """While caches are made: they lie in the folder of these sources. Yields whether there is one."""
    with _LOCK:  # threads that decorate at the same time must not restore each other's folder
        folder = cache_folder(Path(__file__).parent)
        before = _config.CACHE_DIR
        _config.CACHE_DIR = str(folder or "")
        try:
            yield folder is not None
        finally:
            _config.CACHE_DIR = before


@functools.cache
def cache_folder(sources: Path) -> Path | None:
    """The private folder (mode 0700) for the machine code of these sources, made if need be; None if there can be none.

    It lies in NUMBA_CACHE_DIR if that is set, else in the user's cache folder. Numba's cache files are pickles, so a
    folder that belongs to someone else is not used, and there is no fallback to a shared place like /tmp.
    """
    base = Path(_config.CACHE_DIR) if _config.CACHE_DIR else user_cache() / "intsim"
    folder = base / f"{_PREFIX}{digest(sources)}"
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid() or not os.access(folder, os.W_OK):
            return None
        if stat.S_IMODE(folder.stat().st_mode) != 0o700:
            folder.chmod(0o700)
        os.utime(folder)
        prune(folder)
    except OSError:
        return None
    return folder


def digest(sources: Path) -> str:
    """The first 16 hex digits of the SHA-256 of the names and contents of all Python files in a folder and below."""
    sha = hashlib.sha256()
    for path in sorted(sources.rglob("*.py")):
        content = path.read_bytes()
        sha.update(f"{path.relative_to(sources).as_posix()} {len(content)}\n".encode())
        sha.update(content)
    return sha.hexdigest()[:16]


def prune(folder: Path) -> None:
    """Delete the oldest neighbours of a cache folder, so that it and the KEEP - 1 used last remain.

    A process that still runs from a deleted folder recompiles or recreates it: losing a cache is never an error.
    """
    others = [p for p in folder.parent.glob(f"{_PREFIX}*") if p != folder and p.is_dir() and not p.is_symlink()]
    for old in sorted(others, key=_last_use, reverse=True)[KEEP - 1 :]:
        shutil.rmtree(old, ignore_errors=True)


def user_cache() -> Path:
    """The user's cache folder: XDG_CACHE_HOME if it is an absolute path, else ~/.cache."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    return Path(configured) if os.path.isabs(configured) else Path.home() / ".cache"


def _last_use(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # another process prunes at the same time
        return 0.0
