"""DiffQuant: shared exponents, truncation points from a moving average, limited and left-shifted biases.

Source: the DiffQuant paper. Everything is signed, per tensor, zero point 0. Batch normalisation is absorbed first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from intsim.errors import OutOfDomain, UnusableInput
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.ops import MACS
from intsim.quantization.calibrate import measure
from intsim.quantization.candidates import try_tensor
from intsim.quantization.float_graph import FloatGraph, rewired
from intsim.quantization.placement import CodedTensor, clamps_after, find_places
from intsim.quantization.post_training import choose_exponents, coded_constants, fold
from intsim.quantization.truncation_points import exact_momentum
from intsim.training.bits import Bits
from intsim.training.modules.average import Average
from intsim.training.modules.layers import clamp_bounds, layer_of
from intsim.training.modules.output import OutputFormat
from intsim.training.quantized_module import QuantizedModule
from intsim.training.trace import Traced, trace

Array = np.ndarray[Any, Any]


def quantize_diffquant(
    module: nn.Module, batches: Sequence[Tensor], bits: Bits, momentum: float = 0.1, headroom: int = 16
) -> QuantizedModule:
    """The QuantizedModule of a float module; exponents and truncation points from batches of reals, in their order.

    bits: kinds "weights", "activations" and "bias". headroom: L. The rules are those of `intsim quantize`, by the same
    functions. Errors: UnsupportedOp names module and op; UnusableInput, OutOfDomain for unusable data.
    """
    exact = exact_momentum(momentum)
    traced = trace(module, batches[0])
    graph = traced.graph
    fold(graph)
    origin = _named_by_layers(graph)
    places = find_places(graph)
    widths = _widths(graph, places, bits)
    own = {place.tensor: place for place in places.values() if place.rule != "kept"}
    runs = _Runs(traced, origin, graph, batches)
    measured = measure(runs, {place.measured: widths[place.tensor] for place in own.values()})
    weights = {
        node.inputs[1]: bits.of("weights", node.name)
        for node in graph.nodes
        if node.op in MACS and node.inputs[1] in graph.constants
    }
    constants = {
        name: try_tensor(graph.constants[name], weights[name]) for name in coded_constants(graph) if name in weights
    }
    _, averages = choose_exponents(places, constants, measured, exact)
    layers = {}
    for node in graph.nodes:
        place = places.get(node.outputs[0])
        if place is None:
            raise node.unsupported("at the output; leave it out of the module and apply it to the logits")
        output = None
        if place.rule != "kept":
            average = Average(float(averages[place.tensor]), momentum)
            output = OutputFormat(widths[place.tensor], average, *_clamped(graph, node))
        mac = {
            "weight_bits": bits.of("weights", node.name),
            "bias_bits": bits.of("bias", node.name),
            "headroom": headroom,
        }
        layers[node.name] = layer_of(graph, node, output, mac)
    start = Average(float(averages[graph.input]), momentum)
    made = QuantizedModule(graph, places, layers, start, widths[graph.input])
    made.train(module.training)
    return made


def _widths(graph: FloatGraph, places: Mapping[str, CodedTensor], bits: Bits) -> dict[str, int]:
    """The bits of every tensor with codes; what keeps its input's format keeps its bits."""
    bits.check_used((graph.input, *(node.name for node in graph.nodes)))
    widths: dict[str, int] = {}
    for name, place in places.items():
        layer = name if place.node is None else place.node.name
        widths[name] = widths[place.source] if place.rule == "kept" else bits.of("activations", layer)
    return widths


def _clamped(graph: FloatGraph, node: OnnxNode) -> tuple[float, float]:
    """The reals between which the Relu and Clip after a node keep it."""
    bounds = [clamp_bounds(graph, clamp) for clamp in clamps_after(graph, node)]
    lowest = max((low for low, _ in bounds), default=-math.inf)
    return lowest, min((high for _, high in bounds), default=math.inf)


def _named_by_layers(graph: FloatGraph) -> dict[str, str]:
    """Call the output of every node like the node; returns the names that changed: new -> old.

    A convolution that has absorbed a batch normalisation still makes the tensor that was called after that.
    """
    new = {node.outputs[0]: node.name for node in graph.nodes if node.outputs[0] != node.name}
    graph.nodes = [
        rewired(
            node,
            inputs=tuple(new.get(name, name) for name in node.inputs),
            outputs=tuple(new.get(name, name) for name in node.outputs),
        )
        for node in graph.nodes
    ]
    graph.outputs = tuple(new.get(name, name) for name in graph.outputs)
    graph.shapes = {new.get(name, name): shape for name, shape in graph.shapes.items()}
    return {name: old for old, name in new.items()}


@dataclass(frozen=True)
class _Runs:
    """The float network's tensors for every batch, for `measure`. Errors: UnusableInput names a bad one."""

    traced: Traced
    origin: Mapping[str, str]
    graph: FloatGraph
    batches: Sequence[Tensor]

    def __call__(self, tensors: Sequence[str], what: str) -> Iterator[tuple[bool, Mapping[str, Array]]]:
        sources = {name: self._source(name) for name in tensors}
        wanted = tuple(dict.fromkeys(s for s in sources.values() if s != self.graph.input))
        for index, x in enumerate(self.batches):
            if not bool(torch.isfinite(x).all()):
                raise UnusableInput(f"calibration: batch {index} holds NaN or infinity; every number must be finite")
            found = {**self.traced.run(x, wanted), self.graph.input: x.detach().cpu().numpy()}
            yield True, {name: found[source] for name, source in sources.items()}

    def _source(self, name: str) -> str:
        """A value of the program with the numbers of this tensor: itself, or its flattened form."""
        if name == self.graph.input:
            return name
        original = self.origin.get(name, name)
        if original in self.traced.values:
            return original
        reader = self.graph.only_consumer(name)
        if reader is not None and reader.op == "Flatten":
            return self._source(reader.outputs[0])
        raise OutOfDomain(f"tensor {name!r}: it is not in the float module, so that it cannot be calibrated")
