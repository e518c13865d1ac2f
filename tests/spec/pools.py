"""Random poolings for hypothesis, and the images they pool."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.spec.second import Array


@st.composite
def poolings(draw: st.DrawFn) -> tuple[Array, dict[str, Any]]:
    """x int64[N, C, *spatial], of one or two spatial axes, and the window's parameters; no window is all padding."""
    rank = draw(st.integers(1, 2))
    kernel = draw(st.tuples(*[st.integers(1, 3)] * rank))
    dilations = draw(st.tuples(*[st.integers(1, 2)] * rank))
    # an image at least as long as the padding and the reach of a window: each window then has one of its elements
    image = tuple(draw(st.integers(d * (k - 1) + 1, 8)) for d, k in zip(dilations, kernel, strict=True))
    limits = [0 if d > 1 and n < 2 * d * k else k - 1 for d, k, n in zip(dilations, kernel, image, strict=True)]
    parameters = {
        "kernel": kernel,
        "strides": draw(st.tuples(*[st.integers(1, 3)] * rank)),
        "pads": tuple(draw(st.integers(0, limit)) for limit in limits * 2),
        "dilations": dilations,
        "ceil_mode": draw(st.booleans()),
    }
    shape = (draw(st.integers(1, 2)), 2, *image)
    x = np.random.default_rng(draw(st.integers(0, 10**6))).integers(-128, 127, shape, endpoint=True)
    return x, parameters


def onnx_attributes(parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters under ONNX's names."""
    attributes = {k: v for k, v in parameters.items() if k not in ("kernel", "ceil_mode")}
    return {**attributes, "kernel_shape": parameters["kernel"], "ceil_mode": int(parameters["ceil_mode"])}
