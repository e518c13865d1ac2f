"""Pooling windows for tests: hand-picked and random ones, each with an element of the image."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

PLAIN: dict[str, Any] = {
    "kernel": (2, 2),
    "strides": (2, 2),
    "pads": (0, 0, 0, 0),
    "dilations": (1, 1),
    "ceil_mode": False,
}

# image, changes: strides, pads on one side, dilation, windows that reach beyond the padding, one more that would
# start there, one window for the whole image, one spatial axis
HAND_PICKED: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((6, 7), {}),
    ((6, 7), {"kernel": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1)}),
    ((7, 7), {"kernel": (3, 2), "strides": (2, 3), "pads": (2, 0, 1, 1)}),
    ((8, 9), {"kernel": (3, 3), "dilations": (2, 3), "strides": (1, 1), "pads": (1, 2, 0, 2)}),
    ((7, 8), {"kernel": (3, 3), "ceil_mode": True}),
    ((7, 8), {"kernel": (3, 3), "ceil_mode": True, "pads": (1, 0, 1, 1)}),
    ((4, 5), {"kernel": (1, 1), "strides": (3, 3), "ceil_mode": True, "pads": (0, 0, 0, 0)}),
    ((5, 4), {"kernel": (2, 2), "strides": (3, 3), "ceil_mode": True, "pads": (0, 0, 1, 1)}),
    ((5, 6), {"kernel": (5, 6), "strides": (1, 1)}),
    ((9,), {"kernel": (3,), "strides": (2,), "pads": (1, 0), "dilations": (1,), "ceil_mode": True}),
    ((9,), {"kernel": (4,), "strides": (1,), "pads": (2, 3), "dilations": (2,)}),
]


@st.composite
def random_windows(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Spatial lengths and windows, of one or two axes; pads are shorter than the kernel."""
    rank = draw(st.integers(1, 2))
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    dilations = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    pads = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    image = tuple(draw(st.integers(r, r + 6)) for r in reach)
    strides = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    parameters = {"kernel": kernel, "strides": strides, "pads": pads, "dilations": dilations}
    return image, {**parameters, "ceil_mode": draw(st.booleans())}
