"""Packed convolutions and matrix products, as the engine runs them, against the spec."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from intsim.formats import Format
from intsim.lowering.lowered import Lowered
from intsim.plan import make_plan
from intsim.plan.packed.ops.conv import PackedConv
from intsim.plan.packed.schedule import choose_ops
from tests.kernels.packed.run import ISAS, in_turn, needs_instructions
from tests.networks import conv_parameters
from tests.plan.packed.chains import Network, chain, codes, form
from tests.plan.packed.paths import agree

pytestmark = needs_instructions


def check(lowered: Lowered, inputs: dict[str, Any], threads: int = 1, isas: Sequence[str] = ISAS) -> None:
    """Instruction sets give the same bits, with packed kernels but for groups of few channels."""
    for isa, choices in agree(make_plan(lowered), inputs, threads, isas).items():
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
    """A convolution: w int[outputs, per, *kernel]; images of such a size give outputs of size `out`.

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
    if shape.groups in (1, 16):
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
@given(convolutions(), st.sampled_from(ISAS))
def test_convolutions(drawn: tuple[Lowered, dict[str, Any]], isa: str) -> None:
    lowered, inputs = drawn
    check(lowered, inputs, isas=[isa])


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


WORDS = [
    Format(16, scale=(2.0**-4,), zero_point=(-7,)),
    Format(16, signed=False, scale=(2.0**-4,), zero_point=(40000,)),
    Format(12, signed=False, scale=(2.0**-4,), zero_point=(113,)),
]
"""Formats of more than 8 bits."""

BITS_64 = Format(64, scale=(2.0**-10,))


@st.composite
def wide_convolutions(draw: st.DrawFn) -> tuple[Lowered, dict[str, Any]]:
    """A convolution with codes or weights of more than 8 bits, with its requantizer, and codes for it."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(shapes())
    x, y = draw(st.sampled_from([*WORDS, X_FORMATS[0], X_FORMATS[1]])), draw(st.sampled_from([*WORDS, Y_FORMATS[0]]))
    w_bits = draw(st.sampled_from([8, 13, 16] if x.bits > 8 else [13, 16]))
    end = 1 << (w_bits - 1)
    w = random.integers(-end, end, (shape.outputs, shape.per, *shape.kernel)).astype(np.int16)
    most = max(abs(x.low - x.zero_point[0]), abs(x.high - x.zero_point[0]))
    needed = int(np.abs(w.astype(int)).reshape(shape.outputs, -1).sum(axis=1).max() * most).bit_length()
    rounding = draw(st.sampled_from(["half_up", "half_even"]))
    form = {"zero_point": y.zero_point[0], "bits": y.bits, "signed": y.signed, "narrow": y.narrow, "axis": 1}
    rounded = {"shift": max(needed - y.bits, 0), "rounding": rounding, **form}
    parameters = {
        "w": w,
        "x_zero": x.zero_point[0],
        "w_zero": 0,
        "bias": random.integers(-(1 << 20), 1 << 20, shape.outputs),
        "strides": shape.strides,
        "pads": shape.pads,
        "dilations": shape.dilations,
        "groups": shape.groups,
        "accumulator_bits": 60,
        "overflow": "wrap",
    }
    lengths = (None, shape.outputs, *shape.out)
    layers: list[Any] = [
        ("y#accumulator", "conv", ("x",), lengths, BITS_64, parameters),
        ("y", "requantize", ("y#accumulator",), lengths, y, rounded),
    ]
    channels = shape.groups * shape.per
    lowered = chain({"x": ((None, channels, *shape.size), x)}, layers)
    return lowered, {"x": codes(random, (draw(st.sampled_from([1, 3])), channels, *shape.size), x)}


@settings(max_examples=50, deadline=None)
@given(wide_convolutions(), st.sampled_from(ISAS))
def test_wide_convolutions(drawn: tuple[Lowered, dict[str, Any]], isa: str) -> None:
    lowered, inputs = drawn
    for choices in agree(make_plan(lowered), inputs, isas=[isa]).values():
        refused = choices[0].refused
        assert refused == choices[1].refused
        assert not refused or "groups have too few channels" in refused or "8-bit codes have 32" in refused


def extremes(channels: int, weight: int, code: int) -> tuple[Lowered, dict[str, Any]]:
    """A convolution of 3 by 3 all of whose weights and codes are these: the largest sums that there are."""
    x, y = Format(16, scale=(2.0**-4,)), WORDS[0]
    w = np.full((17, channels, 3, 3), weight, np.int16)
    form = {"zero_point": y.zero_point[0], "bits": y.bits, "signed": y.signed, "narrow": y.narrow, "axis": 1}
    shift = max((9 * channels * abs(weight) << 15).bit_length() - 15, 0)
    window = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1}
    sums = {"w": w, "x_zero": 0, "w_zero": 0, "bias": None, "accumulator_bits": 60, "overflow": "wrap", **window}
    layers: list[Any] = [
        ("y#accumulator", "conv", ("x",), (None, 17, 3, 3), BITS_64, sums),
        ("y", "requantize", ("y#accumulator",), (None, 17, 3, 3), y, {"shift": shift, "rounding": "half_up", **form}),
    ]
    lowered = chain({"x": ((None, channels, 3, 3), x)}, layers)
    return lowered, {"x": np.full((1, channels, 3, 3), code, np.int16)}


@pytest.mark.parametrize("weight", [-32768, 32767, -128, 127, -129, 128])
@pytest.mark.parametrize("code", [-32768, 32767])
@pytest.mark.parametrize("channels", [16, 336])
def test_sums_that_32_bits_hold_for_so_long_only(channels: int, weight: int, code: int) -> None:
    lowered, inputs = extremes(channels, weight, code)
    for choices in agree(make_plan(lowered), inputs).values():
        long = 9 * channels * abs(weight) << 15 >= 1 << 31
        assert ("int64" in choices[0].kernel) == long and not choices[0].refused


def test_runs_that_are_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant: each line of a window is one run, though its sums leave 32 bits."""
    monkeypatch.setattr(PackedConv, "_segments", 1)
    lowered, inputs = extremes(336, 127, -32768)
    with pytest.raises(AssertionError):
        agree(make_plan(lowered), inputs)


@pytest.mark.parametrize("x", [*WORDS, X_FORMATS[1]])
@pytest.mark.parametrize("features", [(5, 1), (37, 10), (512, 100)])
def test_wide_matrix_products(x: Format, features: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    y = WORDS[1]
    sums = {"b": random.integers(-128, 128, features).astype(np.int8), "a_zero": x.zero_point[0], "b_zero": 0}
    sums |= {"bias": random.integers(-3000, 3000, features[1]), "accumulator_bits": 60, "overflow": "wrap"}
    form = {"zero_point": y.zero_point[0], "bits": y.bits, "signed": y.signed, "narrow": y.narrow, "axis": -1}
    layers: list[Any] = [
        ("y#accumulator", "matmul", ("x",), (None, features[1]), BITS_64, sums),
        ("y", "requantize", ("y#accumulator",), (None, features[1]), y, {"shift": 9, "rounding": "half_up", **form}),
    ]
    lowered = chain({"x": ((None, features[0]), x)}, layers)
    for choices in agree(make_plan(lowered), {"x": codes(random, (5, features[0]), x)}, threads=2).values():
        assert not any(choice.refused for choice in choices)


def test_long_sums_that_are_wanted_run_in_portable_loops() -> None:
    lowered, _ = extremes(16, -32768, 32767)
    plan = make_plan(lowered)
    for isa in ISAS:
        (_, op), _ = choose_ops(lowered, lowered.layers, plan.bounds, isa, {"y#accumulator"})
        assert op == "raw sums have at most 32 bits"


WIDE_WINDOWS = [((3, 3), 1, 1), ((3, 3), 2, 1), ((5, 4), 1, 1), ((2, 3), 1, 2)]
"""Kernels, strides and dilations."""


@pytest.mark.parametrize(
    ("x", "w_bits", "window", "isas"),
    in_turn(list(itertools.product([*WORDS[1:], X_FORMATS[1]], [8, 16], WIDE_WINDOWS))),
)
def test_wide_depthwise(
    x: Format, w_bits: int, window: tuple[tuple[int, int], int, int], isas: tuple[str, ...]
) -> None:
    """All taps of kernels of an odd and an even number; with 16 bits of both, sums of more than 32."""
    random = np.random.default_rng(0)
    kernel, stride, dilation = window
    y, end = WORDS[1], 1 << (w_bits - 1)
    w = random.integers(-end, end, (40, 1, *kernel)).astype(np.int16)
    w[0], w[1] = -end, end - 1
    own = {"strides": (stride,) * 2, "dilations": (dilation,) * 2, "pads": (2, 1, 3, 3), "groups": 40}
    net = Network(images=2)
    net.input("x", (40, 17, 19), x)
    bias = random.integers(-1000, 1000, 40)
    given = {"w": w, "x_zero": x.zero_point[0], "bias": bias, "accumulator_bits": 60, **own}
    net.layer("y#accumulator", "conv", "x", BITS_64, **conv_parameters(**given))
    shift = int(np.abs(net.values["y#accumulator"]).max()).bit_length() - 15
    net.layer("y", "requantize", "y#accumulator", y, shift=max(shift, 0), rounding="half_up", axis=1, **form(y))
    for choices in agree(make_plan(net.lowered()), net.given, threads=2, isas=isas).values():
        assert all("depthwise" in choice.kernel for choice in choices)
        if x.bits != 12:
            assert ("int64" in choices[0].kernel) == (w_bits == 16 and x.bits == 16)
