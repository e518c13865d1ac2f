"""Which instruction set is chosen: by name, by the environment, by the processor's features, by none of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from intsim.errors import UnusableInput
from intsim.kernels.packed import isa
from intsim.plan import make_plan
from intsim.run.engine import Engine
from tests.kernels.packed.run import ISAS, needs_instructions
from tests.networks import residual

SCRIPT = """
import hashlib

import numpy as np

from intsim.run.engine import Engine
from intsim.plan import make_plan
from tests.networks import random_codes, residual

engine = Engine(make_plan(residual(size=4)), 1)
result = engine.run({"x_q": random_codes(5, (3, 3, 4, 4))}, ["histogram", "saturation"])
taps = [(name, tap.histogram.tolist(), vars(tap.saturation)) for name, tap in result.taps.items()]
print(engine.isa, hashlib.sha256(result.outputs["logits"].codes.tobytes() + repr(taps).encode()).hexdigest())
"""
ROOT = str(Path(__file__).parents[3])


def child(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python process of its own, in which nothing is chosen but what the environment says."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("INTSIM_", "NUMBA_CPU", "NUMBA_DISABLE"))}
    return subprocess.run(
        [sys.executable, *command],
        env={**kept, "PYTHONPATH": ROOT, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def chosen(**environment: str) -> tuple[str, str]:
    """The instruction set of a child process, and the digest of what it computed."""
    done = child(["-c", SCRIPT], **environment)
    assert (done.returncode, done.stderr) == (0, "")
    name, digest = done.stdout.split()
    return name, digest


def test_the_fastest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(isa.VARIABLE, raising=False)
    assert isa.ISAS == ("avx512vnni", "avxvnni", "avx2", "portable")
    assert isa.find_isa() == isa.available()[0]
    assert isa.available()[-1] == "portable"


def test_the_environment_and_the_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument is stronger; an empty variable is none."""
    plan = make_plan(residual())
    for name in isa.available():
        monkeypatch.setenv(isa.VARIABLE, name)
        assert Engine(plan).isa == name
        assert Engine(plan, isa="portable").isa == "portable"
    monkeypatch.setenv(isa.VARIABLE, "")
    assert Engine(plan).isa == isa.available()[0]


def test_unknown_and_unavailable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(residual())
    names = "avx512vnni, avxvnni, avx2, portable"
    with pytest.raises(UnusableInput, match=f"^isa must be one of {names}, not 'sse'$"):
        Engine(plan, isa="sse")
    monkeypatch.setenv(isa.VARIABLE, "foo")
    with pytest.raises(UnusableInput, match=f"^INTSIM_ISA must be one of {names}, not 'foo'$"):
        Engine(plan)
    monkeypatch.setattr(isa, "available", lambda: ("avx2", "portable"))
    with pytest.raises(UnusableInput, match=r"^isa: this processor has no avxvnni; it has avx2, portable$"):
        Engine(plan, isa="avxvnni")


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ("+avx2,+fma,+avxvnni", ("avxvnni", "avx2", "portable")),
        ("+avx2,+fma", ("avx2", "portable")),
        ("+avx2", ("portable",)),
        ("+avx512f,+avx512bw,+avx512vl,+avx512vnni,+avx2,+fma", ("avx512vnni", "avxvnni", "avx2", "portable")),
        ("+avx512f,+avx512bw,-avx512vl,+avx512vnni,+avx2,+fma", ("avx2", "portable")),
        ("", ("portable",)),
    ],
)
def test_features(features: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isa._config, "CPU_FEATURES", features)
    monkeypatch.setattr(isa._config, "DISABLE_JIT", 0)
    isa.available.cache_clear()
    try:
        assert isa.available() == expected
    finally:
        isa.available.cache_clear()


@needs_instructions
def test_processors_with_fewer_instructions(tmp_path: Path) -> None:
    """Machine code for them runs here, gives the same bits, and never aborts the process.

    Without AVX-512 the instruction set is another one only where the processor has VNNI on 256 bits.
    """
    every = ",".join(f"+{feature}" for feature in sorted(isa.cpu_features()))
    without_vnni = every.replace("+avx512vnni", "-avx512vnni").replace("+avxvnni", "-avxvnni")
    without_avx512 = ",".join(f if not f.startswith("+avx512") else f"-{f[1:]}" for f in every.split(","))
    own = chosen()
    assert own[0] == ISAS[0]
    found = {}
    narrow = "avxvnni" in isa.cpu_features()
    for features in (without_vnni, *([without_avx512] if narrow else []), ""):
        found[features] = chosen(NUMBA_CPU_FEATURES=features, NUMBA_CACHE_DIR=str(tmp_path))
        assert found[features][1] == own[1]
    assert (found[without_vnni][0], found[""][0]) == ("avx2", "portable")
    assert not narrow or found[without_avx512][0] == "avxvnni"


def test_nothing_is_compiled() -> None:
    assert chosen(NUMBA_DISABLE_JIT="1")[0] == "portable"
