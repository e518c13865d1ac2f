"""The one decorator of compiled functions, and where their machine code is cached."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import llvmlite
import numba
from numba import types
from numba.core.ccallback import CFunc

from intsim.kernels._loading import KernelCache

KEEP = 600
"""How many folders of machine code stay on disk, one a file and version: a few versions of everything."""

_NAME = re.compile(r"kernels-[0-9a-f]{16}")
"""A folder of our own making."""

_IMPORTS = re.compile(
    r"^ *(?:from (intsim\.kernels[\w.]*) import (\([^)]*\)|.*)|import (intsim\.kernels[\w.]*))", re.MULTILINE
)

_UNRELATED = re.compile(r"CUDA|NUM_THREADS|CACHE|COLOR|DUMP|THREADING_LAYER|SHOW_HELP|WARN|DISABLE_JIT")
"""Settings of Numba that change no machine code."""

_LOCK = threading.RLock()

_config: Any = numba.config  # numba fills this module in as it runs

_OPTIONS = {"error_model": "numpy", "debug": False}
"""A division by zero is no exception, which lets float divisions be vectorised. Nothing is left to the environment."""

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """The function compiled by Numba: without the GIL, without fast-math, cached on disk by all that it is made from.

    Numba's own cache looks at the caller's file only, so a change in a helper would leave stale machine code; here the
    folder's name has a digest of the file and of every kernel file that it imports. Where no private folder can be had,
    nothing is cached. With NUMBA_DISABLE_JIT=1 the function comes back as it is.
    """
    if _config.DISABLE_JIT:
        return function
    compiled: Any = numba.njit(nogil=True, **_OPTIONS)(function)
    with _cached(function) as cache:
        if cache:
            compiled._cache = KernelCache(function)
    return compiled


def op(function: Callable[[Any, Any, Any], Any]) -> Any:
    """The C function int64(int64 row, int64 start, int64 stop) of a packed op, compiled and cached like a `kernel`.

    It must not raise: it returns 0, or the status of what is wrong; so it has no bounds checks, whatever
    NUMBA_BOUNDSCHECK says. Only where packed.isa.available() has an instruction set that the function uses; LLVM aborts
    the process otherwise.
    """
    arguments = (types.int64, types.int64, types.int64)
    compiled: Any = CFunc(function, (arguments, types.int64), locals={}, options=dict(_OPTIONS))
    with _cached(function) as cache:
        if cache:
            compiled._cache = KernelCache(function)
        before, _config.BOUNDSCHECK = _config.BOUNDSCHECK, None
        try:
            compiled.compile()
        finally:
            _config.BOUNDSCHECK = before
    return compiled


@contextlib.contextmanager
def _cached(function: Any) -> Iterator[bool]:
    """While caches are made: they lie in the folder of the function's sources. Yields whether there is one."""
    with _LOCK:  # threads that decorate at the same time must not restore each other's folder
        folder = cache_folder(Path(function.__code__.co_filename), settings())
        before = _config.CACHE_DIR
        _config.CACHE_DIR = str(folder or "")
        try:
            yield folder is not None
        finally:
            _config.CACHE_DIR = before


@functools.cache
def cache_folder(source: Path, settings: str) -> Path | None:
    """The private folder (mode 0700) for the machine code of a file, made if need be; None if there can be none.

    It lies in NUMBA_CACHE_DIR if that is set, else in the user's cache folder. Numba's cache files are pickles: a
    folder of someone else's, or one that others may write to, is not used, and nothing falls back to a place like /tmp.
    """
    base = Path(_config.CACHE_DIR) if _config.CACHE_DIR else user_cache() / "intsim"
    folder = base / f"kernels-{digest(source, settings)}"
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = not folder.exists()
        folder.mkdir(mode=0o700, exist_ok=True)
        if not is_private(folder) or not os.access(folder, os.W_OK):
            return None
        os.utime(folder)
        if fresh:
            prune(folder)
    except OSError:
        return None
    return folder


def is_private(folder: Path) -> bool:
    """Whether a folder is our own and nobody else can write to it; a link is not."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def digest(source: Path, settings: str = "") -> str:
    """The first 16 hex digits of the SHA-256 of a kernel file, all kernel files that it imports, and settings."""
    sha = hashlib.sha256(settings.encode())
    for path in sorted(closure(source)):
        content = path.read_bytes()
        sha.update(f"{path.relative_to(root(source)).as_posix()} {len(content)}\n".encode())
        sha.update(content)
    return sha.hexdigest()[:16]


def closure(source: Path) -> frozenset[Path]:
    """A kernel file and all kernel files that it imports, directly or not; machine code depends on no others."""
    found: set[Path] = set()
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(imported(path))
    return frozenset(found)


def root(source: Path) -> Path:
    """The folder of all kernels."""
    return next(folder for folder in source.parents if folder.name == "kernels")


@functools.cache
def imported(source: Path) -> tuple[Path, ...]:
    """The kernel files that a file imports, by the text of its import statements."""
    found = []
    for package, names, module in _IMPORTS.findall(source.read_text(encoding="utf-8")):
        place = root(source).joinpath(*(package or module).split(".")[2:])
        words = re.findall(r"\w+", names)
        inside = [place / f"{word}.py" for word in words]
        found += [path for path in (place.with_suffix(".py"), place / "__init__.py", *inside) if path.is_file()]
    return tuple(found)


@functools.cache
def settings() -> str:
    """What else machine code depends on: the versions of Numba and LLVM, and each setting of Numba that may change it.

    The processor is in Numba's own key.
    """
    values = {name: getattr(_config, name) for name in dir(_config) if name.isupper() and not _UNRELATED.search(name)}
    plain = {name: value for name, value in values.items() if isinstance(value, int | str | float | None)}
    return repr((numba.__version__, llvmlite.__version__, sorted(plain.items(), key=lambda item: item[0])))


def prune(folder: Path) -> None:
    """Delete the neighbours of a cache folder that were used longest ago, so that KEEP remain with it.

    Only folders of our own making: `kernels-` and 16 hex digits, private, and no links. A process that still runs from
    a deleted folder recompiles or makes it again: losing a cache is never an error.
    """
    others = [p for p in folder.parent.iterdir() if p != folder and _NAME.fullmatch(p.name) and is_private(p)]
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
