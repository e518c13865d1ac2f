"""Record what QONNX's Quant and Trunc compute, in an environment of its own that has PyPI's qonnx.

Run it there: python tools/record_qonnx.py tests/targets/qonnx.npz. The tests read that file and need no qonnx.
"""

from __future__ import annotations

import importlib.metadata
import sys

import numpy as np

MODES = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
FORMATS = (
    (8, 1, 0, 3.0),
    (8, 1, 1, 0.0),
    (4, 1, 1, -2.0),
    (4, 0, 0, 5.0),
    (4, 0, 1, 0.0),
    (2, 1, 0, 0.0),
    (1, 0, 0, 0.0),
)
"""bits, signed, narrow, zero point."""


def main(path: str) -> None:
    """Write the inputs, and what qonnx makes of them, as codes."""
    from qonnx.custom_op.general.intquant import int_quant
    from qonnx.custom_op.general.trunc import trunc_v2

    rng = np.random.default_rng(1)
    ties = np.arange(-80, 80) / 16
    edges = [0.5 * 0.25 - 2.0**-27, -0.5 * 0.25 + 2.0**-27, 1e9, -1e9]
    r = np.concatenate([ties, rng.normal(0, 4, 240), edges]).astype(np.float32)
    scales = np.array([0.25, 0.1, 0.0371], np.float32)
    quant = np.zeros((len(MODES), len(FORMATS), len(scales), len(r)), np.int64)
    for (m, f, s), _ in np.ndenumerate(quant[..., 0]):
        bits, signed, narrow, zero = FORMATS[f]
        reals = int_quant(r, scales[s], np.float32(zero), np.float32(bits), signed, narrow, MODES[m])
        quant[m, f, s] = np.rint(np.asarray(reals, np.float64) / scales[s] + zero)
    codes = np.arange(-256, 256).astype(np.float32)
    trunc = np.zeros((len(MODES), 9, len(codes)), np.int64)
    for m, mode in enumerate(MODES):
        for shift in range(9):
            one, to = np.float32(1), np.float32(2**shift)
            reals = trunc_v2(codes, one, np.float32(0), np.float32(9), 0, 1, to, np.float32(4), mode)
            trunc[m, shift] = np.rint(reals / to)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("qonnx", "numpy", "onnx")]
    np.savez_compressed(
        path,
        provenance=np.array(versions),
        modes=np.array(MODES),
        formats=np.array(FORMATS),
        scales=scales,
        r=r,
        quant=quant.astype(np.int16),
        codes=codes.astype(np.int16),
        trunc=trunc.astype(np.int8),
    )


if __name__ == "__main__":
    main(sys.argv[1])
