"""intsim ranges: how many bits each accumulator needs, by formats, by proof, and in a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intsim.cli.arrays import Array, read_inputs
from intsim.cli.options import (
    json_option,
    model_argument,
    preprocess_option,
    print_json,
    target_option,
    threads_option,
    title,
)
from intsim.cli.terminal import heading, progress, say, table

if TYPE_CHECKING:
    from intsim.model import Model

ROUNDED = 0.5
"""The error, in LSB of the accumulator, that any bias may have from rounding to an integer."""

NARROWEST = 8
"""The bits of the narrowest accumulator that a target can declare."""

IMAGES = 16
"""Images whose accumulators are held at a time."""


@click.command("ranges")
@model_argument
@click.option("--input", "inputs", multiple=True, metavar="[NAME=]X.npy|DIR", help="Also observe a run on this input.")
@preprocess_option
@target_option
@threads_option
@json_option
def command(
    model: str, inputs: tuple[str, ...], preprocess: str | None, target: str, threads: int | None, as_json: bool
) -> int:
    """Accumulator bits of every layer of MODEL: declared; worst case, by the formats; proved; observed.

    Worst case: with any weights that their format allows. Proved: with these weights no input needs more. Both count
    the bias.
    """
    from intsim.model import load

    loaded = load(model, target)
    observed: dict[str, tuple[int, int, int]] = {}
    if inputs or preprocess is not None:
        arrays, _ = read_inputs(inputs, loaded.graph, preprocess)
        observed = observe(loaded, arrays, threads)
    rows = [_row(loaded, name, observed) for name in loaded.bounds]
    if as_json:
        print_json({"model": Path(model).name, "target": loaded.target.name, "layers": rows})
        return 0
    heading(f"{title(model, loaded, target)}: bits of the accumulators")
    keys = ("name", "op", "declared", "worst_case", "proved", "smallest_safe", "observed", "low", "high", "overflows")
    cells = [[f"{row[k]:,}" if isinstance(row[k], int) else row[k] for k in keys] for row in rows]
    headers = [key.replace("_", " ") for key in keys]
    table(
        ["tensor", *headers[1:]],
        cells,
        right=headers[2:],
        fold=("tensor",),
        style=lambda i: "red" if rows[i]["overflows"] else "yellow" if not rows[i]["cannot_overflow"] else "",
    )
    say()
    for what in ("tree", "spill"):
        limited = [row for row in rows if row[what] is not None]
        if limited:
            each = ", ".join(f"{row['name']} {row[what]['proved']}/{row[what]['declared']}" for row in limited)
            say(f"{what}, bits proved and declared: {each}")
    costly = [row for row in rows if row["bias_error"] is not None and row["bias_error"] > ROUNDED]
    if costly:
        each = ", ".join(f"{row['name']} {row['bias_error']:g}" for row in costly)
        say(f"bias, shifted left; LSB of the accumulator that it may be off: {each}")
    can = [row["name"] for row in rows if not row["cannot_overflow"]]
    if can:
        say(f"can overflow ({loaded.target.overflow}): {', '.join(can)}", "bold yellow")
    else:
        say("no input can overflow any of them", "bold green")
    return 0


def observe(model: Model, inputs: Mapping[str, Array], threads: int | None) -> dict[str, tuple[int, int, int]]:
    """By tensor: the least and the greatest accumulator of a run, and how many sums left it."""
    found: dict[str, tuple[int, int, int]] = {}
    arrays = model.named_inputs(inputs)
    images = len(next(iter(arrays.values())))
    step = model.batch or IMAGES
    with progress("observing") as advance:
        for first in range(0, images, step):
            chunk = {name: x[first : first + step] for name, x in arrays.items()}
            result = model.run(chunk, taps=["accumulator"], threads=threads)
            for name, tap in result.taps.items():
                assert tap.accumulator is not None, "the tap asks for it"
                low, high = int(tap.accumulator.min()), int(tap.accumulator.max())
                before = found.get(name, (low, high, 0))
                count = before[2] + result.overflows.get(name, 0)
                found[name] = (min(before[0], low), max(before[1], high), count)
            advance(min(first + step, images), images)
    return found


def _row(model: Model, layer_name: str, observed: Mapping[str, tuple[int, int, int]]) -> dict[str, Any]:
    from intsim.lowering.accumulator import bias_cost
    from intsim.ranges.bounds import signed_bits
    from intsim.ranges.prove import worst_case_bits

    layer = next(layer for layer in model.lowered.layers if layer.name == layer_name)
    tensor = next(name for name, accumulator in model.lowered.accumulators.items() if accumulator == layer.outputs[0])
    bounds = model.bounds[layer_name]
    cost = bias_cost(model.lowered, layer)
    low, high, overflows = observed.get(tensor, (None, None, None))
    return {
        "name": tensor,
        "node": layer.node,
        "op": layer.op,
        "declared": bounds.declared_bits,
        "worst_case": worst_case_bits(model.lowered, layer),
        "proved": bounds.needed_bits,
        "proved_by_channel": list(bounds.bits),
        "smallest_safe": max(bounds.needed_bits, NARROWEST),
        "proved_low": min(bounds.low),
        "proved_high": max(bounds.high),
        "observed": None if low is None or high is None else signed_bits(low, high),
        "low": low,
        "high": high,
        "overflows": overflows,
        "tree": None if bounds.tree_bits is None else {"declared": bounds.tree_declared, "proved": bounds.tree_bits},
        "spill": None
        if bounds.spill_bits is None
        else {"declared": bounds.spill_declared, "proved": bounds.spill_bits},
        "cannot_overflow": bounds.cannot_overflow,
        "bias_shift": None if cost is None else cost[0],
        "bias_error": None if cost is None else cost[1],
    }
