"""A float network taken apart into plain nodes and arrays, for the passes that rewrite it, and back into ONNX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from intsim.errors import MalformedGraph
from intsim.importers.onnx.onnx_node import OnnxNode

Array = np.ndarray[Any, Any]
Shape = tuple[int | str | None, ...]


@dataclass
class FloatGraph:
    """A float network with one real input; nodes in topological order.

    input_shape: lengths, or the name of an unknown one. constants: by name, any dtype. shapes: of the values that
    nodes make, as far as known; None for the batch and other lengths that are not fixed.
    """

    name: str
    opset: int
    input: str
    input_shape: Shape
    outputs: tuple[str, ...]
    nodes: list[OnnxNode]
    constants: dict[str, Array]
    metadata: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=dict)

    def producer(self, name: str) -> OnnxNode | None:
        """The node that makes `name`, None for the input and constants."""
        return next((node for node in self.nodes if name in node.outputs), None)

    def consumers(self, name: str) -> list[OnnxNode]:
        """The nodes that read `name`, in topological order."""
        return [node for node in self.nodes if name in node.inputs]

    def only_consumer(self, name: str) -> OnnxNode | None:
        """The node that alone reads `name`; None where there are others, or `name` is an output of the graph."""
        found = self.consumers(name)
        return found[0] if len(found) == 1 and name not in self.outputs else None

    def rank(self, name: str) -> int | None:
        """The number of axes of a value, None where it is not known."""
        if name in self.constants:
            return self.constants[name].ndim
        if name == self.input:
            return len(self.input_shape)
        return len(self.shapes[name]) if name in self.shapes else None

    def add_constant(self, wanted: str, value: Array) -> str:
        """The name of a new constant: `wanted`, or `wanted` and a number where that is taken."""
        taken = {self.input, *self.constants, *(o for node in self.nodes for o in node.outputs)}
        name = free_name(wanted, taken)
        self.constants[name] = value
        return name

    def own_constant(self, node: OnnxNode, position: int, what: str, value: Array) -> str:
        """The name of a float32 constant for a node to read: the one it has there, where nobody else reads that."""
        name = node.inputs[position] if len(node.inputs) > position else ""
        if not name or self.only_consumer(name) is not node:
            return self.add_constant(f"{node.name}.{what}", value.astype(np.float32))
        self.constants[name] = value.astype(np.float32)
        return name

    def replace(self, old: OnnxNode, *new: OnnxNode) -> None:
        """Put nodes in the place of one."""
        at = next(i for i, node in enumerate(self.nodes) if node is old)
        self.nodes[at : at + 1] = new

    def remove_unused(self) -> None:
        """Drop the nodes and constants from which no output of the graph follows."""
        wanted, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            if wanted.intersection(node.outputs):
                kept.append(node)
                wanted.update(node.inputs)
        self.nodes = kept[::-1]
        self.constants = {name: value for name, value in self.constants.items() if name in wanted}

    def to_model(self, outputs: Sequence[str] | None = None) -> onnx.ModelProto:
        """The float ONNX model, with these values as its outputs. Errors: MalformedGraph."""
        nodes = [node_proto(node) for node in self.nodes]
        constants = [tensor(name, value) for name, value in self.constants.items()]
        return build_model(self, nodes, constants, self.outputs if outputs is None else outputs)


def rewired(node: OnnxNode, **changes: Any) -> OnnxNode:
    """The node with other inputs, outputs, op or attributes."""
    return replace(node, **changes)


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """`wanted`, or `wanted` and the first number that makes a name which is not taken."""
    taken, name, number = set(taken), wanted, 0
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def build_model(
    graph: FloatGraph,
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """A model with the graph's input, opset and metadata around other nodes, its shapes inferred.

    Errors: MalformedGraph with ONNX's own reason.
    """
    source = helper.make_tensor_value_info(graph.input, TensorProto.FLOAT, list(graph.input_shape))
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    made = helper.make_graph(nodes, graph.name or "graph", [source], results, constants)
    opset = helper.make_opsetid("", graph.opset)
    model = helper.make_model(made, opset_imports=[opset], producer_name="intsim")
    # Nodes have metadata since IR version 10.
    model.ir_version = max(10, helper.find_min_ir_version_for([opset]))
    helper.set_model_props(model, dict(graph.metadata))
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        raise MalformedGraph(f"the model's shapes do not fit together: {first_line(error)}") from error


def node_proto(node: OnnxNode) -> onnx.NodeProto:
    """The node as ONNX writes it."""
    proto = helper.make_node(node.op, list(node.inputs), list(node.outputs), name=node.name, domain=node.domain)
    for name, value in node.attributes.items():
        if isinstance(value, tuple) and value and isinstance(value[0], np.ndarray):  # with its element type
            proto.attribute.append(helper.make_attribute(name, numpy_helper.from_array(value[0])))
        else:
            kind = onnx.AttributeProto.INTS if value == () else None
            proto.attribute.append(helper.make_attribute(name, value, attr_type=kind))
    helper.set_metadata_props(proto, dict(node.metadata))
    return proto


def tensor(name: str, value: Array) -> TensorProto:
    """An initializer."""
    return numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)


def first_line(error: Exception) -> str:
    """The first line of a message that may have many."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
