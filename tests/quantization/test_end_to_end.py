"""A quantized model through intsim itself: target diffquant is the integer model, target onnxruntime ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import intsim
from tests.quantization.networks import images, residual
from tests.quantization.test_post_training import codes_of_onnxruntime, half_up, integer_residual, on_grid, quantized

Array = np.ndarray[Any, Any]


def codes_of(model: Any, x: Array, **options: Any) -> dict[str, Array]:
    taps = model.run(x, taps=["codes"], **options).taps
    return {name.removesuffix(".codes"): tap.codes for name, tap in taps.items()}


@pytest.mark.parametrize("engine", ["spec", "kernels"])
@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_target_diffquant_is_the_integer_model(bits: int, engine: str) -> None:
    x = on_grid(images(6, seed=2))
    model = intsim.load(quantized(bits).model)
    assert model.target.name == "diffquant"
    taps = codes_of(model, x, engine=engine)
    expected = integer_residual(quantized(bits), x, half_up)
    # At other widths than 8 the Relu stands before the quantizer: the layer's own tensor has no codes.
    compared = [name for name in expected if name in taps]
    assert len(compared) == (len(expected) if bits == 8 else len(expected) - 2)
    for name in compared:
        assert np.array_equal(taps[name], expected[name]), name


def test_target_onnxruntime_is_onnxruntime() -> None:
    """The bias comes back as b with an exponent of its own; ONNX Runtime adds it aligned."""
    x = on_grid(images(6, seed=3))
    taps = codes_of(intsim.load(quantized().model, target="onnxruntime"), x)
    theirs = codes_of_onnxruntime(quantized(), x)
    assert len(theirs) == 10
    for name, codes in theirs.items():
        assert np.array_equal(taps[name], codes), name


def test_the_biases_have_exponents_of_their_own() -> None:
    """Else the tests above would not tell an aligned bias from one that is not."""
    rows = [r for r in quantized().rows if r.bias is not None]
    assert any(r.bias.exponent > r.exponent - r.otp for r in rows if r.otp is not None and r.bias is not None)


def test_the_network_is_the_float_network() -> None:
    assert intsim.load(quantized().model).graph.outputs == tuple(o.name for o in residual().graph.output)
