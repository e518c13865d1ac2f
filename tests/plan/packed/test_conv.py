"""Packed convolutions and matrix products, as the engine runs them, against the spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from intsim.formats import Format
from intsim.lowering.lowered import Lowered
from intsim.plan import make_plan
from tests.kernels.packed.run import needs_instructions
from tests.plan.packed.chains import chain, codes
from tests.plan.packed.paths import agree

pytestmark = needs_instructions


def check(lowered: Lowered, inputs: dict[str, Any], threads: int = 1) -> None:
    """Every instruction set gives the same bits, with packed kernels but for groups of few channels."""
    for isa, choices in agree(make_plan(lowered), inputs, threads).items():
        refused = any("groups have too few channels" in choice.refused for choice in choices)
        assert all(isa in choice.kernel for choice in choices) != refused, choices


X_FORMATS = [
    Format(8, scale=(2.0**-4,)),
    Format(8, signed=False, scale=(2.0**-4,), zero_point=(113,)),
    Format(4, scale=(2.0**-2,), zero_point=(3,)),
    Format(8, scale=(2.0**-4,), zero_point=(-128,)),
]
Y_FORMATS = [
    Format(8, scale=(0.125,)),
    Format(8, signed=False, scale=(0.125,), zero_point=(7,)),
    Format(3, scale=(1.0,)),
]


WINDOWS = [((1, 1), (1, 1)), ((3, 3), (1, 1)), ((3, 3), (2, 2)), ((2, 5), (1, 3)), ((5, 1), (2, 1)), ((3, 7), (1, 1))]
"""Kernels and strides."""

DEPTHWISE = WINDOWS[1:3]
"""Each is a compiled variant of its own, but where it is dilated."""

DILATIONS = [(1, 1), (2, 1), (1, 2)]


@dataclass(frozen=True)
class Shape:
    """A convolution: w int[outputs, per, *kernel]; images of so many channels and that size give outputs of size `out`.

    Only few distinct sizes and channels are drawn, for each number of pixels and vectors of a tile is compiled.
    """

    groups: int
    per: int
    outputs: int
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    size: tuple[int, ...]
    out: tuple[int, ...]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Of one axis or two; images down to none but their padding."""
    axes = draw(st.sampled_from([1, 2, 2, 2]))
    groups = draw(st.sampled_from([1, 1, 1, 2, 4, 16, 48]))
    depthwise = groups > 4 and draw(st.booleans())
    per = 1 if depthwise else draw(st.sampled_from([1, 2, 3, 4, 5, 16, 33] if groups < 16 else [1, 2]))
    outputs = groups * (1 if depthwise else draw(st.sampled_from([1, 5, 9, 40] if groups == 1 else [1, 4])))
    window = *draw(st.sampled_from(DEPTHWISE if depthwise else WINDOWS)), draw(st.sampled_from(DILATIONS))
    kernel, strides, dilations = (lengths[-axes:] for lengths in window)
    pads: tuple[int, ...] = tuple(draw(st.integers(0, 3)) for _ in range(4))
    out = draw(st.sampled_from([(1, 1), (5, 5), (5, 5)])) if axes == 2 else (draw(st.sampled_from([1, 25])),)
    pads = pads if axes == 2 else (pads[0], pads[2])
    size = tuple(
        (o - 1) * s + (k - 1) * d + 1 - pads[i] - pads[axes + i] + draw(st.integers(0, s - 1))
        for i, (o, s, k, d) in enumerate(zip(out, strides, kernel, dilations, strict=True))
    )
    assume(min(size) >= 1)
    return Shape(groups, per, outputs, kernel, strides, dilations, pads, size, out)


def requantizer(
    kind: str, needed: int, outputs: int, y: Format, random: np.random.Generator
) -> tuple[str, dict[str, Any]]:
    """The op and the parameters of a requantizer of sums of `needed` bits: one rounding, or a float32 scale."""
    form = {"zero_point": y.zero_point[0], "bits": y.bits, "signed": y.signed, "narrow": y.narrow, "axis": 1}
    if kind == "float32":
        multiplier = (2.0 ** (7 - needed) * random.uniform(0.3, 3, outputs)).astype(np.float32)
        return "requantize_float32", {"multiplier": multiplier, **form}
    shift: Any = max(needed - 7, 0)
    if random.integers(2):
        shift = random.integers(max(shift - 2, 0), shift + 3, outputs)
    return "requantize", {"shift": shift, "rounding": kind, **form}


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Lowered, dict[str, Any]]:
    """A convolution of one or two axes with its requantizer, perhaps a clamp, and codes for it."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(shapes())
    kinds = ["half_up", "floor"]
    if shape.groups == 1:
        kinds += ["float32"]
    if shape.outputs <= 9:
        kinds += ["half_even", "half_away", "toward_zero", "half_to_zero"]
    x, y = draw(st.sampled_from(X_FORMATS)), draw(st.sampled_from(Y_FORMATS))
    images = draw(st.sampled_from([1, 2, 5]))
    w = random.integers(-128, 128, (shape.outputs, shape.per, *shape.kernel)).astype(np.int8)
    needed = int(np.abs(w.astype(int)).reshape(shape.outputs, -1).sum(axis=1).max() * 255).bit_length()
    op, rounded = requantizer(draw(st.sampled_from(kinds)), needed, shape.outputs, y, random)
    parameters = {
        "w": w,
        "x_zero": x.zero_point[0],
        "w_zero": 0,
        "bias": random.integers(-3000, 3000, shape.outputs) if draw(st.booleans()) else None,
        "strides": shape.strides,
        "pads": shape.pads,
        "dilations": shape.dilations,
        "groups": shape.groups,
        "accumulator_bits": 32,
        "overflow": "wrap",
    }
    lengths = (None, shape.outputs, *shape.out)
    clamped = draw(st.booleans())
    name = "y#unclamped" if clamped else "y"
    layers: list[Any] = [
        ("y#accumulator", "conv", ("x",), lengths, Format(32, scale=(2.0**-10,)), parameters),
        (name, op, ("y#accumulator",), lengths, y, rounded),
    ]
    if clamped:
        layers.append(("y", "clip", (name,), lengths, y, {"low": y.zero_point[0], "high": y.high - 1}))
    channels = shape.groups * shape.per
    lowered = chain({"x": ((None, channels, *shape.size), x)}, layers)
    return lowered, {"x": codes(random, (images, channels, *shape.size), x)}


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_convolutions(drawn: tuple[Lowered, dict[str, Any]]) -> None:
    lowered, inputs = drawn
    check(lowered, inputs)


@pytest.mark.parametrize("images", [1, 3, 4, 9])
@pytest.mark.parametrize("features", [(5, 1), (37, 10), (512, 100), (64, 1000)])
def test_matrix_products_over_images(images: int, features: tuple[int, int]) -> None:
    random = np.random.default_rng(images)
    x, y = X_FORMATS[1], Y_FORMATS[0]
    b = random.integers(-128, 128, features).astype(np.int8)
    parameters = {
        "b": b,
        "a_zero": 113,
        "b_zero": 0,
        "bias": random.integers(-3000, 3000, features[1]),
        "accumulator_bits": 32,
        "overflow": "wrap",
    }
    rounded = {
        "shift": 12,
        "rounding": "half_up",
        "zero_point": 0,
        "bits": 8,
        "signed": True,
        "narrow": False,
        "axis": -1,
    }
    shape = (None, features[1])
    lowered = chain(
        {"x": ((None, features[0]), x)},
        [
            ("y#accumulator", "matmul", ("x",), shape, Format(32), parameters),
            ("y", "requantize", ("y#accumulator",), shape, y, rounded),
        ],
    )
    check(lowered, {"x": codes(random, (images, features[0]), x)}, threads=2)
