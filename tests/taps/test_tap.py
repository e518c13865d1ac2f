from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim.errors import UnusableInput
from intsim.formats import Format
from intsim.lowering.lowered import Layer, Lowered
from intsim.plan import make_plan
from intsim.run.engine import Engine
from intsim.run.result import Taps
from intsim.taps.tap import TAPS, TapSpec, histogram, image_histograms
from tests.networks import X, conv_parameters, evaluate, random_codes, residual, single_mac

Array = np.ndarray[Any, Any]


def run(lowered: Lowered, inputs: dict[str, Array], taps: list[str | TapSpec]) -> Taps:
    return Engine(make_plan(lowered), 2).run(inputs, taps).taps


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("codes", TapSpec("codes", "*")),
        ("histogram@conv*", TapSpec("histogram", "conv*")),
        ("overflow@a@b", TapSpec("overflow", "a@b")),
    ],
)
def test_parse(text: str, spec: TapSpec) -> None:
    assert TapSpec.parse(text) == spec
    assert TapSpec.parse(spec) is spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code", "must be one of codes, accumulator, histogram, extremes, saturation, overflow"),
        ("", "must be one of"),
        ("codes@", "no pattern after the @"),
    ],
)
def test_parse_refuses(text: str, message: str) -> None:
    with pytest.raises(UnusableInput, match=message):
        TapSpec.parse(text)


def test_patterns_match_tensors_and_nodes() -> None:
    assert TapSpec("codes", "y*").matches("y1", "conv1")
    assert TapSpec("codes", "conv?").matches("y1", "conv1")
    assert not TapSpec("codes", "conv?").matches("y1#accumulator", "conv1")
    assert TapSpec("codes", "y1#*").matches("y1#accumulator", "conv1")
    assert TapSpec("codes", "/a[0]/b").matches("/a[0]/b", "n")
    assert not TapSpec("codes", "Y*").matches("y1", "conv1")


@settings(max_examples=200, deadline=None)
@given(
    bits=st.integers(1, 64),
    signed=st.booleans(),
    bins=st.sampled_from([1, 2, 3, 7, 100, 256, 1000]),
    data=st.data(),
)
def test_histogram_is_its_definition(bits: int, signed: bool, bins: int, data: st.DataObject) -> None:
    format = Format(bits, signed)
    values = data.draw(st.lists(st.integers(format.low, format.high), min_size=1, max_size=20))
    values += [format.low, format.high]
    size = min(bins, 2**bits)
    expected = Counter((v - format.low) * size // 2**bits for v in values)
    counts = histogram(np.array(values, format.dtype), format, bins)
    assert counts.dtype == np.int64 and counts.shape == (size,)
    assert {i: int(c) for i, c in enumerate(counts) if c} == expected


def test_histograms_by_image() -> None:
    codes = random_codes(0, (5, 2, 3))
    counts = image_histograms(codes, X, 16)
    assert counts.shape == (5, 16)
    for image in range(5):
        assert np.array_equal(counts[image], histogram(codes[image], X, 16))


@pytest.mark.parametrize("images", [1, 37])
def test_codes_histogram_and_extremes_are_exact(images: int) -> None:
    lowered = residual(size=4)
    x = random_codes(1, (images, 3, 4, 4))
    expected = evaluate(lowered, {"x": X.real(x)})
    taps = run(lowered, {"x_q": x}, ["codes", "histogram", "extremes", TapSpec("histogram", "sum", per_image=True)])
    assert list(taps) == ["x_q", "y1", "y2", "sum", "mean", "flat", "logits_q"]
    for name, tap in taps.items():
        assert tap.codes is not None and np.array_equal(tap.codes, expected[name])
        assert tap.extremes == (expected[name].min(), expected[name].max())
        assert tap.histogram is not None
        total = tap.histogram.sum(axis=0) if name == "sum" else tap.histogram
        assert {i - 128: int(c) for i, c in enumerate(total) if c} == Counter(expected[name].ravel().tolist())
    assert taps["sum"].histogram is not None and taps["sum"].histogram.shape == (images, 256)


def python_half_up(value: int, shift: int) -> int:
    return (value + (1 << (shift - 1))) >> shift


def test_saturation_counts_the_clipped_results() -> None:
    """y1 has its Relu's clamp after the requantizer: what the requantizer clips is counted, not what Relu clamps."""
    lowered = residual(size=4)
    x = random_codes(2, (33, 3, 4, 4))
    expected = evaluate(lowered, {"x": X.real(x)})
    taps = run(lowered, {"x_q": x}, ["saturation"])
    for name, shift in (("y1", 7), ("y2", 9), ("logits_q", 6)):
        unclipped = [python_half_up(int(v), shift) for v in expected[f"{name}#accumulator"].ravel()]
        saturation = taps[name].saturation
        assert saturation is not None
        assert saturation.low == sum(v < -128 for v in unclipped) > 0
        assert saturation.high == sum(v > 127 for v in unclipped) > 0
        assert saturation.zero == int((expected[name] == 0).sum())
        assert saturation.elements == expected[name].size
    assert taps["y1"].saturation != taps["y2"].saturation
    total = expected["y1"].astype(int) + expected["y2"]
    sums = taps["sum"].saturation
    assert sums is not None and (sums.low, sums.high) == ((total < -128).sum(), (total > 127).sum())
    assert sums.high > 0
    flat = taps["flat"].saturation
    assert flat is not None and (flat.low, flat.high) == (0, 0)


def test_saturation_of_the_input() -> None:
    lowered = residual(size=4)
    reals = np.linspace(-10, 10, 2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
    saturation = run(lowered, {"x": reals}, ["saturation@x_q"])["x_q"].saturation
    whole = np.floor(reals.astype(np.float64) * 16 + 0.5)
    assert saturation is not None
    assert (saturation.low, saturation.high) == ((whole < -128).sum(), (whole > 127).sum())
    assert saturation.low > 0 and saturation.zero == (whole == 0).sum()
    given = run(lowered, {"x_q": X.real(random_codes(0, (1, 3, 4, 4))).astype(np.int8)}, ["saturation@x_q"])
    assert given["x_q"].saturation is not None and given["x_q"].saturation.low == 0


def test_saturation_of_a_float32_requantizer() -> None:
    """Results are counted as clipped where the rounded, unclipped result lies outside, not at the edge itself."""
    out = {"zero_point": 3, "bits": 8, "signed": False, "narrow": False}
    w = np.ones((1, 1, 1, 1), np.int8)
    base = single_mac("conv", (None, 1, 1, 8), conv_parameters(w=w, pads=(0,) * 4), x_format=Format(16))
    format = Format(8, False, zero_point=(3,))
    layer = Layer(
        "y", "requantize_float32", ("y#accumulator",), ("y",), {"multiplier": np.float32(0.5), "axis": 1, **out}, "mac"
    )
    lowered = replace(
        base,
        layers=(*base.layers, layer),
        values={**base.values, "y": format},
        outputs={"y": "y"},
    )
    # RNE(x / 2) + 3 in [0, 255]: 504 -> 255, 505 -> 252.5 -> 252 + 3 = 255 (tie to even), 507 -> 253.5 -> 254 + 3 = 257
    x = np.array([0, 504, 505, 506, 507, -6, -7, -8], np.int16).reshape(1, 1, 1, 8)
    tap = run(lowered, {"x": x}, ["saturation", "codes@y"])["y"]
    assert tap.codes is not None and tap.codes.ravel().tolist() == [3, 255, 255, 255, 255, 0, 0, 0]
    assert tap.saturation is not None
    assert (tap.saturation.low, tap.saturation.high, tap.saturation.zero) == (2, 2, 1)


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("images", [1, 50])
def test_overflow_counts_by_channel_and_names_the_first(overflow: str, images: int) -> None:
    lowered = residual(size=4, overflow=overflow, accumulator_bits=14)
    x = random_codes(3, (images, 3, 4, 4))
    x[:20] = 0  # the first overflow of conv1 lies in the second batch, so its coordinate must be moved
    expected = evaluate(lowered, {"x": X.real(x)})
    taps = run(lowered, {"x_q": x}, ["overflow", "accumulator"])
    for name, axis in (("y1", 1), ("y2", 1), ("logits_q", 1)):
        mask = expected[f"{name}#accumulator overflowed"]
        record = taps[name].overflow
        assert record is not None
        assert record.count == mask.sum()
        assert record.by_channel.tolist() == [int(m.sum()) for m in np.moveaxis(mask, axis, 0)]
        sums = taps[name].accumulator
        assert sums is not None and np.array_equal(sums, expected[f"{name}#accumulator"])
        if record.count:
            assert record.first == tuple(np.argwhere(mask)[0])
            assert record.value is not None and not -(2**13) <= record.value < 2**13
            if overflow == "wrap":
                stored = int(expected[f"{name}#accumulator"][record.first])
                assert (record.value - stored) % 2**14 == 0
        else:
            assert record.first is None and record.value is None
    first = taps["y1"].overflow
    assert first is not None and (first.count == 0 if images == 1 else first.first is not None and first.first[0] >= 20)


def test_overflow_is_zero_where_it_is_proved() -> None:
    record = run(residual(size=4), {"x_q": random_codes(4, (2, 3, 4, 4))}, ["overflow@y1"])["y1"].overflow
    assert record is not None
    assert (record.count, record.by_channel.tolist(), record.first, record.value) == (0, [0, 0, 0, 0], None, None)


def test_taps_on_raw_accumulators() -> None:
    lowered = residual(size=4)
    x = random_codes(5, (17, 3, 4, 4))
    expected = evaluate(lowered, {"x": X.real(x)})["y2#accumulator"]
    tap = run(lowered, {"x_q": x}, ["extremes@*#accumulator", "histogram@y2#accumulator"])["y2#accumulator"]
    assert tap.extremes == (expected.min(), expected.max())
    assert tap.histogram is not None
    assert np.array_equal(tap.histogram, np.bincount((expected.ravel() + 2**23) >> 16, minlength=256))


def test_a_tap_is_found_by_node_name() -> None:
    taps = run(residual(size=4), {"x_q": random_codes(6, (1, 3, 4, 4))}, ["extremes@conv1", "codes@fc"])
    assert list(taps) == ["y1", "logits_q"]
    assert taps["conv1"] is taps["y1"]
    assert "conv1" in taps and "fc" in taps and "conv2" not in taps
    with pytest.raises(KeyError, match="tap on 'conv2': there is none, by tensor or by node; there are conv1"):
        taps["conv2"]
    assert taps.get("conv2") is None


@pytest.mark.parametrize(
    ("tap", "message"),
    [
        ("codes@conv9", r"tap codes@conv9: no tensor or node of that name; there are conv2, conv1"),
        ("codes@logit_q", "logits_q"),
        ("accumulator@sum", r"tensor 'sum' has no accumulator"),
        ("overflow@pool", r"tensor 'mean' has no accumulator"),
    ],
)
def test_a_tap_that_fits_nothing(tap: str, message: str) -> None:
    with pytest.raises(UnusableInput, match=message):
        run(residual(size=4), {"x_q": random_codes(7, (1, 3, 4, 4))}, [tap])


def test_a_summary_is_json() -> None:
    lowered = residual(size=4, accumulator_bits=12)
    tap = run(lowered, {"x_q": random_codes(8, (2, 3, 4, 4))}, list(TAPS))["y1"]
    data = json.loads(json.dumps(tap.summary()))
    assert set(data) == {"histogram", "extremes", "saturation", "overflow"}
    assert sum(data["histogram"]) == 2 * 4 * 16 == data["saturation"]["elements"]
    assert data["overflow"]["count"] > 0


def test_zeros_are_counted_by_channel() -> None:
    format = Format(8, scale=(1.0, 2.0), zero_point=(5, -5), axis=1)
    base = residual(size=4)
    values = {**base.graph.values, "x": replace(base.graph.values["x"], shape=(None, 2), format=format)}
    lowered = Lowered(
        replace(base.graph, outputs=("y",), values=values),
        base.target,
        (Layer("y", "copy", ("x",), ("y",), {}, "copy"),),
        {"x": format, "y": format},
        {"x": "x"},
        {"y": "y"},
    )
    x = np.array([[5, 5], [-5, -5], [5, -5]], np.int8)
    taps = run(lowered, {"x": x}, ["saturation", "codes"])
    assert all(t.saturation is not None and t.saturation.zero == 4 for t in taps.values())
    assert list(taps) == ["x", "y"]
    assert taps["x"].codes is not None and np.array_equal(taps["x"].codes, x)


def test_saturation_of_a_narrow_range_in_a_format_that_is_not() -> None:
    """What becomes -127 is clipped, -128 too: the layer's range counts, not its tensor's format (NNgen)."""
    lowered = residual()
    layers = tuple(
        replace(layer, parameters={**layer.parameters, "narrow": True}) if layer.name == "y2" else layer
        for layer in lowered.layers
    )
    x = {"x_q": random_codes(6, (4, 3, 8, 8))}
    exact = (evaluate(lowered, {"x": X.real(x["x_q"])})["y2#accumulator"].astype(int) + 256) >> 9
    assert (exact == -128).any()
    saturation = run(replace(lowered, layers=layers), x, ["saturation@y2"])["y2"].saturation
    assert saturation is not None
    assert (saturation.low, saturation.high) == ((exact < -127).sum(), (exact > 127).sum())
