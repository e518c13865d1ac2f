from __future__ import annotations

import numpy as np
import pytest

from intsim.comparison.differences import Mismatch, TensorDifference
from intsim.errors import UnusableInput


def test_equal_chunks_are_counted() -> None:
    difference = TensorDifference("t", "Conv")
    codes = np.arange(-12, 12, dtype=np.int8).reshape(2, 3, 4)
    assert difference.add(codes, codes.copy(), 0, 2) == 0
    assert difference.add(codes, codes.astype(np.int64), 2, 2) == 0
    assert (difference.elements, difference.mismatches, difference.max_difference) == (48, 0, 0)
    assert difference.histogram == {0: 48}
    assert difference.first is None


def test_differences_are_ours_less_theirs() -> None:
    theirs = np.array([[1, -128, 5], [7, 127, 0]], np.int8)
    ours = np.array([[1, 127, 4], [7, -128, 0]], np.int8)
    difference = TensorDifference("t")
    assert difference.add(theirs, ours, 0, 2) == 3
    assert difference.histogram == {0: 3, 255: 1, -1: 1, -255: 1}
    assert difference.max_difference == 255
    assert difference.first == Mismatch((0, 1), -128, 127)


def test_the_first_mismatch_is_the_first_in_image_order_over_all_chunks() -> None:
    codes = np.zeros((2, 3), np.uint8)
    difference = TensorDifference("t")
    difference.add(codes, codes, 0, 2)
    other = codes.copy()
    other[1, 2] = 9
    difference.add(codes, other, 2, 2)
    difference.add(codes, other + np.uint8(1), 4, 2)
    assert difference.first == Mismatch((3, 2), 0, 9)
    assert difference.mismatches == 1 + 6


def test_a_tensor_may_have_several_rows_an_image() -> None:
    codes = np.zeros((6, 5), np.int8)  # 2 images of 3 rows
    other = codes.copy()
    other[4, 1] = -3
    difference = TensorDifference("t")
    difference.add(codes, other, 4, 2)
    assert difference.first == Mismatch((4 * 3 + 4, 1), 0, -3)


def test_signed_and_unsigned_codes_compare_by_value() -> None:
    difference = TensorDifference("t")
    assert difference.add(np.array([200, 3], np.uint8), np.array([-56, 3], np.int8), 0, 2) == 1
    assert difference.histogram == {-256: 1, 0: 1}


def test_other_shapes_are_refused() -> None:
    difference = TensorDifference("t")
    with pytest.raises(UnusableInput, match=r"tensor 't': the peer has shape \[1, 2\], this model computes \[2, 1\]$"):
        difference.add(np.zeros((1, 2)), np.zeros((2, 1)), 0, 1)
    with pytest.raises(UnusableInput, match="its channels are last, ONNX has them second"):
        difference.add(np.zeros((1, 5, 6, 3)), np.zeros((1, 3, 5, 6)), 0, 1)


def test_the_json_entry() -> None:
    difference = TensorDifference("t", "Add")
    difference.add(np.array([[1, 2, 3]], np.int8), np.array([[1, 4, 3]], np.int8), 7, 1)
    difference.local = 1
    difference.causes["tie"] = 1
    assert difference.to_dict() == {
        "name": "t",
        "op": "Add",
        "elements": 3,
        "mismatches": 1,
        "max_difference": 2,
        "histogram": {"0": 2, "2": 1},
        "first": {"coordinate": [7, 1], "expected": 2, "actual": 4},
        "local_mismatches": 1,
        "causes": {"tie": 1},
    }
