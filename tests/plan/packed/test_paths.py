"""Instruction sets give the same bits: small graphs of every op, quantized by ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import intsim
from intsim import demo
from intsim.run.engine import Engine
from intsim.run.inputs import values_of
from tests.kernels.packed.run import ISAS, in_turn, needs_instructions
from tests.models.quantize import CONFIGURATIONS, quantize
from tests.models.small import GRAPHS, small, small_input
from tests.models.transformer import transformer
from tests.plan.packed.paths import agree

pytestmark = needs_instructions


CONFIGURATIONS_HERE = ("qdq-u8-asymmetric-channel", "qdq-s8-symmetric-tensor")


@pytest.mark.parametrize(
    ("name", "configuration", "isas"),
    [
        *in_turn([(name, CONFIGURATIONS_HERE[number % 2]) for number, name in enumerate(GRAPHS)]),
        *(
            pytest.param(name, CONFIGURATIONS_HERE[1 - number % 2], ISAS, marks=pytest.mark.release)
            for number, name in enumerate(GRAPHS)
        ),
    ],
)
def test_small_graphs(name: str, configuration: str, isas: tuple[str, ...]) -> None:
    x = small_input(name)
    file = quantize(small(name), CONFIGURATIONS[configuration], x)
    try:
        model = intsim.load(file.SerializeToString(), target="onnxruntime")
    except intsim.errors.UnsupportedOp:
        pytest.skip("the target refuses it")
    agree(model.plan, values_of(model.lowered, model.named_inputs(x)), isas=isas)


@pytest.mark.parametrize(
    "configuration", ["qdq-u8-asymmetric-tensor", "qdq-u8-asymmetric-channel", "qdq-s8-symmetric-tensor"]
)
def test_transformer(configuration: str) -> None:
    """All of a block is packed but for its float Softmax and what makes reals."""
    x = np.random.default_rng(0).standard_normal((3, 13, 32)).astype(np.float32)
    file = quantize(transformer(13, 32, 2), CONFIGURATIONS[configuration], x)
    model = intsim.load(file.SerializeToString(), target="onnxruntime")
    for choices in agree(model.plan, values_of(model.lowered, model.named_inputs(x)), threads=2).values():
        assert {choice.layer.op for choice in choices if choice.refused} == {"dequantize_float32", "island"}


def test_weights_are_packed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = intsim.load(demo.quantized_model())
    x = np.load(demo.images(), allow_pickle=False)["x"][:2]
    engine = Engine(model.plan, 1)
    inputs = values_of(model.lowered, model.named_inputs(x))
    engine.run(inputs)

    def refuse(array: Any) -> Any:
        raise AssertionError("packed again")

    monkeypatch.setattr("intsim.plan.packed.ops.conv.aligned_copy", refuse)
    monkeypatch.setattr("intsim.plan.packed.ops.depthwise.aligned_copy", refuse)
    assert engine.run(inputs, ["histogram", "extremes", "saturation"]).images == 2
