from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from intsim.errors import AccumulatorOverflow, OutOfDomain, UnusableInput
from intsim.lowering.lowered import Layer, Lowered
from intsim.run.reference import run_layer, run_reference
from tests.networks import X, random_codes, residual
from tests.spec.second import FRACTION, accumulate, clipped, conv_addends

Array = np.ndarray[Any, Any]


def second(lowered: Lowered, x: Array) -> dict[str, Array]:
    """Every value of the network `residual` by scalar loops on Python's integers, from the codes x."""
    layers = {layer.name: layer.parameters for layer in lowered.layers}
    values: dict[str, Array] = {"x_q": x}

    def conv(source: str, name: str) -> None:
        p = dict(layers[f"{name}#accumulator"])
        w, bits, overflow = p.pop("w"), p.pop("accumulator_bits"), p.pop("overflow")
        acc = np.zeros((len(x), len(w), *x.shape[2:]), np.int64)
        for at in np.ndindex(acc.shape):
            acc[at] = accumulate(conv_addends(values[source], w, at, **p), bits, overflow)[0]
        values[f"{name}#accumulator"] = acc

    def requantized(source: str, name: str, shift: int, divisor: int = 1) -> None:
        values[name] = np.zeros(values[source].shape, np.int64)
        for at, v in np.ndenumerate(values[source]):
            quotient = Fraction(int(v), divisor) / Fraction(2) ** shift
            values[name][at] = clipped(FRACTION["half_up"](quotient), 8, True)

    conv("x_q", "y1")
    requantized("y1#accumulator", "y1#unclamped", 7)
    values["y1"] = np.maximum(values["y1#unclamped"], 0)
    conv("y1", "y2")
    requantized("y2#accumulator", "y2", 9)
    values["total"] = values["y1"] + values["y2"]
    requantized("total", "sum", 0)
    values["total"] = values["sum"].sum((2, 3), keepdims=True)
    requantized("total", "mean", layers["mean"]["shift"], x.shape[2] * x.shape[3])
    values["flat"] = values["mean"][:, :, 0, 0]
    p = layers["logits_q#accumulator"]
    acc = [
        [
            accumulate(
                [*(int(v) * int(u) for v, u in zip(row, column, strict=True)), int(b)], p["accumulator_bits"], "wrap"
            )[0]
            for column, b in zip(p["b"].T, p["bias"], strict=True)
        ]
        for row in values["flat"]
    ]
    values["logits_q#accumulator"] = np.array(acc)
    requantized("logits_q#accumulator", "logits_q", layers["logits_q"]["shift"])
    return values


class Seen:
    """What an observer is shown."""

    def __init__(self) -> None:
        self.results: dict[str, tuple[Array, ...]] = {}
        self.at_hand: list[frozenset[str]] = []

    def __call__(self, layer: Layer, results: tuple[Array, ...], values: Mapping[str, Array]) -> None:
        assert all(name in values for name in layer.inputs)
        self.results[layer.outputs[0]] = results
        self.at_hand.append(frozenset(values))


@pytest.mark.parametrize("bits", [24, 16])
def test_every_value_by_scalar_loops(bits: int) -> None:
    lowered = residual(size=4, accumulator_bits=bits)
    x, seen = random_codes(1, (2, 3, 4, 4)), Seen()
    outputs = run_reference(lowered, {"x_q": x}, seen)
    expected = second(lowered, x)
    compared = [name for name in expected if name in seen.results]
    assert len(compared) == 10
    for name in compared:
        assert np.array_equal(seen.results[name][0], expected[name]), name
    assert set(outputs) == set(lowered.outputs.values())
    assert any(seen.results[f"{name}#accumulator"][1].any() for name in ("y1", "y2")) == (bits == 16)


def test_dtypes_are_those_of_storage() -> None:
    seen = Seen()
    run_reference(residual(accumulator_bits=40), {"x": np.ones((1, 3, 8, 8), np.float32)}, seen)
    assert seen.results["x_q"][0].dtype == np.int8
    assert seen.results["y1#accumulator"][0].dtype == np.int64
    seen = Seen()
    outputs = run_reference(residual(accumulator_bits=16), {"x": np.ones((1, 3, 8, 8), np.float32)}, seen)
    assert seen.results["y1#accumulator"][0].dtype == np.int32
    assert [array.dtype for array in outputs.values()] == [np.int8]


def test_reals_and_their_codes_give_the_same() -> None:
    lowered = residual()
    codes = random_codes(2, (3, 3, 8, 8))
    reals = X.real(codes)
    by_codes, by_reals = Seen(), Seen()
    a = run_reference(lowered, {"x_q": codes}, by_codes)
    b = run_reference(lowered, {"x": reals}, by_reals)
    assert "x_q" in by_reals.results
    assert "x_q" not in by_codes.results
    for name, array in a.items():
        assert np.array_equal(array, b[name])


def test_a_value_is_freed_once_it_was_read_last() -> None:
    seen = Seen()
    run_reference(residual(), {"x_q": random_codes(3, (1, 3, 8, 8))}, seen)
    # shown before it is freed: what a layer reads, and what later layers still need
    assert max(map(len, seen.at_hand)) == 2
    assert all("y1" not in names for names in seen.at_hand[6:])


def test_an_override_is_read_and_the_computed_value_is_shown() -> None:
    lowered, x = residual(), random_codes(4, (1, 3, 8, 8))
    plain, changed = Seen(), Seen()
    run_reference(lowered, {"x_q": x}, plain)
    given = np.zeros_like(plain.results["y1"][0])
    run_reference(lowered, {"x_q": x}, changed, {"y1": given})
    assert np.array_equal(changed.results["y1"][0], plain.results["y1"][0])
    biases = next(layer for layer in lowered.layers if layer.name == "y2#accumulator").parameters["bias"]
    assert np.array_equal(changed.results["y2#accumulator"][0][0, :, 0, 0], biases)


def test_the_inputs_are_not_changed() -> None:
    x = random_codes(5, (1, 3, 8, 8))
    before, inputs = x.copy(), {"x_q": x}
    run_reference(residual(), inputs)
    assert np.array_equal(x, before)
    assert list(inputs) == ["x_q"]


def test_errors_name_the_node() -> None:
    lowered, x = residual(accumulator_bits=12, overflow="trap"), random_codes(6, (1, 3, 8, 8))
    with pytest.raises(AccumulatorOverflow, match=r"node 'conv1' \(conv\): accumulator must be within -2048 to 2047"):
        run_reference(lowered, {"x_q": x})
    with pytest.raises(UnusableInput, match=r"node 'in': no array for 'x'"):
        run_reference(residual(), {})
    with pytest.raises(OutOfDomain, match=r"node 'in' \(quantize\): r must hold no NaN"):
        run_reference(residual(), {"x": np.full((1, 3, 8, 8), np.nan, np.float32)})


def test_a_code_outside_its_format_is_an_error() -> None:
    layer = Layer("y", "copy", ("x",), ("y",), {}, "node")
    with pytest.raises(OutOfDomain, match=r"tensor 'y': code 9 at \(1,\) is outside i4 x 2[*][*]-4 \(-8 to 7\)"):
        run_layer(layer, [np.array([1, 9])], dataclasses.replace(X, bits=4))
    assert run_layer(layer, [np.array([1, 7])], dataclasses.replace(X, bits=4))[0].dtype == np.int8


def test_a_planted_mistake_is_caught() -> None:
    """Floor in the place of half_up in one layer: the scalar loops see it there, and not before."""
    lowered, x = residual(size=4), random_codes(7, (1, 3, 4, 4))
    layers = tuple(
        replace(layer, parameters={**layer.parameters, "rounding": "floor"}) if layer.name == "y2" else layer
        for layer in lowered.layers
    )
    seen = Seen()
    run_reference(replace(lowered, layers=layers), {"x_q": x}, seen)
    expected = second(lowered, x)
    wrong = [
        name for name in seen.results if name in expected and not np.array_equal(seen.results[name][0], expected[name])
    ]
    assert wrong[0] == "y2"
