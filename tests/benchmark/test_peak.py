from __future__ import annotations

import os
import subprocess
import sys

import pytest

from intsim.benchmark import peak
from intsim.benchmark.peak import CHAINS, has_vnni, peak_call

needs_vnni = pytest.mark.skipif(not has_vnni(), reason="the processor has no AVX512-VNNI, or nothing is compiled")


@needs_vnni
@pytest.mark.parametrize("passes", [1, 7, 1000])
def test_the_loop_adds_up_every_product(passes: int) -> None:
    """In each of four bytes x = 0x05 is a factor of itself once: 0 * 0 + 0 * 0 + 0 * 0 + 5 * 5, in every chain."""
    starts = sum(5 + k for k in range(CHAINS))
    assert peak._loop()(passes, 5) == starts + passes * CHAINS * 25


@needs_vnni
def test_every_thread_does_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = peak_call(1), peak_call(2)
    assert one is not None and two is not None and two[1] == 16 * one[1]
    calls: list[int] = []
    monkeypatch.setattr(peak, "_loop", lambda: lambda passes, x: calls.append(passes))
    three = peak_call(3)
    assert three is not None
    three[0]()
    assert three[1] == sum(calls[1:]) * peak.MACS


@pytest.mark.parametrize(
    "environment", [{"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2"}, {"NUMBA_DISABLE_JIT": "1"}]
)
def test_without_vnni_there_is_no_call_and_the_process_lives(environment: dict[str, str]) -> None:
    script = "from intsim.benchmark import peak_call; print(peak_call(1))"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
