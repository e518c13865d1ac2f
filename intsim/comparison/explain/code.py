"""Codes from one code: tables, clamps, copies."""

from __future__ import annotations

from intsim.comparison.explain.elements import Elements
from intsim.comparison.explain.explanation import Coordinate, Line, Step
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


def explain_copy(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = x."""
    return _step(elements, layer, at, Line("code", elements.code(layer.inputs[0], at), "copied"))


def _step(elements: Elements, layer: Layer, at: Coordinate, line: Line) -> Step:
    name = layer.outputs[0]
    read = elements.read(layer.inputs[0], at)
    return Step(name, layer.op, elements.place(name, at), line.value, (read,), (), (line,))
