from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import intsim
from intsim.comparison.peers import open_peer
from intsim.errors import UnusableInput

pytest.importorskip("onnxruntime")


def relu_model(quantizers: int = 1) -> onnx.ModelProto:
    """x quantized at zero point 100 (once or twice), then Relu and a quantizer at 128."""
    initializers = []
    for name, scale, zero in (("a", 0.5, 100), ("b", 0.25, 7), ("y", 0.5, 128)):
        initializers.append(numpy_helper.from_array(np.array(scale, np.float32), f"{name}.scale"))
        initializers.append(numpy_helper.from_array(np.array(zero, np.uint8), f"{name}.zero"))
    nodes, outputs = [], []
    for name in "ab"[:quantizers]:
        parameters = [f"{name}.scale", f"{name}.zero"]
        nodes += [
            helper.make_node("QuantizeLinear", ["x", *parameters], [f"{name}.codes"]),
            helper.make_node("DequantizeLinear", [f"{name}.codes", *parameters], [f"{name}.real"]),
            helper.make_node("Relu", [f"{name}.real"], [f"{name}.relu"]),
            helper.make_node("QuantizeLinear", [f"{name}.relu", "y.scale", "y.zero"], [f"{name}.y"]),
            helper.make_node("DequantizeLinear", [f"{name}.y", "y.scale", "y.zero"], [f"{name}.output"]),
        ]
        outputs.append(helper.make_tensor_value_info(f"{name}.output", TensorProto.FLOAT, ["n", 6]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])]
    graph = helper.make_graph(nodes, "relu", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def reals() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.linspace(-60, 90, 30, dtype=np.float32).reshape(5, 6)


def test_codes_and_the_reals_between_them() -> None:
    model = intsim.load(relu_model(), target="onnxruntime")
    tensors = open_peer("onnxruntime", model).tensors({"x": reals()}, 0)
    assert tensors["a.codes"].dtype == np.uint8
    assert tensors["a.y"].dtype == np.uint8
    assert tensors["a.output"].dtype == np.float32
    found = intsim.compare(model, "onnxruntime", reals())
    assert found.equal
    assert found.compared == 2


def test_codes_as_input_are_dequantized_for_it() -> None:
    """And quantized again by ONNX Runtime, to the same codes."""
    model = intsim.load(relu_model(), target="onnxruntime")
    codes = np.arange(256, dtype=np.uint8)[:252].reshape(42, 6)
    found = intsim.compare(model, "onnxruntime", codes)
    assert found.equal
    assert found.compared == 2


def test_codes_do_not_say_the_reals_where_two_quantizers_read_them() -> None:
    model = intsim.load(relu_model(2), target="onnxruntime")
    assert intsim.compare(model, "onnxruntime", reals()).equal
    with pytest.raises(UnusableInput, match="takes reals"):
        intsim.compare(model, "onnxruntime", np.zeros((1, 6), np.uint8))


def test_a_setting_that_the_file_does_not_have_is_refused() -> None:
    model = intsim.load(relu_model(), target="onnxruntime").with_formats({"a.y": {"bits": 4}})
    with pytest.raises(UnusableInput, match="this model's formats differ from its file's"):
        intsim.compare(model, "onnxruntime", reals())
