from __future__ import annotations

import json

import numpy as np

from intsim.quantization.bias import quantize_bias

BIAS = np.array([1.0, -0.5, 0.25], np.float32)  # 8 bits: exact from 2**-7 (where 1.0 clips) on: best at -6


def test_a_bias_within_the_limits_is_only_shifted() -> None:
    bias = quantize_bias(BIAS, -10, bits=8, headroom=16)
    assert (bias.reference, bias.exponent) == (-6, -6)
    assert bias.codes.tolist() == [64, -32, 16]
    assert bias.aligned.dtype == np.int32
    assert bias.aligned.tolist() == [64 << 4, -32 << 4, 16 << 4]
    assert (bias.error, bias.limit_error) == (0.0, 0.0)


def test_at_both_ends_of_the_limits_nothing_changes() -> None:
    assert quantize_bias(BIAS, -6, bits=8, headroom=16).aligned.tolist() == [64, -32, 16]
    high = quantize_bias(BIAS, -22, bits=8, headroom=16)
    assert high.exponent == -6
    assert high.aligned.tolist() == [64 << 16, -32 << 16, 16 << 16]


def test_below_the_products_the_bias_is_rounded_to_their_step() -> None:
    bias = quantize_bias(BIAS, 0, bits=8, headroom=16)
    assert (bias.reference, bias.exponent) == (-6, 0)
    assert bias.codes.tolist() == bias.aligned.tolist() == [1, 0, 0]  # half_up of -0.5 is 0
    assert (bias.error, bias.limit_error) == (0.5, 0.5)


def test_above_the_headroom_the_bias_saturates() -> None:
    bias = quantize_bias(BIAS, -12, bits=8, headroom=4)
    assert (bias.reference, bias.exponent) == (-6, -8)
    assert bias.codes.tolist() == [127, -128, 64]
    assert bias.aligned.tolist() == [127 << 4, -128 << 4, 64 << 4]
    # 1.0 is 4096 units of the accumulator, 127 << 4 is 2032
    assert (bias.error, bias.limit_error) == (2064.0, 2064.0)


def test_error_without_a_limit_is_rounding_alone() -> None:
    bias = quantize_bias(np.array([1.0, 1 / 3], np.float32), -10, bits=8, headroom=16)
    assert bias.exponent == -6
    assert bias.limit_error == 0.0
    assert 0 < bias.error <= 8  # half a step of 2**-6 in units of 2**-10


def test_the_widest_bias_fits_int32() -> None:
    bias = quantize_bias(np.array([-1.0, 1.0], np.float32), -31, bits=16, headroom=16)
    assert (bias.reference, bias.exponent) == (-14, -15)  # 1.0 is exact at -14, and clipped at -15
    assert bias.aligned.tolist() == [-(2**31), 32767 << 16]
    assert bias.limit_error == 1 << 16


def test_an_all_zero_bias_is_zero_everywhere() -> None:
    bias = quantize_bias(np.zeros(3, np.float32), -40, bits=8, headroom=16)
    assert bias.aligned.tolist() == [0, 0, 0]
    assert -40 <= bias.exponent <= -24


def test_metadata_says_how_to_get_the_codes_back() -> None:
    bias = quantize_bias(BIAS, -10, bits=8, headroom=16)
    assert json.loads(bias.metadata) == {"bits": 8, "exponent": -6, "headroom": 16}
    assert (bias.aligned >> (-6 - -10)).tolist() == bias.codes.tolist()
