"""GraphBuilder: what all op families share while a model becomes a Graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from intsim.errors import MalformedGraph
from intsim.formats import Format
from intsim.graph import Graph, Node, Value
from intsim.importers.onnx.model_file import ModelFile
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.tensors import CODE_TYPES, Array, ElementType
from intsim.ops import Length, Shape

LARGEST_CONSTANTS = 1 << 28
"""How many elements all computed constants may have: a file of a few bytes can ask for terabytes."""


@dataclass(frozen=True)
class Operand:
    """What an ONNX tensor is in the graph.

    name: of the value. shape: unknown lengths are strings. format: of its codes, None for reals.
    integer: the ONNX tensor holds the codes themselves; a real tensor with a format is their dequantized view.
    constant: the codes or reals, where they are known; for the result of a Shape the lengths, as objects.
    sources: the ONNX nodes that the view stands for.
    """

    name: str
    shape: Shape
    format: Format | None = None
    integer: bool = False
    constant: Array | None = None
    sources: tuple[str, ...] = ()

    @property
    def reals(self) -> Array | None:
        """A constant's reals, or its integers where the ONNX tensor holds integers; None for a variable."""
        if self.constant is None or self.integer or self.format is None:
            return self.constant
        return self.format.real(self.constant)


class GraphBuilder:
    """The graph so far, and what each ONNX tensor that was met is in it."""

    def __init__(self, model: ModelFile) -> None:
        self.model = model
        self.opset = model.opset
        self.operands: dict[str, Operand] = {}
        self.values: dict[str, Value] = {}
        self.constants: dict[str, Array] = {}
        self.nodes: list[Node] = []
        self.done: set[str] = set()
        self.raw_inputs: set[str] = set()
        self._budget = LARGEST_CONSTANTS
        self._taken: set[str] = set()
        self._readers: dict[str, list[OnnxNode]] = {}
        for node in model.nodes:
            for name in node.inputs if node.op != "Shape" else ():
                self._readers.setdefault(name, []).append(node)
        self.read = {*(i for n in model.nodes for i in n.inputs), *model.outputs}
        for name, (kind, array) in model.initializers.items():
            self.operands[name] = constant_operand(name, array, kind)
        for name, (kind, shape) in model.inputs.items():
            self._add_input(name, kind, shape)

    def _add_input(self, name: str, kind: ElementType, shape: Shape) -> None:
        format = raw_format(kind)
        if format is None and kind.name not in ("float32", "float16", "bfloat16"):
            raise MalformedGraph(
                f"input {name!r} of the graph: element type {kind.name}; supported: float32, {CODE_TYPES}"
            )
        if format is not None:
            self.raw_inputs.add(name)
        self.operands[name] = Operand(name, shape, format, integer=format is not None)
        self.add_value(name, shape, format)

    def free_name(self, name: str) -> str:
        """The name, with # after it where a tensor of the file has it."""
        while name in self.operands or name in self.read:
            name += "#"
        return name

    def add_value(self, name: str, shape: Shape, format: Format | None) -> None:
        """Declare a value of the graph."""
        self.values[name] = Value(name, tuple(n if isinstance(n, int) else None for n in shape), format)

    # What a node reads.

    def operand(self, node: OnnxNode, index: int, what: str) -> Operand:
        """The index-th input. Errors: MalformedGraph when it is absent."""
        found = self.optional(node, index)
        if found is None:
            raise node.malformed(f"input {index} ({what}) is missing")
        return found

    def optional(self, node: OnnxNode, index: int) -> Operand | None:
        """The index-th input, None where it is absent."""
        name = node.inputs[index] if index < len(node.inputs) else ""
        if name and name not in self.operands:
            raise node.unsupported(
                f"input {index} ({name!r}) is not known here: supported: constants, and first outputs of ops before it"
            )
        return self.operands[name] if name else None

    def data(self, node: OnnxNode, index: int, what: str) -> Operand:
        """The index-th input as network data: reals, or codes."""
        found = self.operand(node, index, what)
        if found.constant is not None and found.format is None and found.constant.dtype.kind != "f":
            raise node.unsupported(
                f"input {index} ({what}) is computed from shapes or indices; supported: reals and codes"
            )
        return found

    def reals(self, node: OnnxNode, index: int, what: str) -> Operand:
        """The index-th input as reals or their coded view: integer tensors are refused."""
        found = self.data(node, index, what)
        if found.integer:
            raise node.unsupported(
                f"input {index} ({what}) is an integer tensor; supported: reals between DequantizeLinear and "
                "QuantizeLinear, or the QLinear form of the op"
            )
        return found

    def known(self, node: OnnxNode, index: int, what: str) -> Array | None:
        """The values of the index-th input, which must be constant; None where it is absent."""
        found = self.optional(node, index)
        if found is None:
            return None
        values = found.reals
        if values is None or values.dtype == object:
            raise node.unsupported(
                f"input {index} ({what}, {node.inputs[index]!r}) must be a constant: an initializer, a Constant, or "
                "folded from those"
            )
        return values

    def integers(self, node: OnnxNode, index: int, attribute: str) -> tuple[int, ...] | None:
        """A list of integers that was an attribute in old opsets and is a constant input since; None if absent."""
        listed = node.integers(attribute)
        if listed is not None:
            return listed
        values = self.known(node, index, attribute)
        if values is None:
            return None
        if values.dtype.kind not in "iu" or values.ndim > 1:
            raise node.malformed(f"input {index} ({attribute}) must be a list of integers")
        return tuple(int(v) for v in values.reshape(-1))

    def real(self, node: OnnxNode, index: int, what: str, *, infinite: bool = False) -> float | None:
        """A constant scalar input as a float, no NaN; None where it is absent. infinite: whether it may be so."""
        values = self.known(node, index, what)
        if values is None:
            return None
        if values.size != 1 or values.dtype.kind not in "fiu":
            raise node.malformed(f"input {index} ({what}) must be one number, not of shape {values.shape}")
        return node.checked_real(float(values.reshape(-1)[0]), f"input {index} ({what})", infinite)

    # What a node makes.

    def add_node(
        self,
        op: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Mapping[str, Any],
        node: OnnxNode,
        sources: Sequence[str],
        name: str | None = None,
    ) -> None:
        """Append a node whose values are declared; a name that is taken gets the output's name after it."""
        while inputs and inputs[-1] == "":
            inputs = inputs[:-1]
        name = name or node.name
        if name in self._taken:
            name = f"{name}@{outputs[0]}"
        while name in self._taken:
            name += "@"
        self._taken.add(name)
        self.nodes.append(
            Node(name, op, tuple(inputs), tuple(outputs), dict(attributes), tuple(dict.fromkeys(sources)))
        )

    def use(self, operand: Operand, node: OnnxNode) -> str:
        """The name of the operand's value; a constant becomes one of the graph's."""
        if operand.constant is None:
            return operand.name
        array, name = operand.constant, operand.name
        if operand.format is None:
            array = float32_exactly(array, name, node)
        # One initializer may be read with several meanings; each is a constant of its own.
        while name in self.values and self.values[name].format != operand.format:
            name += "#"
        self.add_value(name, operand.shape, operand.format)
        array = np.ascontiguousarray(array).reshape(array.shape)
        array.flags.writeable = False
        self.constants[name] = array
        return name

    def dequantize(self, coded: Operand, tensor: str, node: OnnxNode, name: str | None = None) -> None:
        """Add the node that turns codes into the real tensor `tensor`, an output of the graph."""
        self.add_value(tensor, coded.shape, None)
        self.add_node("DequantizeLinear", [self.use(coded, node)], [tensor], {}, node, [node.name], name)

    def set_constant(self, tensor: str, values: Array, format: Format | None = None, integer: bool = False) -> None:
        """Say that an ONNX tensor is a constant. integer: it holds codes (or indices, where format is None)."""
        self.operands[tensor] = Operand(tensor, values.shape, format, integer, values)

    def spend(self, node: OnnxNode, elements: int) -> None:
        """Take memory for a computed constant. Errors: UnsupportedOp when all of them together are too large."""
        self._budget -= elements
        if self._budget < 0:
            raise node.unsupported(
                f"makes a constant of {elements} elements; supported: {LARGEST_CONSTANTS} in all that are computed"
            )

    def readers(self, tensor: str) -> list[OnnxNode]:
        """The nodes that read the tensor as data (not its shape), none where it is an output of the graph."""
        return [] if tensor in self.model.outputs else self._readers.get(tensor, [])

    def only_reader(self, tensor: str) -> OnnxNode | None:
        """The one node that reads the tensor, once, where it is no output of the graph."""
        readers = self.readers(tensor)
        return readers[0] if len(readers) == 1 else None

    def set_input_format(self, name: str, format: Format) -> None:
        """Say what the codes of an integer input of the graph mean: its first reader tells."""
        self.raw_inputs.discard(name)
        self.add_value(name, self.operands[name].shape, format)
        self.operands[name] = replace(self.operands[name], format=format)

    def graph(self) -> Graph:
        """The finished graph: nodes and values that no output needs are left out."""
        outputs = self.model.outputs
        needed, nodes = set(outputs), []
        for node in reversed(self.nodes):
            if any(o in needed for o in node.outputs):
                needed.update(i for i in node.inputs if i)
                needed.update(node.outputs)
                nodes.append(node)
        for name in outputs:
            if name not in self.values or name in self.constants:
                raise MalformedGraph(f"output {name!r} of the graph is a constant: nothing is computed")
        needed.update(self.model.inputs)
        return Graph(
            self.model.name,
            tuple(self.model.inputs),
            outputs,
            tuple(reversed(nodes)),
            {name: value for name, value in self.values.items() if name in needed},
            {name: array for name, array in self.constants.items() if name in needed},
            self.opset,
            self.model.metadata,
            self.model.digest,
        )


def raw_format(kind: ElementType) -> Format | None:
    """The Format of integers that no scale is known for; None for reals, and for indices (int64)."""
    return Format(kind.bits, kind.signed) if kind.integer and kind.bits <= 32 else None


def constant_operand(name: str, array: Array, kind: ElementType) -> Operand:
    """A constant tensor of the file."""
    return Operand(name, array.shape, raw_format(kind), kind.integer, array)


def named_lengths(shape: Shape, tensor: str) -> Shape:
    """The shape with a name for each unknown length, so that equal ones can be told."""
    names: list[Length] = [f"{tensor}#{i}" if n is None else n for i, n in enumerate(shape)]
    return tuple(names)


def float32_exactly(array: Array, name: str, node: OnnxNode) -> Array:
    """Real constants as float32. Errors: UnsupportedOp where float64 would be rounded, MalformedGraph on NaN."""
    if array.dtype.kind != "f":
        raise node.unsupported(f"constant {name!r} is {array.dtype}; supported: reals, and codes that have a scale")
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    if np.isnan(array).any():
        raise node.malformed(f"constant {name!r} holds NaN")
    if not np.array_equal(single, array):
        raise node.unsupported(f"constant {name!r} is float64 with values that float32 cannot hold")
    return single
