"""The bias of a layer: codes of its own exponent, near enough to the accumulator's to be aligned by a left shift.

Source: the DiffQuant paper: e_t <= e_b <= e_t + L, where e_t is the exponent of the products and L the headroom
by which the accumulator is widened.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.quantization.candidates import find_exponent
from intsim.quantization.exponents import quantize

Array = np.ndarray[Any, Any]

METADATA = "intsim.bias"
"""The key of a node's metadata that says how its bias came about."""


@dataclass(frozen=True)
class Bias:
    """A quantized bias.

    codes: integers of `bits` bits, one for each output. exponent: e_b. reference: the exponent with the least error,
    before the limit. aligned: codes << (e_b - e_t), int32, at scale 2**e_t: what is added to the accumulator.
    error: the largest |aligned - b / 2**e_t|, in units of the accumulator. limit_error: how far the limit
    e_t <= e_b <= e_t + L has moved an element at most, in the same units.
    """

    codes: Array
    bits: int
    exponent: int
    reference: int
    headroom: int
    aligned: Array
    error: float
    limit_error: float

    @property
    def metadata(self) -> str:
        """The value of the node's metadata: JSON with bits, exponent and headroom."""
        return json.dumps({"bits": self.bits, "exponent": self.exponent, "headroom": self.headroom})


def quantize_bias(bias: Array, product_exponent: int, bits: int, headroom: int) -> Bias:
    """The Bias of float32[C] for products of exponent e_t; bits + headroom is at most 32.

    e_b = clip(the exponent with the least squared error, e_t, e_t + L); codes = clip(half_up(b / 2**e_b)).
    """
    e_t = product_exponent
    reference = find_exponent(bias, bits)
    exponent = min(max(reference, e_t), e_t + headroom)
    codes = quantize(bias, exponent, bits)
    aligned = codes.astype(np.int64) << (exponent - e_t)
    free = np.ldexp(quantize(bias, reference, bits).astype(np.float64), reference - e_t)
    exact = np.ldexp(bias.astype(np.float64), -e_t)
    return Bias(
        codes,
        bits,
        exponent,
        reference,
        headroom,
        aligned.astype(np.int32),
        float(np.max(np.abs(aligned - exact))),
        float(np.max(np.abs(aligned - free))),
    )
