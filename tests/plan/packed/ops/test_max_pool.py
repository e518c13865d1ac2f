"""Max pools, as the engine runs them."""

from __future__ import annotations

from typing import Any

import pytest

from intsim.formats import Format
from intsim.plan import make_plan
from tests.kernels.packed.run import needs_instructions
from tests.plan.packed.chains import Network
from tests.plan.packed.paths import agree, agree_all_packed

pytestmark = needs_instructions

S8 = Format(8, scale=(0.25,), zero_point=(-7,))
S16 = Format(16, scale=(0.25,), zero_point=(-7,))
U16 = Format(16, scale=(0.25,), signed=False, zero_point=(7,))


@pytest.mark.parametrize(
    ("shape", "window"),
    [
        ((20, 7, 6), {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 0, 1, 1), "dilations": (1, 1)}),
        ((64, 6, 7), {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "dilations": (1, 1)}),
        (
            (17, 6, 7),
            {"kernel": (2, 3), "strides": (2, 1), "pads": (1, 1, 1, 1), "dilations": (2, 1), "ceil_mode": True},
        ),
        ((33, 9), {"kernel": (3,), "strides": (2,), "pads": (1, 1), "dilations": (1,)}),
    ],
)
@pytest.mark.parametrize("format", [S8, S16, U16])
def test_windows(shape: tuple[int, ...], window: dict[str, Any], format: Format) -> None:
    """Between two others; the lowest code is that of a window's padding, whatever lies there."""
    net = Network()
    net.input("x", shape, format)
    net.layer("low", "clip", "x", format, low=format.low, high=format.low + 28)
    net.layer("y", "max_pool", "low", format, **window)
    net.layer("z", "clip", "y", format, low=format.low + 8, high=format.high)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize(
    ("shape", "axes"), [((20, 7, 6), (2, 3)), ((64, 1, 1), (-1, -2)), ((16, 17, 3), (3, 2)), ((33, 9), (2,))]
)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("format", [S8, S16, U16])
def test_maxima_of_images(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool, format: Format) -> None:
    """One window of the whole image, its lowest codes the format's."""
    net = Network()
    net.input("x", shape, format)
    net.layer("low", "clip", "x", format, low=format.low, high=format.low + 28)
    net.layer("y", "reduce_max", "low", format, axes=axes, keepdims=keepdims)
    net.layer("z", "clip", "y", format, low=format.low + 8, high=format.high)
    agree_all_packed(net.lowered(), net.given)


@pytest.mark.parametrize("axes", [(1,), (1, 2, 3), (2,), (3,)])
def test_maxima_over_other_axes_run_in_portable_loops(axes: tuple[int, ...]) -> None:
    net = Network()
    net.input("x", (17, 5, 6), S8)
    net.layer("y", "reduce_max", "x", S8, axes=axes, keepdims=True)
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[0].refused == f"it is a maximum over the axes {axes}"


def test_few_channels_have_no_packed_form() -> None:
    net = Network()
    net.input("x", (3, 6, 6), S8)
    net.layer("y", "max_pool", "x", S8, kernel=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0), dilations=(1, 1))
    for choices in agree(make_plan(net.lowered()), net.given).values():
        assert choices[0].refused == "its input has few channels"
