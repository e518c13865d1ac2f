from __future__ import annotations

import numpy as np
import pytest

from intsim.comparison.causes import name_causes, other_tie_rules, with_float32_requantizer
from intsim.formats import Format
from intsim.target import TARGETS, Target

I8 = Format(8)


def row(*codes: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    return np.array(codes, np.int8)


@pytest.mark.parametrize(
    ("target", "rules"),
    [
        (TARGETS["diffquant"], ("half_down",)),
        (Target("even", rounding="half_even"), ("half_up", "half_down")),
        (Target("floor", rounding="floor"), ()),  # directed: it knows no ties
        (TARGETS["onnxruntime"], ()),  # float32 products, hardly ever a tie
    ],
)
def test_the_rules_that_tell_a_tie(target: Target, rules: tuple[str, ...]) -> None:
    assert other_tie_rules(target) == rules


def test_each_difference_has_one_cause() -> None:
    theirs = row(1, 10, 20, -128, 50, 60, 7)
    ours = row(1, 11, 21, 127, 53, 61, 9)
    variants = {"tie": [row(1, 10, 21, 127, 53, 61, 9)], "wrapped accumulator": [row(1, 11, 21, 127, 53, 61, 100)]}
    assert name_causes(theirs, ours, variants, I8, floating=True) == {
        "tie": 1,  # the second: another rule gives another code
        "wrapped accumulator": 1,  # the last: a wider accumulator gives another code
        "saturation": 1,  # the fourth, at the end of the range
        "float rounding": 2,  # one code apart, and the peer is in float
        "arithmetic": 1,  # the fifth, three codes apart
    }


def test_without_floats_one_code_apart_is_arithmetic() -> None:
    assert name_causes(row(1, 2), row(2, 2), {}, I8, floating=False) == {"arithmetic": 1}


def test_a_tie_is_one_code_apart() -> None:
    variants = {"tie": [row(0, 5)]}
    assert name_causes(row(0, 5), row(1, 9), variants, I8, floating=False) == {"tie": 1, "arithmetic": 1}


def test_one_end_of_the_range_is_no_saturation_next_to_it() -> None:
    assert name_causes(row(127, 127), row(126, 120), {}, I8, floating=False) == {"arithmetic": 1, "saturation": 1}


def test_the_same_codes_in_another_order_are_a_layout() -> None:
    codes = np.arange(24, dtype=np.int8).reshape(1, 2, 3, 4)
    turned = codes.transpose(0, 2, 3, 1).reshape(codes.shape)
    assert name_causes(codes, turned, {}, I8, floating=False) == {"layout": int(np.count_nonzero(codes != turned))}
    assert name_causes(row(0, 1), row(1, 0), {}, I8, floating=False) == {"arithmetic": 2}, "two codes: by chance"


def test_equal_codes_have_no_cause() -> None:
    assert name_causes(row(1, 2), row(1, 2), {"tie": [row(9, 9)]}, I8, floating=True) == {}


def test_a_requantizer_is_a_cause_where_a_product_in_float32_gives_the_peers_code() -> None:
    variants = {"requantizer": [row(1, 5, 9)]}
    found = name_causes(row(1, 6, 9), row(2, 7, 12), variants, I8, floating=True)
    assert found == {"requantizer": 2, "float rounding": 1}


@pytest.mark.parametrize("name", ["diffquant", "onnxruntime", "onnx-reference", "xnnpack", "max7800x", "nngen"])
def test_targets_without_a_multiplier_or_with_one_in_float32(name: str) -> None:
    assert with_float32_requantizer(TARGETS[name]) is None


def test_targets_with_a_multiplier() -> None:
    changed = with_float32_requantizer(TARGETS["tflite"])
    assert changed is not None
    assert (changed.requantizer, changed.fully_connected) == ("xnnpack_fp32", None)
    assert changed.accumulator_bits == TARGETS["tflite"].accumulator_bits
