"""NNgen's requantizer: accumulator to output code in two rounded shifts with bias and scale between."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import INT64, Integers, add, as_integers, multiply
from intsim.spec.rounding import shift_right
from intsim.spec.saturate import saturate


def requantize_nngen(
    acc: npt.ArrayLike,
    *,
    sum_shift: npt.ArrayLike = 0,
    bias: npt.ArrayLike = 0,
    scale: npt.ArrayLike = 1,
    out_shift: npt.ArrayLike,
    bits: int,
    signed: bool,
    narrow: bool = True,
    axis: int = 1,
) -> Integers:
    """Output codes: clip(half_away((half_up(acc / 2**sum_shift) + bias) * scale / 2**out_shift)).

    acc: int32[N, C, ...]. sum_shift, out_shift: 0 to 62, count to the RIGHT; bias: int32; scale: int32; each int, [C]
    along `axis`, or an array that broadcasts. bits (1 to 32), signed, narrow: the output format; narrow is the source's
    default (asymmetric_clip=False: -127 to 127). Returns i64 of acc's shape. Raises OutOfDomain, also where
    (sum + bias) * scale is no int64.
    Source: NNgen/nngen, nngen/verify/conv2d.py, and the hardware in nngen/operator/conv2d.py: acc_rshift_round_frac
    (adds the half, then Sra) and mul_rshift_round_clip (SraRound: the half, less one where negative) of substreams.py;
    SraRound is veriloggen's, half away from zero in veriloggen/stream/stypes.py and half up in its old releases. The
    widths of NNgen's intermediate words are choices of a design; here they are wide enough.
    """
    acc = as_integers(acc, "acc")
    checks.requantized_range(bits, signed, narrow)
    checks.within(acc, *checks.INT32, "acc")
    first = checks.channelwise(sum_shift, axis, acc.shape, 0, 62, "sum_shift")
    addend = checks.channelwise(bias, axis, acc.shape, *checks.INT32, "bias")
    factor = checks.channelwise(scale, axis, acc.shape, *checks.INT32, "scale")
    last = checks.channelwise(out_shift, axis, acc.shape, 0, 62, "out_shift")
    product = multiply(add(shift_right(acc, first, "half_up"), addend), factor)
    checks.within(product, *INT64, "the scaled sum")
    return saturate(shift_right(product, last, "half_away"), bits, signed, narrow)
