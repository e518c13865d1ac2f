"""The same bits on another processor: machine code for the plainest x86-64, without FMA and AVX, against this one's."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import hashlib
from importlib import import_module

import numpy as np

rng = np.random.default_rng(1)
a, b = (rng.integers(-128, 128, (2, 8, 17, 19)).astype(np.int8) for _ in "ab")
w = rng.integers(-128, 128, (8, 8, 3, 3)).astype(np.int8)
acc = rng.integers(-(2**31), 2**31, (2, 8, 17, 19)).astype(np.int32) >> 12
r = rng.normal(0, 2, (2, 8, 17, 19)).astype(np.float32)
c8 = {"bits": 8, "signed": True}
windows = {"kernel": (3, 2), "strides": (2, 1), "pads": (1, 0, 1, 1), "dilations": (1, 1)}
conv = {"strides": (2, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1, "accumulator_bits": 19}
wide = (a.astype(np.int16) << 8, w.astype(np.int16) << 8)
f = np.float32(0.0173)
calls = [
    ("conv", (a, w), {**conv, "overflow": "wrap"}),
    ("conv", (a, w), {**conv, "overflow": "saturate"}),
    ("conv", (a, w), {**conv, "overflow": "saturate", "accumulator_bits": 14}),
    ("conv", (a, w), {**conv, "overflow": "saturate", "accumulator_bits": 16}),
    ("conv", wide, {**conv, "overflow": "saturate", "accumulator_bits": 32}),
    ("post_conv", (a, w & 7), {**conv, "overflow": "wrap", "table": rng.integers(-2000, 2000, (8, 256)), "low": -128}),
    ("conv", (a, w), {**conv, "overflow": "wrap", "check": False, "accumulate": "int32"}),
    ("requantize", (acc,), {"shift": 11, "rounding": "half_even", **c8}),
    ("requantize_float32", (acc,), {"multiplier": f, **c8}),
    ("quantize", (r,), {"scale": f, "rounding": "half_up", **c8}),
    ("quantize_float32", (r,), {"scale": f, **c8}),
    ("add_float32", (a, b), {"a_ratio": np.float32(0.5), "b_ratio": np.float32(0.3), "a_zero": 3, **c8}),
    ("mul_float32", (a, b), {"ratio": f, "a_zero": 3, "zero_point": 9, **c8}),
    ("max_pool", (a,), windows),
    ("average_pool_float32", (a,), {**windows, "x_scale": f, "scale": np.float32(0.013), **c8}),
]
for op, xs, parameters in calls:
    result = getattr(import_module(f"intsim.kernels.{op}"), op)(*xs, **parameters)
    for part in result if isinstance(result, tuple) else (result,):
        print(op, None if part is None else hashlib.sha256(part.tobytes()).hexdigest())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the processor to compare with is an x86-64")
def test_the_plainest_x86_64_gives_the_same_bits(tmp_path: Path) -> None:
    """What is compiled for this processor lies in the cache of the other tests."""
    root = str(Path(__file__).parents[2])
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    outputs = []
    plainest = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    own = {name: os.environ[name] for name in ("NUMBA_CACHE_DIR",) if name in os.environ}
    for processor in (own, plainest):
        environment = {**kept, "PYTHONPATH": root, **processor}
        result = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert (result.returncode, result.stderr) == (0, "")
        outputs.append(result.stdout.splitlines())
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) == 22
