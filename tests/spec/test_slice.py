from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim import spec
from intsim.errors import OutOfDomain
from tests.spec.judges import onnx_reference, onnxruntime

ENDS = st.one_of(st.integers(-9, 9), st.sampled_from([2**31 - 1, 2**63 - 1, -(2**31), -(2**63)]))


@settings(max_examples=40)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    starts=st.tuples(*[ENDS] * 3),
    ends=st.tuples(*[ENDS] * 3),
    steps=st.tuples(*[st.integers(-3, 3).filter(bool)] * 3),
    data=st.data(),
)
def test_any_part(shape: list[int], starts: Any, ends: Any, steps: Any, data: st.DataObject) -> None:
    pytest.importorskip("onnxruntime")
    rank = len(shape)
    axes = data.draw(st.permutations(range(rank)))[: data.draw(st.integers(1, rank))]
    axes = [a - rank if data.draw(st.booleans()) else a for a in axes]
    x = np.arange(int(np.prod(shape)), dtype=np.int8).reshape(shape)
    parts = [list(v[: len(axes)]) for v in (starts, ends)]
    chosen = list(steps[: len(axes)])
    # INT_MAX is "to the end"; going backwards ONNX Runtime takes it for the other end, and ONNX has INT_MIN for that
    parts[1] = [-9 if step < 0 and end > 9 else end for end, step in zip(parts[1], chosen, strict=True)]
    got = spec.slice(x, starts=tuple(parts[0]), ends=tuple(parts[1]), axes=tuple(axes), steps=tuple(chosen))
    operands = [np.array(v) for v in (*parts, axes, chosen)]
    expected = onnxruntime("Slice", [x, *operands])
    assert got.dtype == np.int8
    assert got.shape == expected.shape
    assert np.array_equal(got, expected)


def test_as_onnx_says() -> None:
    x = np.arange(60).reshape(3, 4, 5)
    for start, end, step in ((1, 3, 1), (0, -1, 2), (-1, 0, -1), (3, -100, -2), (2, 2, 1), (-3, 100, 1)):
        operands = [np.array([v]) for v in (start, end, 1, step)]
        got = spec.slice(x, starts=(start,), ends=(end,), axes=(1,), steps=(step,))
        assert np.array_equal(got, onnx_reference("Slice", [x, *operands]))


GOOD: dict[str, Any] = {"x": np.zeros((2, 3), int), "starts": (0,), "ends": (1,), "axes": (0,), "steps": (1,)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": (0,)}, "steps must not be 0"),
        ({"steps": (1, 1)}, r"steps must be 1 integers, not \(1, 1\)"),
        ({"starts": (0.5,)}, "starts must be an integer within .*, not 0.5"),
        ({"ends": ()}, r"ends must be 1 integers, not \(\)"),
        ({"axes": (2,)}, "axes must be an integer within -2 to 1, not 2"),
        ({"axes": (0, 0)}, r"axes must be distinct, not \(0, 0\)"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfDomain, match=message):
        spec.slice(**{**GOOD, **changes})
