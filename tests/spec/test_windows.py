from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from intsim.errors import OutOfDomain
from intsim.spec.windows import windows
from tests.spec.second import output_length, window_elements

LENGTHS = [
    # image, kernel, stride, dilation, before, after, ceil_mode: windows
    (5, 3, 1, 1, 0, 0, False, 3),
    (5, 3, 2, 1, 0, 0, False, 2),
    (6, 3, 2, 1, 0, 0, False, 2),  # the last element is in no window
    (6, 3, 2, 1, 0, 0, True, 3),  # ceil_mode: one more window, that reaches beyond the image
    (5, 3, 1, 2, 0, 0, False, 1),  # dilation 2: a kernel of 3 spans 5
    (5, 3, 1, 1, 1, 1, False, 5),
    (2, 1, 3, 1, 0, 1, True, 1),  # ceil_mode: a second window would start at 3, after the image
    (1, 2, 2, 1, 0, 1, True, 1),
    (3, 3, 3, 1, 1, 0, False, 1),  # starts at -1
    (3, 3, 3, 1, 1, 0, True, 2),  # and at 2, the last element of the image
    (2, 3, 3, 1, 1, 0, True, 1),  # not at 2, after the image
]


@pytest.mark.parametrize(("image", "kernel", "stride", "dilation", "before", "after", "ceil", "count"), LENGTHS)
def test_lengths(
    image: int, kernel: int, stride: int, dilation: int, before: int, after: int, ceil: bool, count: int
) -> None:
    layout = windows((image,), (kernel,), (stride,), (dilation,), (before, after), ceil)
    assert layout.output == (count,)


@given(
    image=st.integers(1, 12),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 5),
    dilation=st.integers(1, 3),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    ceil=st.booleans(),
)
def test_lengths_and_counts_by_walking(
    image: int, kernel: int, stride: int, dilation: int, before: int, after: int, ceil: bool
) -> None:
    assume(dilation * (kernel - 1) + 1 <= image + before + after)
    layout = windows((image,), (kernel,), (stride,), (dilation,), (before, after), ceil)
    assert layout.output == (output_length(image, kernel, stride, dilation, before, after, ceil),)
    x = np.zeros((1, 1, image))
    walked = [
        window_elements(x, (0, 0, place), (kernel,), (stride,), (before, after), (dilation,))
        for place in range(layout.output[0])
    ]
    assert layout.counts(False).tolist() == [len(elements) for elements, _ in walked]
    assert layout.counts(True).tolist() == [places for _, places in walked]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": (3, 3)}, r"kernel must be 1 integers, not \(3, 3\)"),
        ({"kernel": (0,)}, "kernel must be an integer within 1 to 2147483647, not 0"),
        ({"kernel": (7,)}, "kernel must fit in the padded length 6, not span 7"),
        ({"strides": (0,)}, "strides must be an integer within 1 to 2147483647, not 0"),
        ({"dilations": (1.0,)}, "dilations must be an integer within 1 to 2147483647, not 1.0"),
        ({"pads": (1,)}, r"pads must be 2 integers, not \(1,\)"),
        ({"pads": (0, -1)}, "pads must be an integer within 0 to 2147483647, not -1"),
        ({"ceil_mode": 1}, "ceil_mode must be True or False, not 1"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"image": (5,), "kernel": (3,), "strides": (1,), "dilations": (1,), "pads": (0, 1)}
    with pytest.raises(OutOfDomain, match=message):
        windows(**{**good, **changes})
