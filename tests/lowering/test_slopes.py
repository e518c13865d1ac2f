"""LeakyRelu and PRelu right after a MAC layer: on output codes, or on the accumulator."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import intsim
from intsim.comparison.explain import explain
from intsim.errors import UnsupportedOp, UnusableInput
from intsim.formats import Format
from intsim.graph import Graph, Node
from intsim.lowering import lower
from intsim.model import Model
from intsim.target import TARGETS, Target
from tests.lowering.graphs import CONV, graph, power
from tests.spec.second import FRACTION, clipped

INTEGER_TARGETS = sorted(set(TARGETS) - {"max7800x", "onnx-reference", "onnxruntime", "onnxruntime-avx2"})
SLOPES = np.array([0.1, -0.5], np.float32)


def activated(op: str = "LeakyRelu", slopes: Any = SLOPES, x: Format | None = None) -> Graph:
    """x -> Conv 1x1 -> LeakyRelu or PRelu -> y, quantized at both ends only."""
    weights = np.array([[9, -77], [-128, 3]], np.int8).reshape(2, 2, 1, 1)
    constants = {"w": weights, **({"s": slopes.reshape(-1, 1, 1)} if op == "PRelu" else {})}
    names, attributes = (("c", "s"), {}) if op == "PRelu" else (("c",), {"alpha": float(SLOPES[0])})
    nodes = [Node("conv", "Conv", ("x", "w"), ("c",), CONV), Node("act", op, names, ("y",), attributes)]
    formats: dict[str, Format | None] = {"x": x or power(-5), "w": power(-7), "c": None, "y": power(-3)}
    return graph(nodes, formats, {}, constants)


def target(**changes: Any) -> Target:
    return replace(TARGETS["diffquant"], **changes)


X = np.random.default_rng(3).integers(-128, 128, (3, 2, 4, 4)).astype(np.int8)


def codes(model: Model, x: Any, engine: str = "kernels") -> Any:
    return model.run(x, engine=engine).outputs["y"].codes


def sums() -> Any:
    w = activated().constants["w"].reshape(2, 2).astype(int)
    return np.einsum("oc,nchw->nohw", w, X.astype(int))


@pytest.mark.parametrize("op", ["LeakyRelu", "PRelu"])
@pytest.mark.parametrize("rule", ["half_up", "half_even", "half_away"])
def test_before_requantization(op: str, rule: str) -> None:
    """Two roundings: of the slope's product in the accumulator, and of the code, 9 bits below."""
    model = Model(activated(op), target(activation="before", slope_bits=6, rounding=rule))
    assert [la.op for la in model.lowered.layers][:3] == ["conv", "leaky_relu", "requantize"]
    for engine in ("kernels", "spec"):
        got = codes(model, X, engine)
        for at, acc in np.ndenumerate(sums()):
            slope = [6, -32][at[1] if op == "PRelu" else 0]  # half_up of 6.4 and -32
            held = acc if acc >= 0 else FRACTION[rule](Fraction(int(acc) * slope, 64))
            assert got[at] == clipped(FRACTION[rule](Fraction(int(held), 512)), 8, True)


@pytest.mark.parametrize("op", ["LeakyRelu", "PRelu"])
def test_after_requantization(op: str) -> None:
    model = Model(activated(op), target())
    assert [la.op for la in model.lowered.layers][:3] == ["conv", "requantize", "table"]
    for engine in ("kernels", "spec"):
        got = codes(model, X, engine)
        for at, acc in np.ndenumerate(sums()):
            code = clipped(FRACTION["half_up"](Fraction(int(acc), 512)), 8, True)
            slope = Fraction(float(SLOPES[at[1] if op == "PRelu" else 0]))
            assert got[at] == (code if code >= 0 else clipped(FRACTION["half_up"](code * slope), 8, True))


def test_the_order_changes_bits() -> None:
    x = np.random.default_rng(3).integers(-128, 128, (300, 2, 4, 4)).astype(np.int8)
    before, after = (codes(Model(activated(), target(activation=a)), x) for a in ("before", "after"))
    assert 0 < np.count_nonzero(before != after) < before.size
    assert np.abs(before.astype(int) - after).max() == 1


@pytest.mark.parametrize("name", INTEGER_TARGETS)
@pytest.mark.parametrize("activation", ["before", "after"])
@pytest.mark.parametrize("op", ["LeakyRelu", "PRelu"])
def test_every_target(name: str, activation: str, op: str) -> None:
    model = Model(activated(op), replace(TARGETS[name], activation=activation))
    assert intsim.compare(model, "spec", X).equal
    assert all(layer.exact for layer in model.lowered.layers)


def test_float_islands_stay_float() -> None:
    assert "island" in {layer.op for layer in lower(activated(), TARGETS["onnxruntime"]).layers}


def test_an_accumulator_that_the_slope_makes_too_large_is_clipped() -> None:
    narrow = target(activation="before", accumulator_bits=15, overflow="saturate")
    model = Model(activated("PRelu", np.array([-3.0, 4.0], np.float32)), narrow)
    x = np.array([127, -128], np.int8).reshape(1, 2, 1, 1) * np.ones((1, 1, 4, 4), np.int8)
    assert intsim.compare(model, "spec", x).equal
    assert codes(model, x).tolist()[0][1][0][0] == clipped(-16384 >> 9, 8, True)


def test_explained() -> None:
    model = Model(activated(), target(activation="before"))
    y = codes(model, X)
    for at in ((0, 0, 1, 2), (1, 1, 0, 0), (2, 0, 3, 3)):
        explanation = explain(model, X, "y", at)
        assert explanation.value == y[at]
        assert [step.op for step in explanation.steps] == ["conv", "leaky_relu", "requantize"]
        assert all(step.engine in (None, step.value) for step in explanation.steps)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "inside"}, "activation must be one of after, before, not 'inside'"),
        ({"slope_bits": 25}, "slope_bits must be 0 to 24, not 25"),
        (
            {"activation": "before", "rounding_constant": "inside"},
            "activation must be after where the rounding",
        ),
        ({"activation": "before", "requantizer": "max7800x"}, "activation must be after"),
    ],
)
def test_what_no_target_can_have(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnusableInput, match=message):
        target(**changes)


def test_a_slope_that_is_too_steep() -> None:
    steep = activated("PRelu", np.array([1.0, 2.0**10], np.float32))
    with pytest.raises(UnsupportedOp, match="a slope of 1024 does not fit in 32 bits with 24 fraction bits"):
        lower(steep, target(activation="before", slope_bits=24))
