"""NEMO's integer requantizer: accumulator to output code by multiplication and floor division."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import INT64, Integers, as_integers, multiply
from intsim.spec.rounding import divide
from intsim.spec.saturate import saturate


def requantize_nemo(
    acc: npt.ArrayLike,
    *,
    multiplier: npt.ArrayLike,
    divisor: npt.ArrayLike,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Output codes: clip(floor(acc * multiplier / divisor)).

    acc: int64[N, C, ...]. multiplier: int64; divisor: 1 to 2**62, D in the source, mostly a power of two; each int, [C]
    along `axis`, or an array that broadcasts. bits (1 to 32), signed, narrow: the output format. Returns i64 of acc's
    shape. Raises OutOfDomain, also where the product is no int64, in which the source computes.
    Source: pulp-platform/nemo, nemo/quant/pact.py, pact_integer_requantize: t * eps_ratio // D, int64, with
    eps_ratio = round(D * eps_in / eps_out).
    """
    acc = as_integers(acc, "acc")
    checks.requantized_range(bits, signed, narrow)
    factor = checks.channelwise(multiplier, axis, acc.shape, *INT64, "multiplier")
    by = checks.channelwise(divisor, axis, acc.shape, 1, 2**62, "divisor")
    product = multiply(acc, factor)
    checks.within(product, *INT64, "the product")
    return saturate(divide(product, by, "floor"), bits, signed, narrow)
