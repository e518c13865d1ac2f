"""Instruction sets: which the kernels can use, found before anything compiles."""

from __future__ import annotations

import functools
import os
from typing import Any

import numba

VARIABLE = "INTSIM_ISA"
"""The environment variable that chooses an instruction set."""

REQUIRED: dict[str, tuple[frozenset[str], ...]] = {
    "avx512vnni": (frozenset({"avx512f", "avx512bw", "avx512vl", "avx512vnni"}),),
    "avxvnni": (frozenset({"avx2", "fma", "avxvnni"}), frozenset({"avx2", "fma", "avx512vl", "avx512vnni"})),
    "avx2": (frozenset({"avx2", "fma"}),),
    "portable": (frozenset(),),
}
"""Instruction set -> the sets of CPU features, any of which it needs; the fastest first.

`avx512vnni`: vpdpbusd on 512 bits. `avxvnni`: the same on 256 bits. `avx2`: vpmaddwd on 16-bit codes, or
vpmaddubsw where 16 bits are proved to hold the sums of its pairs.
`portable`: no packed kernels, only the loops of intsim.kernels.
"""

ISAS = tuple(REQUIRED)

_config: Any = numba.config


@functools.cache
def available() -> tuple[str, ...]:
    """The instruction sets that this process can use, the fastest first.

    An instruction that the CPU lacks makes LLVM abort the process as it compiles, so nothing else may be asked for.
    With NUMBA_CPU_FEATURES set, its features count, which are what Numba compiles for. With NUMBA_DISABLE_JIT=1 nothing
    is compiled: only `portable`.
    """
    if _config.DISABLE_JIT:
        return ("portable",)
    features = cpu_features()
    return tuple(isa for isa, needs in REQUIRED.items() if any(need <= features for need in needs))


def cpu_features() -> frozenset[str]:
    """The names of the CPU features that Numba compiles for, LLVM's names."""
    if _config.CPU_FEATURES is not None:
        return frozenset(f[1:] for f in str(_config.CPU_FEATURES).split(",") if f.startswith("+"))
    from llvmlite import binding

    return frozenset(name for name, present in binding.get_host_cpu_features().items() if present)


def find_isa(name: str | None = None) -> str:
    """The instruction set of that name, else of the environment variable INTSIM_ISA, else the fastest available.

    Raises ValueError for a name that is unknown, or that this processor lacks.
    """
    where, asked = ("isa", name) if name is not None else (VARIABLE, os.environ.get(VARIABLE) or None)
    if asked is None:
        return available()[0]
    if asked not in ISAS:
        raise ValueError(f"{where} must be one of {', '.join(ISAS)}, not {asked!r}")
    if asked not in available():
        raise ValueError(f"{where}: this processor has no {asked}; it has {', '.join(available())}")
    return asked
