from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from intsim.errors import AccumulatorOverflow, OutOfDomain, UnsupportedOp, UnusableInput
from intsim.formats import Format
from intsim.lowering.lowered import Layer, Lowered
from intsim.plan import make_plan
from intsim.plan.buffers import releases
from intsim.run.engine import Engine
from tests.networks import X, conv_parameters, evaluate, random_codes, residual, single_mac

Array = np.ndarray[Any, Any]


def run(lowered: Lowered, inputs: dict[str, Array], **options: Any) -> Any:
    threads = options.pop("threads", 1)
    return Engine(make_plan(lowered), threads).run(inputs, **options)


@pytest.mark.nojit
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("accumulator_bits", [11, 24, 40])
def test_every_value_equals_the_spec(overflow: str, accumulator_bits: int) -> None:
    lowered = residual(size=5, overflow=overflow, accumulator_bits=accumulator_bits)
    x = random_codes(1, (3, 3, 5, 5))
    expected = evaluate(lowered, {"x": x / np.float32(16)})
    result = run(lowered, {"x_q": x}, taps=["codes", "codes@*#*", "accumulator"])
    assert np.array_equal(result.outputs["logits"].codes, expected["logits_q"])
    assert result.outputs["logits"].codes.dtype == np.int8
    assert set(result.taps) == {name for name in lowered.values if name not in ("x", "x_q")} | {"x_q"}
    for name, tap in result.taps.items():
        assert np.array_equal(tap.codes, expected[name]), name
        assert tap.codes.dtype == lowered.values[name].dtype  # type: ignore[union-attr]
    for tensor, accumulator in lowered.accumulators.items():
        assert np.array_equal(result.taps[tensor].accumulator, expected[accumulator])


def test_reals_and_their_codes_give_the_same() -> None:
    lowered = residual()
    x = random_codes(2, (2, 3, 8, 8))
    as_codes = run(lowered, {"x_q": x})
    as_reals = run(lowered, {"x": X.real(x)})
    assert np.array_equal(as_codes.outputs["logits"].codes, as_reals.outputs["logits"].codes)
    assert np.array_equal(as_reals.outputs["logits"].real, as_reals.outputs["logits"].codes * np.float32(0.125))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("images", [1, 16, 17, 40])
def test_batches_and_threads_change_nothing(images: int, threads: int) -> None:
    lowered = residual(size=4)
    x = random_codes(3, (images, 3, 4, 4))
    seen: list[tuple[int, int]] = []
    result = run(
        lowered,
        {"x_q": x},
        taps=["codes@sum"],
        threads=threads,
        progress=lambda done, total: seen.append((done, total)),
    )
    expected = evaluate(lowered, {"x": X.real(x)})
    assert np.array_equal(result.outputs["logits"].codes, expected["logits_q"])
    assert np.array_equal(result.taps["sum"].codes, expected["sum"])
    assert result.images == images
    assert seen[-1] == (images, images)
    assert [done for done, _ in seen] == [*range(16, images, 16), images]


def test_a_fixed_batch_runs_multiples() -> None:
    lowered = residual(size=4, batch=3)
    x = random_codes(4, (9, 3, 4, 4))
    seen: list[int] = []
    result = run(lowered, {"x_q": x}, progress=lambda done, total: seen.append(done))
    assert seen == [3, 6, 9]
    assert np.array_equal(result.outputs["logits"].codes, evaluate(lowered, {"x": X.real(x)})["logits_q"])


def test_memory_does_not_grow_with_the_images() -> None:
    lowered = residual(size=32)
    engine = Engine(make_plan(lowered), 1)
    peaks = []
    for images in (16, 160):
        x = random_codes(5, (images, 3, 32, 32))
        engine.run({"x_q": x})
        tracemalloc.start()
        engine.run({"x_q": x})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 144 * 3 * 32 * 32 / 10  # a tenth of the codes of the other images


def test_values_are_freed_after_their_last_reader() -> None:
    lowered = residual()
    steps = dict(
        zip(
            (la.name for la in lowered.layers),
            releases([(la.inputs, la.outputs) for la in lowered.layers], {"logits_q"}),
            strict=True,
        )
    )
    assert steps["x_q"] == ("x",)
    assert steps["y1#accumulator"] == ("x_q",)
    assert steps["y2#accumulator"] == ()  # y1 is read by the add as well
    assert steps["sum"] == ("y1", "y2")
    assert steps["logits_q"] == ("logits_q#accumulator",)
    freed = [name for names in steps.values() for name in names]
    assert sorted(freed) == sorted(set(lowered.values) - {"logits_q"})


def test_a_value_that_nothing_reads_is_freed_at_once() -> None:
    assert releases([(("x",), ("a",)), (("x",), ("b",))], {"b"}) == (("a",), ("x",))


def test_override_reaches_the_readers_only() -> None:
    lowered = residual(size=4)
    x = random_codes(6, (20, 3, 4, 4))
    codes = random_codes(7, (20, 4, 4, 4))
    result = run(lowered, {"x_q": x}, taps=["codes"], override={"y1": codes})
    plain = run(lowered, {"x_q": x}, taps=["codes"])
    assert np.array_equal(result.taps["y1"].codes, plain.taps["y1"].codes)
    rest = replace(lowered, layers=lowered.layers[4:])
    expected = evaluate(rest, {"y1": codes})
    assert np.array_equal(result.taps["y2"].codes, expected["y2"])
    assert np.array_equal(result.outputs["logits"].codes, expected["logits_q"])


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ({"nothing": np.zeros(1, np.int8)}, UnusableInput, "override of 'nothing': there is none"),
        ({"y1": np.zeros((2, 4, 8, 8))}, UnusableInput, "must be integers"),
        ({"y1": np.full((2, 4, 8, 8), 128)}, OutOfDomain, r"code 128 at \(0, 0, 0, 0\)"),
    ],
)
def test_unusable_override(override: dict[str, Array], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(residual(), {"x_q": random_codes(8, (2, 3, 8, 8))}, override=override)


def test_trap_names_node_coordinate_and_value() -> None:
    w = np.full((2, 3, 3, 3), 1, np.int8)
    parameters = conv_parameters(w=w, bias=np.array([0, 5]), overflow="trap", accumulator_bits=12, pads=(0,) * 4)
    lowered = single_mac("conv", (None, 3, 4, 4), parameters)
    x = np.zeros((40, 3, 4, 4), np.int8)
    run(lowered, {"x": x})
    x[33, :, 1:, 1:] = 76  # 27 * 76 + 5 = 2057
    with pytest.raises(AccumulatorOverflow, match=r"node 'mac': the sum 2052 at \(33, 0, 1, 1\) does not fit"):
        run(lowered, {"x": x})


def test_overflows_are_never_silent() -> None:
    w = np.full((1, 1, 1, 1), 127, np.int8)
    lowered = single_mac("conv", (None, 1, 1, 20), conv_parameters(w=w, accumulator_bits=12, pads=(0,) * 4))
    x = np.tile(np.arange(0, 20, dtype=np.int8), (30, 1)).reshape(30, 1, 1, 20)
    assert run(lowered, {"x": x}).overflows == {"y": 30 * 3}  # 127 * 17 and above
    assert run(lowered, {"x": x // 2}).overflows == {}


def test_the_reason_of_each_choice() -> None:
    def choice(overflow: str, bits: int, seed: int = 0) -> Any:
        plan = make_plan(residual(seed=seed, overflow=overflow, accumulator_bits=bits))
        return next(c for c in plan.choices if c.layer.name == "y2#accumulator")

    proved = choice("wrap", 24)
    assert proved.options == {"accumulate": "int32", "check": False}
    assert "no input can overflow" in proved.reason and "of 24 bits" in proved.reason
    assert choice("saturate", 24).options == {"accumulate": "int32", "check": False}
    assert choice("wrap", 12).options == {"accumulate": "int32", "check": True}
    assert "wraps" in choice("wrap", 12).reason
    assert choice("saturate", 12).options == {"accumulate": "int64", "check": True}
    assert "in order" in choice("saturate", 12).reason
    assert "trapped" in choice("trap", 12).reason


@pytest.mark.parametrize("overflow", ["wrap", "saturate", "trap"])
@pytest.mark.parametrize("slack", [-1, 0])
@pytest.mark.parametrize("sign", [1, -1])
def test_at_the_edge_of_int32_the_choice_is_right(overflow: str, slack: int, sign: int) -> None:
    """Sums of exactly 32 or 33 needed bits: the int32 kernel runs only where it is exact."""
    format = Format(16)
    k = 4
    w = np.full((1, k, 1, 1), 2**14 * sign, np.int16)
    # The largest sum without the bias is 4 * 2**15 * 2**14 = 2**31 (for sign < 0); the bias moves it over the edge.
    edge = -(2**31) if sign > 0 else 2**31 - 1
    extreme = k * 2**15 * 2**14 * -sign
    bias = edge - extreme + (slack if sign > 0 else -slack)
    parameters = conv_parameters(w=w, bias=np.array([bias]), pads=(0,) * 4, overflow=overflow, accumulator_bits=34)
    lowered = single_mac("conv", (None, k, 1, 1), parameters, x_format=format)
    x = np.full((2, k, 1, 1), -(2**15), np.int16)
    result = run(lowered, {"x": x}, taps=["extremes@y#*"])
    assert result.taps["y#accumulator"].extremes == (extreme + bias,) * 2
    assert extreme + bias == edge + (slack if sign > 0 else -slack)


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_sums_beyond_int32_that_overflow_their_accumulator(overflow: str) -> None:
    w = np.full((1, 4, 1, 1), -(2**15), np.int16)
    parameters = conv_parameters(w=w, pads=(0,) * 4, overflow=overflow, accumulator_bits=33)
    lowered = single_mac("conv", (None, 4, 1, 1), parameters, x_format=Format(16))
    x = np.full((1, 4, 1, 1), -(2**15), np.int16)
    result = run(lowered, {"x": x}, taps=["extremes@y#*"])
    stored = -(2**32) if overflow == "wrap" else 2**32 - 1  # the sum is 2**32
    assert result.taps["y#accumulator"].extremes == (stored, stored)
    assert result.overflows == {"y": 1}


def test_sums_beyond_int64_are_refused() -> None:
    w = np.full((1, 4, 1, 1), -(2**31), np.int32)
    parameters = conv_parameters(w=w, pads=(0,) * 4, accumulator_bits=64)
    lowered = single_mac("conv", (None, 4, 1, 1), parameters, x_format=Format(32))
    with pytest.raises(OutOfDomain, match=r"node 'mac': its sums can need 66 bits"):
        make_plan(lowered)


def test_a_missing_kernel_is_named() -> None:
    lowered = residual()
    layers = (*lowered.layers[:-2], replace(lowered.layers[-2], op="no_such_op"), lowered.layers[-1])
    with pytest.raises(UnsupportedOp, match=r"node 'fc': there is no kernel for no_such_op"):
        run(replace(lowered, layers=layers), {"x_q": random_codes(1, (1, 3, 8, 8))})


def test_threads_must_be_positive() -> None:
    with pytest.raises(UnusableInput, match="threads must be at least 1, not 0"):
        Engine(make_plan(residual()), 0)


def test_plans_share_proofs() -> None:
    first = make_plan(residual())
    second = make_plan(residual(), first)
    assert all(second.bounds[name] is bounds for name, bounds in first.bounds.items())


def test_islands_and_constants_run() -> None:
    half = np.full((1, 2), 0.5, np.float32)
    layers = (
        Layer("c", "constant", (), ("c",), {"value": half}, "add"),
        Layer("y", "island", ("x", "c"), ("y",), {"function": "Add", "attributes": {}}, "add", exact=False),
    )
    base = residual()
    values = {**base.graph.values, "x": replace(base.graph.values["x"], shape=(None, 2))}
    lowered = Lowered(
        replace(base.graph, outputs=("y",), values=values),
        base.target,
        layers,
        {"x": None, "c": None, "y": None},
        {"x": "x"},
        {"y": "y"},
    )
    plan = make_plan(lowered)
    assert [c.layer.name for c in plan.choices] == ["y"]
    x = np.arange(40, dtype=np.float32).reshape(20, 2)
    output = Engine(plan).run({"x": x}).outputs["y"]
    assert output.codes is None and output.format is None
    assert np.array_equal(output.real, x + np.float32(0.5))


def test_a_run_with_overrides_behind_one_without() -> None:
    """What the first run packed is laid out for pixels that the second run's are not."""
    lowered = residual(size=4)
    inputs = {"x_q": random_codes(12, (3, 3, 4, 4))}
    engine = Engine(make_plan(lowered), 1)
    engine.run(inputs)
    override = {name: random_codes(13, (3, 4, 4, 4)) for name in ("y1", "y2", "sum")}
    result = engine.run(inputs, ["codes"], override)
    expected = Engine(make_plan(lowered), 1, "portable").run(inputs, ["codes"], override)
    for name, tap in expected.taps.items():
        assert np.array_equal(result.taps[name].codes, tap.codes), name  # type: ignore[arg-type]
