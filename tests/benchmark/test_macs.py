from __future__ import annotations

import intsim
from intsim.benchmark import count_macs, macs_by_node
from intsim.quantization import quantize_model
from tests.cli.small_model import small_model
from tests.models.networks import BENCHMARKED
from tests.models.small import small, small_input


def test_convolutions_and_matrix_products() -> None:
    model = intsim.load(small_model())
    nodes = macs_by_node(model)
    assert list(nodes.values()) == [8 * 8 * 4 * 2 * 9, 4 * 4 * 4 * 4 * 9, 8 * 4]
    assert count_macs(model) == 4608 + 2304 + 32


def test_resnet20_has_the_papers_count() -> None:
    """40.55 million in the 19 convolutions of 3x3, and 262,144 in the two shortcuts and 640 in the last layer."""
    network = BENCHMARKED["resnet20"]
    made = quantize_model(network.build(network.size), network.images()[:1]).model
    assert count_macs(intsim.load(made)) == 40_550_400 + 2 * 131_072 + 640


def test_a_group_reads_its_own_channels_only() -> None:
    for name in ("conv_groups", "conv_depthwise", "conv_1d_everything", "matmul_of_two"):
        x = small_input(name, 2)
        model = intsim.load(quantize_model(small(name), x).model)
        taps = model.run(x[:1], taps=["accumulator"]).taps
        layers = [layer for layer in model.lowered.layers if layer.op in ("conv", "matmul")]
        expected = 0
        for layer in layers:
            tensor = next(t for t, sums in model.lowered.accumulators.items() if sums == layer.outputs[0])
            sums = taps[tensor].accumulator
            inner = layer.parameters["w"][0].size if layer.op == "conv" else _inner(model, layer.inputs[0])
            assert sums is not None
            expected += sums.size * inner
        assert count_macs(model) == expected > 0, name


def test_a_float_island_adds_up_as_many_products() -> None:
    model = small_model(0.03)
    assert count_macs(intsim.load(model, target="onnxruntime")) == count_macs(intsim.load(small_model()))


def test_a_length_that_decides_is_open() -> None:
    model = small_model()
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"axis{axis}"
    del model.graph.value_info[:]
    assert count_macs(intsim.load(model)) is None


def _inner(model: intsim.Model, name: str) -> int:
    length = model.graph.values[name].shape[-1]
    assert length is not None
    return length
