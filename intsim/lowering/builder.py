"""The Lowered under construction: the layers so far, and the values they make."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.errors import UnsupportedOp
from intsim.formats import Format
from intsim.graph import Graph, Node
from intsim.lowering.lowered import Layer, Lowered
from intsim.target import Target


class LayerBuilder:
    """Collects layers in topological order; every family's lowering writes through it."""

    def __init__(self, graph: Graph, target: Target) -> None:
        self.graph = graph
        self.target = target
        self.layers: list[Layer] = []
        self.values: dict[str, Format | None] = {}
        self.accumulators: dict[str, str] = {}
        for name in graph.inputs:
            self.values[name] = graph.format(name)

    def emit(
        self,
        op: str,
        inputs: tuple[str, ...],
        output: str,
        format: Format | None,
        node: Node,
        *,
        exact: bool = True,
        note: str = "",
        **parameters: Any,
    ) -> str:
        """Add the layer output = spec.op(*inputs, **parameters); the output's name."""
        self.values[output] = format
        frozen = {k: _frozen(v) for k, v in parameters.items()}
        self.layers.append(Layer(output, op, inputs, (output,), frozen, node.name, exact, note))
        return output

    def operand(self, name: str, node: Node) -> str:
        """The value of an operand that may be a constant; a constant becomes a layer once."""
        if name in self.graph.constants and name not in self.values:
            self.emit("constant", (), name, self.graph.format(name), node, value=self.graph.constants[name])
        return name

    def real(self, name: str, node: Node) -> str:
        """The float32 reals of an operand: itself, or the dequantized codes (made once)."""
        self.operand(name, node)
        format = self.values[name]
        if format is None:
            return name
        output = f"{name}#real"
        if output not in self.values and format.levels is not None:
            self.emit("constant", (), output, None, node, value=format.real(self.graph.constants[name]))
        if output not in self.values:
            self.dequantize(name, output, format, node)
        return output

    def dequantize(self, codes: str, output: str, format: Format, node: Node, **kwargs: Any) -> str:
        """Add output = float32(codes - zero_point) * scale."""
        return self.emit(
            "dequantize_float32",
            (codes,),
            output,
            None,
            node,
            scale=format.scales if format.per_channel else np.float32(format.scale[0]),
            zero_point=channels(format.zero_point),
            axis=axis_of(format),
            **kwargs,
        )

    def coded(self, name: str, node: Node) -> Format:
        """The Format of an operand; UnsupportedOp names the node if it is a real."""
        format = self.graph.format(name)
        if format is None:
            raise half_quantized(node, name, self.target)
        return format

    def done(self, inputs: dict[str, str], outputs: dict[str, str]) -> Lowered:
        """The finished Lowered."""
        return Lowered(self.graph, self.target, tuple(self.layers), self.values, inputs, outputs, self.accumulators)


def half_quantized(node: Node, name: str, target: Target) -> UnsupportedOp:
    """The error for a node that would have to compute in float under a target without float islands."""
    return UnsupportedOp(
        f"node {node.name!r} ({node.op}): tensor {name!r} is not quantized, so the node would run in float, which "
        f"target {target.name!r} does not; quantize that tensor, or use --target onnxruntime"
    )


def channels(values: tuple[int, ...]) -> int | np.ndarray[Any, np.dtype[np.int64]]:
    """One integer, or int64[channels]: the shape in which parameters travel."""
    return values[0] if len(values) == 1 else np.array(values, np.int64)


def axis_of(format: Format) -> int:
    """The channel axis of a format, 1 where there is none."""
    return 1 if format.axis is None else format.axis


def output_parameters(format: Format) -> dict[str, Any]:
    """The output parameters that a requantizing spec function takes."""
    return {**plain_output_parameters(format), "narrow": format.narrow}


def plain_output_parameters(format: Format) -> dict[str, Any]:
    """The output parameters of ONNX Runtime's float32 kernels, which know no narrow range."""
    return {"zero_point": channels(format.zero_point), "bits": format.bits, "signed": format.signed}


def _frozen(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = np.ascontiguousarray(value)
        value.flags.writeable = False
    return value
