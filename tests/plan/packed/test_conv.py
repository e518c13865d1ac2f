"""Packed convolutions and matrix products, as the engine runs them, against the spec."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from intsim.engine import Engine
from intsim.formats import Format
from intsim.kernels.packed.isa import available
from intsim.lowering.lowered import Lowered
from intsim.plan import make_plan
from intsim.taps import TapSpec
from tests.networks import evaluate
from tests.plan.packed.chains import chain, codes

ISAS = [isa for isa in available() if isa != "portable"]
pytestmark = pytest.mark.skipif(not ISAS, reason="this processor has no packed kernels")

TAPS = [TapSpec("histogram"), TapSpec("extremes"), TapSpec("saturation")]


def check(lowered: Lowered, inputs: dict[str, Any], threads: int = 1) -> None:
    """Every instruction set gives the spec's output and the portable loops' counts, with a packed kernel."""
    expected = evaluate(lowered, inputs)
    (output,) = lowered.outputs.values()
    plan = make_plan(lowered)
    counts = Engine(plan, 1, "portable").run(inputs, TAPS).taps
    for isa in ISAS:
        engine = Engine(plan, threads, isa)
        result = engine.run(inputs)
        assert np.array_equal(result.outputs[output].codes, expected[output]), isa  # type: ignore[arg-type]
        assert result.outputs[output].codes.dtype == lowered.values[output].dtype  # type: ignore[union-attr]
        tapped = engine.run(inputs, [*TAPS, TapSpec("accumulator")])
        assert np.array_equal(tapped.outputs[output].codes, expected[output])  # type: ignore[arg-type]
        for name, tap in engine.run(inputs, TAPS).taps.items():
            assert np.array_equal(tap.histogram, counts[name].histogram), (isa, name)  # type: ignore[arg-type]
            assert (tap.extremes, tap.saturation) == (counts[name].extremes, counts[name].saturation), (isa, name)
        for tensor, accumulator in lowered.accumulators.items():
            assert np.array_equal(tapped.taps[tensor].accumulator, expected[accumulator]), isa  # type: ignore[arg-type]
        choices = plan.choices_on(isa)
        refused = any("groups have too few channels" in choice.unpacked for choice in choices)
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


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Lowered, dict[str, Any]]:
    """A convolution of one or two axes with its requantizer, perhaps a clamp, and codes for it."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    axes = draw(st.sampled_from([1, 2, 2, 2]))
    groups = draw(st.sampled_from([1, 1, 1, 2, 4, 16, 48]))
    depthwise = groups > 4 and draw(st.booleans())
    per = 1 if depthwise else draw(st.sampled_from([1, 2, 3, 4, 5, 16, 33] if groups < 16 else [1, 2]))
    outputs = groups * (1 if depthwise else draw(st.sampled_from([1, 2, 5, 8, 24, 70] if groups < 16 else [1, 4])))
    length = draw(st.integers(1, 13)), draw(st.integers(1, 15))
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (2, 5), (5, 1), (3, 7)]))
    strides, dilations = (
        draw(st.sampled_from([(1, 1), (2, 2), (1, 3)])),
        draw(st.sampled_from([(1, 1), (2, 1), (1, 2)])),
    )
    pads = tuple(draw(st.integers(0, 3)) for _ in range(4))
    size = length[-axes:]
    kernel, strides, dilations = kernel[-axes:], strides[-axes:], dilations[-axes:]
    pads = pads if axes == 2 else (pads[0], pads[2])
    room = [
        n + pads[i] + pads[axes + i] - (k - 1) * d - 1
        for i, (n, k, d) in enumerate(zip(size, kernel, dilations, strict=True))
    ]
    assume(min(room) >= 0)
    out = tuple(r // s + 1 for r, s in zip(room, strides, strict=True))
    x, y = draw(st.sampled_from(X_FORMATS)), draw(st.sampled_from(Y_FORMATS))
    images = draw(st.sampled_from([1, 2, 5]))
    w = random.integers(-128, 128, (outputs, per, *kernel)).astype(np.int8)
    needed = int(np.abs(w.astype(int)).reshape(outputs, -1).sum(axis=1).max() * 255).bit_length()
    out_format = {"zero_point": y.zero_point[0], "bits": y.bits, "signed": y.signed, "narrow": y.narrow, "axis": 1}
    if draw(st.booleans()):
        shift: Any = needed - 7
        if draw(st.booleans()):
            shift = random.integers(max(shift - 2, 0), shift + 3, outputs)
        rounding = draw(st.sampled_from(["half_up", "half_even", "half_away", "floor", "toward_zero", "half_to_zero"]))
        requantizer = "requantize", {"shift": np.maximum(shift, 0), "rounding": rounding, **out_format}
    else:
        multiplier = (2.0 ** (7 - needed) * random.uniform(0.3, 3, outputs)).astype(np.float32)
        requantizer = "requantize_float32", {"multiplier": multiplier, **out_format}
    parameters = {
        "w": w,
        "x_zero": x.zero_point[0],
        "w_zero": 0,
        "bias": random.integers(-3000, 3000, outputs) if draw(st.booleans()) else None,
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
        "groups": groups,
        "accumulator_bits": 32,
        "overflow": "wrap",
    }
    shape = (None, outputs, *out)
    sums = Format(32, scale=(2.0**-10,))
    layers = [
        ("y#accumulator", "conv", ("x",), shape, sums, parameters),
        ("y#unclamped", requantizer[0], ("y#accumulator",), shape, y, requantizer[1]),
        ("y", "clip", ("y#unclamped",), shape, y, {"low": y.zero_point[0], "high": y.high - 1}),
    ]
    if draw(st.booleans()):
        layers[1] = ("y", *layers[1][1:])
        del layers[2]
    lowered = chain({"x": ((None, groups * per, *size), x)}, layers)
    return lowered, {"x": codes(random, (images, groups * per, *size), x)}


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_convolutions(drawn: tuple[Lowered, dict[str, Any]]) -> None:
    lowered, inputs = drawn
    check(lowered, inputs)


@pytest.mark.parametrize("images", [1, 3, 4, 9])
@pytest.mark.parametrize("features", [(5, 1), (37, 10), (512, 100), (64, 2000)])
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
