from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.errors import OutOfDomain
from intsim.spec.resize_nearest import COORDINATE_MODES, NEAREST_MODES
from tests.spec.judges import onnx_reference, onnxruntime

LENGTHS = (1, 2, 3, 5, 6, 7, 10, 13)
SIZES = (1, 2, 3, 4, 5, 7, 9, 12, 14, 21, 24)
SCALES = tuple(np.float32(s) for s in (0.3, 0.5, 1 / 3, 2 / 3, 0.75, 1.0, 1.2, 4 / 3, 1.5, 1.7, 2.0, 2.6, 3.0))


@pytest.mark.parametrize("coordinate_mode", COORDINATE_MODES)
@pytest.mark.parametrize("nearest_mode", NEAREST_MODES)
def test_sizes_and_scales_as_onnx_runtime(coordinate_mode: str, nearest_mode: str) -> None:
    """Many lengths at once: each is one axis of length n to one of length m."""
    pytest.importorskip("onnxruntime")
    modes: dict[str, Any] = {"coordinate_mode": coordinate_mode, "nearest_mode": nearest_mode}
    attributes = {"mode": "nearest", "coordinate_transformation_mode": coordinate_mode, "nearest_mode": nearest_mode}
    for n in LENGTHS:
        x = np.arange(2 * n, dtype=np.int8).reshape(1, 2, n)
        for m in SIZES:
            expected = onnxruntime("Resize", [x, None, None, np.array([1, 2, m])], opset=19, **attributes)
            assert np.array_equal(spec.resize_nearest(x, sizes=(1, 2, m), **modes), expected), (n, m)
        for scale in SCALES:
            if np.float32(n) * scale < 1:
                continue
            scales = np.array([1, 1, scale], np.float32)
            expected = onnxruntime("Resize", [x, None, scales], opset=19, **attributes)
            assert np.array_equal(spec.resize_nearest(x, scales=scales, **modes), expected), (n, scale)


@pytest.mark.parametrize("coordinate_mode", ["asymmetric", "half_pixel", "align_corners"])
@pytest.mark.parametrize("nearest_mode", NEAREST_MODES)
def test_whole_factors_as_onnx_says(coordinate_mode: str, nearest_mode: str) -> None:
    """Two axes; where both scales are powers of two, float32 and the reference evaluator's float64 agree."""
    x = np.arange(40, dtype=np.uint8).reshape(1, 2, 4, 5)
    for factors in ((2, 4), (1, 2), (0.5, 2), (4, 1)):
        scales = np.array([1, 1, *factors], np.float32)
        expected = onnx_reference(
            "Resize",
            [x, None, scales],
            opset=19,
            mode="nearest",
            coordinate_transformation_mode=coordinate_mode,
            nearest_mode=nearest_mode,
        )
        got = spec.resize_nearest(x, scales=scales, coordinate_mode=coordinate_mode, nearest_mode=nearest_mode)
        assert got.dtype == np.uint8
        assert np.array_equal(got, expected), factors


def test_twice_by_hand() -> None:
    x = np.array([[[[1, 2], [3, 4]]]])
    modes = {"coordinate_mode": "asymmetric", "nearest_mode": "floor"}
    expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert spec.resize_nearest(x, scales=(1, 1, 2, 2), **modes)[0, 0].tolist() == expected
    assert spec.resize_nearest(x, sizes=(0, 0, 4, 4), **modes)[0, 0].tolist() == expected
    swapped = spec.resize_nearest(x.swapaxes(2, 3), scales=(1, 1, 2, 2), **modes)[0, 0]
    assert swapped.tolist() != expected


GOOD: dict[str, Any] = {"x": np.zeros((1, 2, 3), int), "coordinate_mode": "half_pixel", "nearest_mode": "floor"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "scales or sizes must be given, and not both: not None and None"),
        ({"scales": (1, 1, 1), "sizes": (1, 2, 3)}, "scales or sizes must be given, and not both"),
        ({"scales": (1, 1)}, r"scales must have 1 or 3 elements, not 2|scales must broadcast|scales must be 3 numbers"),
        ({"scales": (1, 1, 0)}, "scales must be positive and finite, not 0.0"),
        ({"scales": (1, 1, 0.1)}, "x and the result must have elements on axis 2, not lengths 3 and 0"),
        ({"sizes": (1, 2)}, r"sizes must be 3 integers, not \(1, 2\)"),
        ({"sizes": (1, 2, -3)}, "sizes must be an integer within 0 to 2147483647, not -3"),
        ({"sizes": (1, 2, 6), "coordinate_mode": "tf_crop_and_resize"}, "coordinate_mode must be one of half_pixel, "),
        ({"sizes": (1, 2, 6), "nearest_mode": "nearest"}, "nearest_mode must be one of .*, not 'nearest'"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfDomain, match=message):
        spec.resize_nearest(**{**GOOD, **changes})
