"""intsim inspect: what each layer of a model computes on a target."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from intsim.cli.options import json_option, model_argument, print_json, show, target_option


@click.command("inspect")
@model_argument
@target_option
@json_option
def command(model: str, target: str, as_json: bool) -> int:
    """Every layer of MODEL: op, formats, shift (OTP) or multiplier, accumulator bits needed and declared, kernel."""
    import intsim

    loaded = intsim.load(model, target=target)
    rows = layer_rows(loaded)
    tail = [row["name"] for row in rows if row["note"].startswith("float tail")]
    document = {
        "model": loaded.graph.name,
        "digest": loaded.graph.digest,
        "target": loaded.target.to_dict(),
        "inputs": [_value(loaded, name) for name in loaded.graph.inputs],
        "outputs": [_value(loaded, name) for name in loaded.graph.outputs],
        "float_tail": tail,
        "layers": rows,
    }
    if as_json:
        print_json(document)
        return 0
    from rich.table import Table

    table = Table(title=f"{loaded.graph.name or model}, target {loaded.target.name}", title_justify="left")
    for header in ("layer", "op", "format", "requantize", "bits needed", "declared", "kernel", "note"):
        table.add_column(
            header, overflow="fold", justify="right" if "bits" in header or header == "declared" else "left"
        )
    for row in rows:
        cells = ("name", "op", "format", "requantize", "bits_needed", "bits_declared", "kernel", "note")
        table.add_row(*("" if row[c] is None else str(row[c]) for c in cells))
    show(table)
    if tail:
        show(f"float tail (not integers): {', '.join(tail)}")
    return 0


def layer_rows(model: Any) -> list[dict[str, Any]]:
    """One dict a layer, in topological order."""
    choices = {choice.layer.name: choice for choice in model.plan.choices}
    rows = []
    for layer in model.lowered.layers:
        if layer.op == "constant":
            continue
        choice = choices[layer.name]
        bounds = model.bounds.get(layer.name)
        format = model.lowered.values[layer.outputs[0]]
        rows.append(
            {
                "name": layer.name,
                "node": layer.node,
                "op": layer.op,
                "format": "float32" if format is None else str(format),
                "requantize": requantization(layer.parameters),
                "bits_needed": None if bounds is None else bounds.needed_bits,
                "bits_declared": None if bounds is None else bounds.declared_bits,
                "kernel": choice.kernel,
                "reason": choice.reason,
                "exact": layer.exact,
                "note": layer.note,
            }
        )
    return rows


def requantization(parameters: Any) -> str:
    """The shift (OTP) or the float32 multiplier of a layer, in words; "" where there is none."""
    if "shift" in parameters:
        return f"OTP {_span(parameters['shift'])} {parameters['rounding']}"
    for key in ("multiplier", "ratio"):
        if key in parameters:
            return f"x {_span(parameters[key])} half_even"
    if "a_ratio" in parameters:
        return f"x {_span(parameters['a_ratio'])}, {_span(parameters['b_ratio'])} half_even"
    return ""


def _span(value: Any) -> str:
    values = np.unique(np.atleast_1d(value))
    texts = [f"{v:.6g}" for v in values[[0, -1]]]
    return texts[0] if len(values) == 1 else f"{texts[0]}…{texts[1]}"


def _value(model: Any, name: str) -> dict[str, Any]:
    coded = model.lowered.outputs.get(name) or model.lowered.inputs.get(name) or name
    format = model.lowered.values.get(coded)
    return {
        "name": name,
        "shape": list(model.graph.values[name].shape),
        "format": None if format is None else format.to_dict(),
    }
