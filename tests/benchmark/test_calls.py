from __future__ import annotations

import numpy as np
import onnx
import pytest

import intsim
from intsim.benchmark import intsim_call, onnxruntime_call, random_inputs
from intsim.errors import UnusableInput
from tests.cli.small_model import small_model


def test_random_reals_are_the_codes_of_the_format() -> None:
    model = intsim.load(small_model())
    x = random_inputs(model, 7)["image"]
    assert (x.dtype, x.shape) == (np.float32, (7, 2, 8, 8))
    codes = x * 32
    assert np.array_equal(codes, np.rint(codes)) and codes.min() == -128 and codes.max() == 127


def test_a_fixed_batch_wants_a_multiple() -> None:
    file = small_model()
    for value in (file.graph.input[0], file.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 3
    del file.graph.value_info[:]
    model = intsim.load(onnx.shape_inference.infer_shapes(file))
    assert random_inputs(model, 6)["image"].shape == (6, 2, 8, 8)
    with pytest.raises(UnusableInput, match="give a multiple of 3, not 4"):
        random_inputs(model, 4)


def test_the_calls_compute_what_the_model_does() -> None:
    model = intsim.load(small_model(0.03), target="onnxruntime")
    inputs = random_inputs(model, 3)
    expected = model.run(inputs).outputs["logits"]
    ours = intsim_call(model, inputs, 1)().outputs["logits"]
    assert ours.codes is not None
    np.testing.assert_array_equal(ours.codes, expected.codes, strict=True)
    pytest.importorskip("onnxruntime")
    made = onnxruntime_call(model, inputs, 1)()
    assert [array.shape for array in made] == [(3, 4)]


def test_a_setting_without_a_file_has_no_peer() -> None:
    model = intsim.load(small_model()).with_formats({"conv1_q": {"bits": 4}})
    with pytest.raises(UnusableInput, match="runs model files"):
        onnxruntime_call(model, random_inputs(model, 1), 1)
