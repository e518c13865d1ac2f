"""intsim inspect: what each layer of a model computes on a target."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from intsim.cli.options import (
    json_option,
    model_argument,
    print_json,
    target_option,
    title,
    unused_threads_option,
)
from intsim.cli.terminal import heading, say, table
from intsim.lowering.formulas import formula, number

if TYPE_CHECKING:
    from intsim.model import Model

COLUMNS = ("tensor", "op", "format", "requantize", "bits", "kernel")
FLOAT_TAIL = "float tail"
"""How the notes of layers in the float tail begin."""


@click.command("inspect")
@model_argument
@target_option
@unused_threads_option
@json_option
def command(model: str, target: str, as_json: bool) -> int:
    """Every layer of MODEL: op, formats, shift (OTP) or multiplier, accumulator bits needed and declared, kernel."""
    from intsim.model import load

    loaded = load(model, target)
    layers, isa = layer_rows(loaded), loaded.isa
    tail = [row["name"] for row in layers if row["note"].startswith(FLOAT_TAIL)]
    if as_json:
        print_json(
            {
                "model": Path(model).name,
                "sha256": loaded.graph.digest,
                "target": loaded.target.name,
                "arithmetic": loaded.target.to_dict(),
                "isa": isa,
                "inputs": [_value(loaded, name, loaded.lowered.inputs) for name in loaded.graph.inputs],
                "outputs": [_value(loaded, name, loaded.lowered.outputs) for name in loaded.graph.outputs],
                "float_tail": tail,
                "unused_overrides": unused_overrides(loaded),
                "layers": layers,
            }
        )
        return 0
    heading(title(model, loaded, target))
    rows = node_rows(loaded, layers)
    for row in rows:
        row["kernel"] = row["kernel"].replace(f"_{isa}", "")
    table(COLUMNS, [[row[c] for c in COLUMNS] for row in rows], right=("bits",), fold=("tensor", "kernel"))
    say()
    say(f"{len(rows)} nodes; bits: what the accumulator needs, proved from the weights, and what the target declares.")
    for pattern in unused_overrides(loaded):
        say(f"The target's override of {pattern!r} matches no node.")
    say(f"kernels: those of {isa}; the environment variable INTSIM_ISA chooses others.")
    for why, tensors in refusals(loaded).items():
        say(f"in portable loops ({why}): {', '.join(tensors)}")
    say("What each layer adds up and rounds, before the clip to its format (acc: the value that it reads):")
    for row in layers:
        if row["formula"]:
            say(f"  {row['name']} = {row['formula']}")
    for note, tensors in notes(layers).items():
        say(f"{note}: {', '.join(tensors)}")
    return 0


def unused_overrides(model: Model) -> list[str]:
    """The patterns of the target's overrides that match no node's name."""
    names = [node.name for node in model.graph.nodes]
    patterns = dict.fromkeys(pattern for pattern, _, _ in model.target.overrides)
    return [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)]


def layer_rows(model: Model) -> list[dict[str, Any]]:
    """One dict a layer of the lowered network, in topological order: a MAC layer and its requantizer are two."""
    choices = {choice.layer.name: choice for choice in model.choices}
    rows = []
    for layer in model.lowered.layers:
        if layer.op == "constant":
            continue
        choice, bounds = choices[layer.name], model.bounds.get(layer.name)
        format = model.lowered.values[layer.outputs[0]]
        rows.append(
            {
                "name": layer.name,
                "node": layer.node,
                "op": layer.op,
                "format": "float32" if format is None else str(format),
                "requantize": requantization(layer.op, layer.parameters),
                "formula": formula(layer),
                "bits_needed": None if bounds is None else bounds.needed_bits,
                "bits_declared": None if bounds is None else bounds.declared_bits,
                "kernel": choice.kernel,
                "reason": choice.reason,
                "exact": layer.exact,
                "note": layer.note,
            }
        )
    return rows


def node_rows(model: Model, layers: list[dict[str, Any]]) -> list[dict[str, str]]:
    """One dict a node of the model: the layers that compute it, joined."""
    ops = {node.name: node.op for node in model.graph.nodes}
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in layers:
        groups.setdefault(row["node"], []).append(row)
    return [
        {
            "tensor": ", ".join(row["name"] for row in group if "#" not in row["name"]),
            "op": ops[node],
            "format": group[-1]["format"],
            "requantize": _joined([row for row in group if _is_last(row["name"])], "requantize"),
            "bits": "".join(f"{row['bits_needed']}/{row['bits_declared']}" for row in group if row["bits_needed"]),
            "kernel": _joined(group, "kernel"),
        }
        for node, group in groups.items()
    ]


def refusals(model: Model) -> dict[str, list[str]]:
    """Why layers run in portable loops where others have packed kernels, each with the tensors that it is about."""
    found: dict[str, list[str]] = {}
    for choice in model.choices:
        tensor = choice.layer.name.partition("#")[0]
        if choice.refused and tensor not in found.setdefault(choice.refused, []):
            found[choice.refused].append(tensor)
    return found


def notes(layers: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The notes on layers, each with the tensors that it is about."""
    found: dict[str, list[str]] = {}
    for row in layers:
        tensor = row["name"].partition("#")[0]
        if row["note"] and tensor not in found.setdefault(row["note"], []):
            found[row["note"]].append(tensor)
    return found


TIES = {"requantize_tflite_float64": "half_away", "requantize_xnnpack_rndnu": "half_up"}
"""The tie rules of the requantizers with a float multiplier that do not take ties to even."""


def requantization(op: str, parameters: Mapping[str, Any]) -> str:
    """The shift (OTP) or the multiplier of a layer, in words; "" where there is none."""
    if "shift" in parameters and "multiplier" in parameters:
        return f"x {_span(parameters['multiplier'])}, shift {_span(parameters['shift'])}"
    if "shift" in parameters:
        return f"OTP {_span(parameters['shift'])} {parameters['rounding']}"
    if op == "requantize_max7800x":
        return f"OTP {_span(7 - np.asarray(parameters['output_shift']))} half_up"
    if op == "requantize_nngen":
        return f"OTP {_span(parameters['out_shift'])} half_away"
    for key in ("multiplier", "ratio"):
        if key in parameters:
            return f"x {_span(parameters[key])} {TIES.get(op, 'half_even')}"
    if "a_ratio" in parameters:
        return f"x {_span(parameters['a_ratio'])}, x {_span(parameters['b_ratio'])} half_even"
    return ""


def _is_last(name: str) -> bool:
    """Whether a layer makes the codes of its node, and no step on the way to them."""
    return "#" not in name or name.endswith("#unclamped")


def _joined(group: list[dict[str, Any]], key: str) -> str:
    return ", ".join(dict.fromkeys(row[key] for row in group if row[key]))


def _span(value: Any) -> str:
    values = np.unique(np.atleast_1d(value))
    texts = [number(v) if values.dtype.kind in "iu" else f"{v:.6g}" for v in values[[0, -1]]]
    return texts[0] if len(values) == 1 else f"{texts[0]}…{texts[1]}"


def _value(model: Model, name: str, coded: Mapping[str, str]) -> dict[str, Any]:
    """A graph input or output: name, shape (null: any length), the tensor that holds its codes, and their format."""
    format = model.lowered.values.get(coded[name])
    return {
        "name": name,
        "shape": list(model.graph.values[name].shape),
        "codes": None if format is None else coded[name],
        "format": None if format is None else format.to_dict(),
    }
