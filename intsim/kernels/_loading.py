"""Numba's cache of machine code, read without what Numba needs to compile."""

from __future__ import annotations

from typing import Any

from llvmlite import binding
from numba.core.caching import FunctionCache
from numba.core.runtime import _nrt_python

from intsim.kernels._listeners import tell


class KernelCache(FunctionCache):  # type: ignore[misc]  # Numba has no types
    """The cache of one function. What is not in it is compiled, and stored, as ever.

    Before it looks into its own cache, Numba loads all that it knows to compile: hundreds of modules (SciPy's linear
    algebra among them, where it is installed) and large parts of LLVM, for 0.4 s and 40 MiB. Machine code needs nothing
    of them but the addresses of the runtime's functions; Numba's compiler loads the rest when it is called.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What was compiled for a signature, None where that is nothing."""
        _add_runtime()
        found = None
        with self._guard_against_spurious_io_errors():
            found = self._load_overload(sig, target_context)
        if found is None:
            tell(self._py_func.__qualname__, begins=True)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store what was just compiled."""
        super().save_overload(sig, data)
        tell(self._py_func.__qualname__, begins=False)


def _add_runtime() -> None:
    """Tell LLVM where the functions are that Numba's runtime is written in: it ends the process where one is missing.

    Those that are compiled, like NRT_incref, are a part of the machine code of each function that calls them.
    """
    for name, address in _nrt_python.c_helpers.items():
        binding.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
