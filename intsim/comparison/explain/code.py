"""Codes from one code: tables, clamps, copies."""

from __future__ import annotations

from intsim.comparison.explain.elements import Elements, parameter
from intsim.comparison.explain.explanation import Coordinate, Line, Step
from intsim.formats import round_quotient
from intsim.lowering.lowered import Layer


def explain_table(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = table[x - low], or table[c, x - low] with c the index on `axis`."""
    table, low = layer.parameters["table"], int(layer.parameters["low"])
    code = elements.code(layer.inputs[0], at)
    row = (at[layer.parameters["axis"]],) if table.ndim == 2 else ()
    value = int(table[(*row, code - low)])
    where = f"[{', '.join(map(str, (*row, code - low)))}]"
    return _step(elements, layer, at, Line("code", value, f"table{where}, the entry of code {code}"))


def explain_clip(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = min(max(x, low), high), on codes."""
    low, high = int(layer.parameters["low"]), int(layer.parameters["high"])
    code = elements.code(layer.inputs[0], at)
    value = min(max(code, low), high)
    return _step(
        elements, layer, at, Line("code", value, f"{'within' if value == code else 'clamped to'} {low}…{high}")
    )


def explain_leaky_relu(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = x, below zero round(x * slope / 2**shift), clipped to the accumulator."""
    acc, slope = elements.code(layer.inputs[0], at), parameter(layer, "slope", at)
    shift, rule, bits = (layer.parameters[key] for key in ("shift", "rounding", "width"))
    rounded = acc if acc >= 0 else round_quotient(acc * slope, 1 << shift, rule)
    value = min(max(rounded, -(1 << (bits - 1))), (1 << (bits - 1)) - 1)
    how = "not below zero: unchanged" if acc >= 0 else f"{rule}({acc} * {slope} / 2**{shift})"
    how += "" if value == rounded else f", clipped to {bits} bits"
    return _step(elements, layer, at, Line("accumulator", value, how))


def explain_copy(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = x."""
    return _step(elements, layer, at, Line("code", elements.code(layer.inputs[0], at), "copied"))


def _step(elements: Elements, layer: Layer, at: Coordinate, line: Line) -> Step:
    name = layer.outputs[0]
    read = elements.read(layer.inputs[0], at)
    return Step(name, layer.op, elements.place(name, at), line.value, (read,), (), (line,))
