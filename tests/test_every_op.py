"""Each op of the table in intsim/ops.py has all that an op has, or a reason why not stands here.

What adds an op and forgets a place fails here, and names the place.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

import intsim
from intsim import spec
from intsim.comparison.explain.explain import EXPLAINERS
from intsim.importers.onnx.load import IMPORTERS
from intsim.islands.evaluate import FUNCTIONS as FLOAT_FORMS
from intsim.lowering.lower import FAMILIES
from intsim.lowering.lowered import Lowered
from intsim.ops import CONVERTS, INTERNAL, MOVES, OPS
from intsim.quantization import quantize_model
from intsim.quantization.placement import SUPPORTED
from tests.models.quantize import CONFIGURATIONS, preprocess, quantize
from tests.models.small import GRAPHS, small, small_input

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

PLACES = ("importer", "lowering", "float form", "torch form", "small graph", "quantize")
"""Of an op."""

LAYER_PLACES = ("spec", "kernel", "explainer", "golden case")
"""Of each layer that an op becomes."""

FLOAT = "every target computes it in float: an island, or the tail"
NOT_QUANTIZED = "`intsim quantize` folds it away, or does not take it"
BOUNDARY = "the quantizers themselves"

REASONS: Mapping[tuple[str, str], str] = {
    **{(op, place): "ONNX has no such op" for op in INTERNAL for place in ("importer", "quantize")},
    **{(op, "lowering"): FLOAT for op in ("Div", "Min", "Max", "Softmax")},
    **{(op, "float form"): "moves: the layer of codes moves reals as well" for op in MOVES},
    **{(op, "float form"): BOUNDARY for op in CONVERTS - {"Requantize"}},
    ("CodeClip", "float form"): "it acts on codes",
    ("AveragePool", "float form"): "its order of sums is known for codes alone",
    **{(op, "torch form"): "the fake quantizer of its output acts" for op in CONVERTS},
    ("CodeClip", "torch form"): "the twin clamps to the reals of its bounds",
    **{(op, "quantize"): NOT_QUANTIZED for op in ("Div", "Min", "Max", "BatchNormalization")},
    **{(op, "quantize"): BOUNDARY for op in ("QuantizeLinear", "DequantizeLinear")},
    **{
        (op, "small graph"): "tests/importers/onnx/test_elementwise.py: an island everywhere"
        for op in ("Div", "Min", "Max")
    },
    ("Reinterpret", "small graph"): "tests/importers/onnx/test_qdq.py: codes that are given another meaning",
    ("Requantize", "small graph"): "tests/importers/onnx/test_qdq.py: codes that are quantized again",
    ("island", "explainer"): "float32 arithmetic has no integer steps",
    ("island", "golden case"): "its last bits are those of the machine's libraries",
}
"""What an op or a layer has not, and why. An entry that is not needed is an error, too."""


@cache
def lowered() -> tuple[Lowered, ...]:
    """Every small graph on the targets `onnxruntime` and `diffquant`."""
    found = []
    for name in GRAPHS:
        x = small_input(name, 8)
        coded = quantize(preprocess(small(name)), CONFIGURATIONS["qdq-s8-symmetric-tensor"], x)
        found.append(intsim.load(coded, target="onnxruntime").lowered)
        try:
            found.append(intsim.load(quantize_model(small(name), x).model, target="diffquant").lowered)
        except intsim.IntsimError:
            continue
    return tuple(found)


@cache
def layers_by_op() -> Mapping[str, frozenset[str]]:
    """Graph op -> the layers that it became in a small graph."""
    found: dict[str, set[str]] = {}
    for network in lowered():
        ops = {node.name: node.op for node in network.graph.nodes}
        for op in ops.values():
            found.setdefault(op, set())
        for layer in network.layers:
            if layer.node in ops:
                found[ops[layer.node]].add(layer.op)
    return {op: frozenset(layers) for op, layers in found.items()}


def has(op: str, place: str) -> bool:
    from intsim.fakequant.ops import FORMS

    return {
        "importer": ("", op) in IMPORTERS,
        "lowering": op in FAMILIES,
        "float form": op in FLOAT_FORMS,
        "torch form": op in FORMS,
        "small graph": op in layers_by_op(),
        "quantize": op in SUPPORTED,
    }[place]


def layer_has(layer: str, place: str) -> bool:
    if place == "spec":
        return callable(getattr(spec, layer, None))
    if place == "kernel":
        if layer == "island":  # the plan evaluates it
            return True
        return callable(getattr(importlib.import_module(f"intsim.kernels.{layer}"), layer, None))
    return layer in EXPLAINERS if place == "explainer" else any((GOLDEN / layer).glob("*/manifest.json"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("op", OPS)
def test_an_op_has_it_or_a_reason(op: str, place: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    reason = REASONS.get((op, place))
    if has(op, place):
        assert reason is None, f"{op} has a {place}: its reason is stale"
    else:
        assert reason, f"{op} has no {place}, and no reason why not"


@pytest.mark.parametrize("place", LAYER_PLACES)
def test_every_layer_has_it_or_a_reason(place: str) -> None:
    pytest.importorskip("onnxruntime")
    layers = frozenset().union(*layers_by_op().values())
    assert len(layers) > 25
    for layer in layers - {"constant"}:
        assert layer_has(layer, place) or REASONS.get((layer, place)), f"{layer} has no {place}, and no reason why not"
        assert not (layer_has(layer, place) and REASONS.get((layer, place))), f"{layer}: stale reason"


def test_the_walk_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel, an explainer and an importer that are taken away are missed."""
    monkeypatch.delitem(EXPLAINERS, "transpose")
    with pytest.raises(AssertionError, match="transpose has no explainer"):
        test_every_layer_has_it_or_a_reason("explainer")
    monkeypatch.delitem(IMPORTERS, ("", "Transpose"))
    with pytest.raises(AssertionError, match="Transpose has no importer"):
        test_an_op_has_it_or_a_reason("Transpose", "importer")
