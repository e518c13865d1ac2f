"""Temporary siblings: what is written stands beside its place under a name of its own until it is whole.

A name is `.<output>.intsim-<new or old>-<process id>-<random>`, and a lock on it is held while its writer lives. What
a killed writer left is found by its name, its process's death and its free lock; nothing else is touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

MARK = ".intsim-"
NEW = "new"
OLD = "old"
"""Kinds: what will take the output's place; what had to give way to it where two paths cannot be exchanged."""

LONGEST_STEM = 100
TAIL = re.compile(r"(new|old)-([1-9][0-9]{0,9})-[a-z0-9_]{8}", re.ASCII)


def new_sibling(path: Path, *, folder: bool, kind: str = NEW) -> Path:
    """A fresh file or folder beside the path, for its owner alone."""
    prefix = f"{_stem(path)}{kind}-{os.getpid()}-"
    if folder:
        return Path(tempfile.mkdtemp(dir=path.parent, prefix=prefix))
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    os.close(handle)
    return Path(name)


@contextlib.contextmanager
def locked(sibling: Path) -> Iterator[None]:
    """While a writer works on it: another process, also of another machine, sees that it lives."""
    handle = os.open(sibling, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks; the process id remains
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def leftovers(path: Path) -> list[tuple[str, Path]]:
    """(kind, sibling) of each temporary sibling of the path whose writer is dead."""
    stem = _stem(path)
    found = []
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            tail = TAIL.fullmatch(entry.name.removeprefix(stem)) if entry.name.startswith(stem) else None
            if tail and not _lives(int(tail[2])) and _is_free(entry):
                found.append((tail[1], Path(entry.path)))
    return sorted(found)


def _stem(path: Path) -> str:
    name = os.fsencode(path.name)[:LONGEST_STEM].decode(errors="ignore")
    return f".{name}{MARK}"


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _is_free(entry: os.DirEntry[str]) -> bool:
    """Whether it is our own regular file or folder, and nobody holds its lock."""
    status = entry.stat(follow_symlinks=False)
    if status.st_uid != os.geteuid() or not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return False
    try:
        handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # no locks here: the process id alone speaks
    finally:
        os.close(handle)
    return True
