"""The quantized model as plain ONNX: QuantizeLinear and DequantizeLinear around float ops (the QDQ form).

All codes are signed, all zero points 0, all scales powers of two, one for each tensor. A tensor `t` becomes
`t.float` (what the op makes), `t.codes` (after QuantizeLinear) and `t` (after DequantizeLinear, what the next op
reads). A bias is int32 at the scale of the products, so that runtimes keep their integer kernels.

Relu, Clip and Pad act on int8 codes directly: between float tensors a runtime would compute them, and the layer
before them, in float, because with signed codes it cannot tell that the quantizer clips at zero by itself. ONNX
has those ops for int8 only; at other widths a Relu or Clip stands before the quantizer, which gives the same
codes, because rounding is monotonic and zero has the code 0.

Codes of a width that ONNX has no type for lie in the next wider type, int8 or int16, and a Clip on them says how many
bits they have. Constants of such a width have the wider type alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from intsim.errors import MalformedGraph
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.ops import CLAMPS
from intsim.quantization.bias import METADATA, Bias
from intsim.quantization.exponents import bound_code, quantize
from intsim.quantization.float_graph import FloatGraph, build_model, first_line, free_name, node_proto, rewired, tensor
from intsim.quantization.placement import TAIL, CodedTensor, clamps_after

Array = np.ndarray[Any, Any]

STORED = {2: TensorProto.INT2, 4: TensorProto.INT4, 8: TensorProto.INT8, 16: TensorProto.INT16}
"""Bits -> ONNX's type of signed codes."""


def container(bits: int) -> int:
    """The width of the type that holds codes of 2 to 16 bits: their own, else the next that ONNX can clip."""
    return bits if bits in STORED else 8 if bits < 8 else 16


ON_CODES = CLAMPS | {"Pad"}
"""Ops that act on int8 codes."""


@dataclass(frozen=True)
class Assignment:
    """What was chosen for a float graph.

    places: the tensors with codes. bits, exponents: by tensor and by constant operand. biases: by the layer's name.
    """

    bits: Mapping[str, int]
    places: Mapping[str, CodedTensor]
    exponents: Mapping[str, int]
    biases: Mapping[str, Bias]


def write_qdq(
    graph: FloatGraph,
    assignment: Assignment,
    metadata: Mapping[str, str],
    outputs: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """The quantized model, checked by ONNX. metadata: added to the model's own. Errors: MalformedGraph.

    outputs: what the model's outputs shall be called, by tensor; then a tensor's codes have its own name, and what is
    dequantized is called `t.real` (the input is as ever, its codes `t.codes`).
    """
    return _QdqWriter(graph, assignment, outputs).model(metadata)


class _QdqWriter:
    def __init__(self, graph: FloatGraph, assignment: Assignment, outputs: Mapping[str, str] | None) -> None:
        self.graph = graph
        self.assignment = assignment
        self.outputs = outputs
        self.nodes: list[OnnxNode] = []
        self.constants: dict[str, Array] = {}
        self.taken = {graph.input, *graph.constants, *(o for node in graph.nodes for o in node.outputs)}
        self.taken.update((outputs or {}).values())
        self.codes: dict[str, str] = {}  # tensor or constant -> the name of its codes
        self.reals: dict[str, str] = {}  # the same -> the name of its dequantized reals
        self.scales: dict[int, str] = {}
        self.zeros: dict[int, str] = {}
        self.before_clamp = {
            clamp.inputs[0]
            for node in graph.nodes
            if assignment.bits.get(node.outputs[0]) != 8
            for clamp in clamps_after(graph, node)
        }

    def model(self, metadata: Mapping[str, str]) -> onnx.ModelProto:
        self._quantize(self.graph.input, self.graph.input)
        for node in self.graph.nodes:
            self._write(node)
        described = replace(self.graph, metadata={**self.graph.metadata, **metadata})
        protos = [node_proto(node) for node in self.nodes]
        used = {name for node in self.nodes for name in node.inputs}
        constants = [tensor(name, value) for name, value in self.constants.items() if name in used]
        model = build_model(described, protos, constants, [self.reals[name] for name in self.graph.outputs])
        try:
            onnx.checker.check_model(model, full_check=True)
        except onnx.checker.ValidationError as error:
            raise MalformedGraph(f"the quantized model is not valid ONNX: {first_line(error)}") from error
        return model

    def _write(self, node: OnnxNode) -> None:
        if node.op in TAIL:
            self._emit(rewired(node, inputs=(self.reals[node.inputs[0]],)))
            self.reals[node.outputs[0]] = node.outputs[0]
        elif node.op in ON_CODES and self.assignment.bits[node.outputs[0]] == 8:
            self._on_codes(node)
        else:
            self._on_reals(node)

    def _on_reals(self, node: OnnxNode) -> None:
        inputs = tuple(self._operand(node, i) for i in range(len(node.inputs)))
        metadata = dict(node.metadata)
        if node.name in self.assignment.biases:
            metadata[METADATA] = self.assignment.biases[node.name].metadata
        # A tensor before its clamp has no codes; by its own name where nothing else can claim that.
        bare = self.before_clamp if self.outputs is None else ()
        made = tuple(o if o in bare else self._new(f"{o}.float") for o in node.outputs)
        self._emit(rewired(node, inputs=inputs, outputs=made, metadata=metadata))
        for output, real in zip(node.outputs, made, strict=True):
            if output in self.before_clamp:
                self.reals[output] = real
            else:
                self._quantize(output, real)

    def _on_codes(self, node: OnnxNode) -> None:
        output, source = node.outputs[0], self.codes[node.inputs[0]]
        exponent = self.assignment.exponents[output]
        if node.op == "Clip":
            low, high = (_int8(self._number(node, i, b), exponent) for i, b in ((1, -math.inf), (2, math.inf)))
            inputs = [source, self._constant(f"{output}.low", low), self._constant(f"{output}.high", high)]
        elif node.op == "Pad":
            value = _int8(self._number(node, 2, 0.0), exponent)
            inputs = [source, self._copied(node.inputs[1]), self._constant(f"{output}.value", value)]
            inputs += [self._copied(name) for name in node.inputs[3:]]
        else:
            inputs = [source]
        self.codes[output] = self._name_of_codes(output)
        self._emit(rewired(node, inputs=tuple(inputs), outputs=(self.codes[output],)))
        self._dequantize_where_read(output)

    def _operand(self, node: OnnxNode, position: int) -> str:
        """The name under which the quantized model's node reads the float node's input."""
        name = node.inputs[position]
        if name not in self.graph.constants:
            return self.reals[name] if name else ""
        if node.name in self.assignment.biases and position == 2:
            return self._bias(node)
        return self._coded_constant(name) if name in self.assignment.exponents else self._copied(name)

    def _coded_constant(self, name: str) -> str:
        if name not in self.reals:
            bits = self.assignment.bits[name]
            value = quantize(self.graph.constants[name], self.assignment.exponents[name], bits).astype(_stored(bits))
            self.codes[name] = self._constant(f"{name}.codes", value)
            self.reals[name] = self._dequantize(name, self._new(f"{name}.dequantized"))
        return self.reals[name]

    def _bias(self, node: OnnxNode) -> str:
        name, bias = node.inputs[2], self.assignment.biases[node.name]
        product = sum(self.assignment.exponents[operand] for operand in node.inputs[:2])
        inputs = (self._constant(f"{name}.codes", bias.aligned), self._scale(product))
        real = self._new(f"{name}.dequantized")
        self._emit(OnnxNode(f"{node.name}.bias.dequantize", "DequantizeLinear", "", inputs, (real,), {}, {}))
        return real

    def _quantize(self, name: str, real: str) -> None:
        """real -> codes -> reals again, where anything reads them."""
        bits = self.assignment.bits[name]
        self.codes[name] = self._name_of_codes(name)
        made = self.codes[name] if bits in STORED else self._new(f"{name}.unclipped")
        inputs = (real, *self._format(name))
        self._emit(OnnxNode(f"{name}.quantize", "QuantizeLinear", "", inputs, (made,), {}, {}))
        if bits not in STORED:
            low, high = (np.array(bound, _stored(bits)) for bound in (-(1 << (bits - 1)), (1 << (bits - 1)) - 1))
            bounds = self._constant(f"{name}.low", low), self._constant(f"{name}.high", high)
            self._emit(OnnxNode(f"{name}.clip", "Clip", "", (made, *bounds), (self.codes[name],), {}, {}))
        self._dequantize_where_read(name)

    def _dequantize_where_read(self, name: str) -> None:
        readers = self.graph.consumers(name)
        if name in self.graph.outputs or any(r.op not in ON_CODES or self.assignment.bits[name] != 8 for r in readers):
            self.reals[name] = self._dequantize(name, self._name_of_reals(name))

    def _name_of_codes(self, name: str) -> str:
        return self._new(f"{name}.codes") if self.outputs is None or name == self.graph.input else name

    def _name_of_reals(self, name: str) -> str:
        if name == self.graph.input:
            return self._new(f"{name}.dequantized")
        if self.outputs is None:
            return name
        return self.outputs.get(name) or self._new(f"{name}.real")

    def _dequantize(self, name: str, real: str) -> str:
        inputs = (self.codes[name], *self._format(name))
        self._emit(OnnxNode(f"{name}.dequantize", "DequantizeLinear", "", inputs, (real,), {}, {}))
        return real

    def _format(self, name: str) -> tuple[str, str]:
        """The constants that hold a tensor's scale and zero point."""
        width = container(self.assignment.bits[name])
        if width not in self.zeros:
            self.zeros[width] = self._constant("zero_point", np.zeros((), _stored(width)))
        return self._scale(self.assignment.exponents[name]), self.zeros[width]

    def _scale(self, exponent: int) -> str:
        if exponent not in self.scales:
            value = np.array(math.ldexp(1.0, exponent), np.float32)
            self.scales[exponent] = self._constant(f"scale.2**{exponent}", value)
        return self.scales[exponent]

    def _number(self, node: OnnxNode, position: int, default: float) -> float:
        """A scalar parameter of a node; the default where it is absent."""
        name = node.inputs[position] if len(node.inputs) > position else ""
        return float(self.graph.constants[name].reshape(-1)[0]) if name else default

    def _copied(self, name: str) -> str:
        """A constant that keeps its name and value."""
        if name:
            self.constants[name] = self.graph.constants[name]
        return name

    def _constant(self, wanted: str, value: Array) -> str:
        name = self._new(wanted)
        self.constants[name] = value
        return name

    def _new(self, wanted: str) -> str:
        name = free_name(wanted, self.taken)
        self.taken.add(name)
        return name

    def _emit(self, node: OnnxNode) -> None:
        self.nodes.append(node)


def _stored(bits: int) -> np.dtype[Any]:
    """The NumPy dtype of codes of that many bits."""
    return helper.tensor_dtype_to_np_dtype(STORED[container(bits)])


def _int8(bound: float, exponent: int) -> Array:
    """A bound's code as the operand of an int8 op."""
    return np.array(bound_code(bound, exponent, 8), np.int8)
