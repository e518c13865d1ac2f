"""Every instruction set gives the same bits: small graphs of every op, quantized by ONNX Runtime, whole networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import intsim
from intsim import demo
from intsim.engine import Engine
from intsim.inputs import values_of
from intsim.kernels.packed.isa import available
from intsim.model import Model
from intsim.taps import TapSpec
from tests.models.quantize import CONFIGURATIONS, quantize
from tests.models.small import GRAPHS, small, small_input

ISAS = [isa for isa in available() if isa != "portable"]
pytestmark = pytest.mark.skipif(not ISAS, reason="this processor has no packed kernels")

COUNTS = [TapSpec("histogram"), TapSpec("extremes"), TapSpec("saturation"), TapSpec("histogram", "*", 100, True)]


def check(model: Model, x: Any, threads: int = 1) -> None:
    """Outputs, every code and every count are those of the portable loops."""
    inputs = values_of(model.lowered, model.named_inputs(x))
    portable = Engine(model.plan, 1, "portable")
    codes = portable.run(inputs, [TapSpec("codes"), TapSpec("codes", "*#*")])
    counts = portable.run(inputs, COUNTS[:3]).taps
    for isa in ISAS:
        engine = Engine(model.plan, threads, isa)
        for result in (engine.run(inputs), engine.run(inputs, [TapSpec("codes"), TapSpec("codes", "*#*")])):
            for name, output in codes.outputs.items():
                assert np.array_equal(result.outputs[name].values, output.values), (isa, name)
            for name, tap in result.taps.items():
                assert np.array_equal(tap.codes, codes.taps[name].codes), (isa, name)  # type: ignore[arg-type]
        for name, tap in engine.run(inputs, COUNTS[:3]).taps.items():
            assert np.array_equal(tap.histogram, counts[name].histogram), (isa, name)  # type: ignore[arg-type]
            assert (tap.extremes, tap.saturation) == (counts[name].extremes, counts[name].saturation), (isa, name)


@pytest.mark.parametrize("configuration", ["qdq-u8-asymmetric-channel", "qdq-s8-symmetric-tensor"])
@pytest.mark.parametrize("name", GRAPHS)
def test_small_graphs(name: str, configuration: str) -> None:
    x = small_input(name)
    file = quantize(small(name), CONFIGURATIONS[configuration], x)
    try:
        model = intsim.load(file.SerializeToString(), target="onnxruntime")
    except intsim.errors.UnsupportedOp:
        pytest.skip("the target refuses it")
    check(model, x)


def test_weights_are_packed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = intsim.load(demo.quantized_model())
    x = np.load(demo.images(), allow_pickle=False)["x"][:2]
    engine = Engine(model.plan, 1)
    inputs = values_of(model.lowered, model.named_inputs(x))
    engine.run(inputs)

    def refuse(array: Any) -> Any:
        raise AssertionError("packed again")

    monkeypatch.setattr("intsim.plan.packed.conv.aligned_copy", refuse)
    monkeypatch.setattr("intsim.plan.packed.depthwise.aligned_copy", refuse)
    assert engine.run(inputs, COUNTS).images == 2
