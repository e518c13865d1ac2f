"""explain: the steps of one element, each checked against the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim.comparison.explain import code, elementwise, mac, movement, multiplied, pooling, requantize
from intsim.comparison.explain.elements import Elements
from intsim.comparison.explain.explanation import Coordinate, Explanation, Step
from intsim.errors import UnsupportedOp, UnusableInput
from intsim.islands.environment import standard_floats
from intsim.lowering.lowered import Layer, Lowered
from intsim.lowering.movement import MOVEMENT_LAYERS
from intsim.run.batches import cut, divide
from intsim.run.inputs import values_of

if TYPE_CHECKING:
    from intsim.model import Model

Array = np.ndarray[Any, Any]
Explainer = Callable[[Elements, Layer, Coordinate], Step]

EXPLAINERS: Mapping[str, Explainer] = {
    "conv": mac.explain_conv,
    "post_conv": mac.explain_conv,
    "matmul": mac.explain_matmul,
    "post_matmul": mac.explain_matmul,
    "requantize": requantize.explain_requantize,
    "requantize_float32": requantize.explain_requantize_float32,
    "quantize": requantize.explain_quantize,
    "quantize_float32": requantize.explain_quantize_float32,
    "dequantize_float32": requantize.explain_dequantize_float32,
    "add": elementwise.explain_add,
    "sub": elementwise.explain_add,
    "mul": elementwise.explain_mul,
    "add_float32": elementwise.explain_add_float32,
    "mul_float32": elementwise.explain_mul_float32,
    "average_pool": pooling.explain_average_pool,
    "average_pool_float32": pooling.explain_average_pool_float32,
    "reduce_mean": pooling.explain_reduce_mean,
    "reduce_mean_float32": pooling.explain_reduce_mean_float32,
    "add_quotient": elementwise.explain_add_quotient,
    "average_pool_quotient": pooling.explain_average_pool_quotient,
    "reduce_sum": pooling.explain_reduce_sum,
    "reduce_mean_xnnpack": pooling.explain_reduce_mean_xnnpack,
    "requantize_quotient": multiplied.explain_quotient,
    **dict.fromkeys(multiplied.STEPS, multiplied.explain_multiplied),
    "table": code.explain_table,
    "clip": code.explain_clip,
    "leaky_relu": code.explain_leaky_relu,
    "copy": code.explain_copy,
    "concat": movement.explain_concat,
    **dict.fromkeys(MOVEMENT_LAYERS, movement.explain_movement),
    "max_pool": pooling.explain_max_pool,
    "reduce_max": pooling.explain_reduce_max,
}
"""Layer op -> the function that explains one of its elements."""


@standard_floats()
def explain(
    model: Model, x: Array | Mapping[str, Array], tensor: str, index: Coordinate, threads: int | None = None
) -> Explanation:
    """How the element `index` of a tensor comes about, from the inputs of its node on.

    tensor: the name of a quantized tensor, of the node that makes it, of a graph output, or `<tensor>#accumulator`.
    index: one number an axis, the image first. Every step is computed in Python integers (or single float32 operations,
    where the target has them) and compared with what the engine computed.
    Errors: UnusableInput for an unknown tensor or an index outside it, UnsupportedOp for float arithmetic.
    """
    lowered = model.lowered
    name = find_tensor(lowered, tensor)
    inputs = values_of(lowered, model.named_inputs(x))
    layers = own_layers(lowered, name, frozenset(inputs))
    division = divide(lowered, inputs)
    parts = list(cut(division, inputs, {}, 1))
    rows = len(_run(model, parts[0].inputs, layers, name, threads)[name])
    part = index[0] // rows if index and rows else 0
    if not 0 <= part < len(parts):
        raise UnusableInput(f"index {_text(index)}: tensor {tensor!r} has {len(parts) * rows} rows on its first axis")
    arrays = _run(model, parts[part].inputs, layers, name, threads)
    at = (index[0] - part * rows, *index[1:]) if index else ()
    _check_index(tensor, index, at, arrays[name].shape)
    trace = _Trace(arrays, frozenset(_constants(lowered)), part, layers)
    value = trace.elements.code(name, at)
    layer, format = layers.get(name), lowered.values[name]
    assert format is not None, "find_tensor gives tensors of codes"
    node = "" if layer is None else layer.node
    op = next((n.op for n in lowered.graph.nodes if n.name == node), "")
    return Explanation(name, index, model.target.name, node, op, format, value, tuple(trace.steps.values()))


class _Trace:
    """The steps that lead to an element, each made when a later one reads its result: in order of computation."""

    def __init__(
        self, arrays: Mapping[str, Array], constants: frozenset[str], part: int, layers: Mapping[str, Layer]
    ) -> None:
        self.steps: dict[tuple[str, Coordinate], Step] = {}
        self.elements = Elements(arrays, constants, part, frozenset(layers), self._value)
        self._arrays, self._layers = arrays, layers

    def _value(self, name: str, at: Coordinate) -> int | float:
        if (name, at) not in self.steps:
            layer = self._layers[name]
            step = EXPLAINERS[layer.op](self.elements, layer, at)
            engine = int(self._arrays[name][at]) if name in self._arrays else None
            self.steps[name, at] = replace(step, engine=engine)
        return self.steps[name, at].value


def find_tensor(lowered: Lowered, tensor: str) -> str:
    """The value that a user's tensor name means. Errors: UnusableInput for an unknown one, UnsupportedOp for reals."""
    name = lowered.outputs.get(tensor, lowered.inputs.get(tensor, tensor))
    name = lowered.find_value(name, "tensor")
    if lowered.values[name] is None:
        raise UnsupportedOp(f"tensor {tensor!r} holds reals, not codes, so it has no integer steps; take another one")
    return name


def own_layers(lowered: Lowered, name: str, given: frozenset[str]) -> dict[str, Layer]:
    """By the value that each makes: the layers from the inputs of the tensor's node to the tensor; none if it is given.

    Errors: UnsupportedOp where float arithmetic without integer steps lies among them.
    """
    layer = None if name in given else lowered.producer(name)
    if layer is None or layer.op == "constant":
        return {}
    if layer.op == "island":
        raise UnsupportedOp(
            f"node {layer.node!r}: the target computes it in float32 ({layer.note or layer.op}), so there are no "
            f"integer steps to explain"
        )
    if layer.op not in EXPLAINERS:
        raise UnsupportedOp(f"node {layer.node!r}: nothing here explains a {layer.op}; take a tensor before it")
    found: dict[str, Layer] = {}
    for read in layer.inputs:
        if read not in lowered.graph.values:
            found.update(own_layers(lowered, read, given))
        elif lowered.values.get(read, 0) is None and read not in given:
            raise UnsupportedOp(
                f"node {layer.node!r}: tensor {name!r} is made from {read!r}, which the target computes in float32; "
                f"there are no integer steps to explain"
            )
    return {**found, name: layer}


def _run(
    model: Model, inputs: Mapping[str, Array], layers: Mapping[str, Layer], name: str, threads: int | None
) -> dict[str, Array]:
    """The engine's values that the layers read and make, constants included."""
    lowered = model.lowered
    wanted = {name, *layers, *(read for layer in layers.values() for read in layer.inputs)}
    constants = _constants(lowered)
    taps = [f"codes@{n}" for n in sorted(wanted) if lowered.values.get(n) is not None and n not in constants]
    given = {n: inputs[v] for n in lowered.inputs for v in (n, lowered.inputs[n]) if v in inputs}
    result = model.run(given, taps=taps, threads=threads)
    codes = {n: tap.codes for n, tap in result.taps.items() if tap.codes is not None}
    return {**constants, **inputs, **codes}


def _check_index(tensor: str, index: Coordinate, at: Coordinate, shape: tuple[int, ...]) -> None:
    inside = len(at) == len(shape) and all(0 <= i < length for i, length in zip(at, shape, strict=True))
    if not inside:
        axes = ", ".join(["N", *map(str, shape[1:])])
        raise UnusableInput(f"index {_text(index)}: must be inside the shape [{axes}] of tensor {tensor!r}")


def _text(index: Coordinate) -> str:
    return ",".join(map(str, index))


def _constants(lowered: Lowered) -> dict[str, Array]:
    made = {layer.outputs[0]: layer.parameters["value"] for layer in lowered.layers if layer.op == "constant"}
    return {**lowered.graph.constants, **made}
