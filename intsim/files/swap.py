"""Two paths exchanged in one step, so that whoever is killed before or after it leaves both in place."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

RENAME_EXCHANGE = 2
AT_FDCWD = -100

LACKING = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP)
"""What systems say that know no exchange: old kernels, and file systems such as NFS."""


def exchange(a: Path, b: Path) -> bool:
    """Give each path what the other one names, at once; False, and nothing done, where the system cannot.

    Linux' renameat2 with RENAME_EXCHANGE. Errors: OSError.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), ctypes.c_uint(RENAME_EXCHANGE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in LACKING:
        return False
    raise OSError(number, os.strerror(number), str(a), None, str(b))
