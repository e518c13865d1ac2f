"""A quantized module as an ONNX file with the same integers under the same names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from intsim.quantization.bias import Bias
from intsim.quantization.float_graph import FloatGraph, free_name
from intsim.quantization.placement import CodedTensor
from intsim.quantization.prepare import OLDEST_OPSET
from intsim.quantization.qdq import Assignment, container, write_qdq
from intsim.training.modules.mac import Mac

METADATA = {"intsim.target": "diffquant"}
"""What the file says of its target."""


def exported(
    graph: FloatGraph,
    places: Mapping[str, CodedTensor],
    exponents: Mapping[str, int],
    bits: Mapping[str, int],
    macs: Mapping[str, Mac],
) -> onnx.ModelProto:
    """The QDQ form of a network, weights and biases as the layers hold them. The graph itself is changed.

    The codes of a tensor have the tensor's name, those of the input are `NAME.codes`; the reals that come out are
    called `output` (`output_0`, … where there are several).

    exponents, bits: by tensor. macs: the layers with weights, by node.
    """
    exponents, bits, biases = dict(exponents), dict(bits), dict[str, Bias]()
    for node in graph.nodes:
        layer = macs.get(node.name)
        if layer is None:
            continue
        x, weight = node.inputs[:2]
        graph.constants[weight] = layer.weight.detach().cpu().numpy().astype(np.float32)
        exponents[weight], bits[weight] = layer.weight_exponent(), layer.weight_bits
        bias = layer.quantized_bias(exponents[x] + exponents[weight])
        if bias is not None:
            biases[node.name] = bias
    graph.opset = max(graph.opset, *(OLDEST_OPSET[container(width)] for width in bits.values()))
    numbered = {name: f"output_{i}" if len(graph.outputs) > 1 else "output" for i, name in enumerate(graph.outputs)}
    outputs = {name: free_name(wanted, bits) for name, wanted in numbered.items()}
    return write_qdq(graph, Assignment(bits, places, exponents, biases), METADATA, outputs)
