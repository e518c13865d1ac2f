"""intsim compare: a model against the spec, another target, ONNX Runtime, PyTorch or recorded codes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from intsim.cli.arrays import read_inputs
from intsim.cli.complete import complete_peer
from intsim.cli.options import (
    input_option,
    json_option,
    model_argument,
    preprocess_option,
    print_json,
    target_option,
    threads_option,
    title,
)
from intsim.cli.terminal import heading, note, progress, say, table, wide

if TYPE_CHECKING:
    from intsim.comparison import Comparison, TensorDifference

NARROW = ("tensor", "elements", "differ", "local", "LSB", "first: theirs -> ours", "causes")
"""The columns on a narrow terminal."""

MISMATCH = 1


@click.command("compare")
@model_argument
@input_option
@preprocess_option
@click.option(
    "--against",
    required=True,
    metavar="PEER",
    shell_complete=complete_peer,
    help="spec, target:NAME, onnxruntime (or ort), torch (or pytorch), torch:FILE.pt2, golden:DIR or dump:DIR.",
)
@target_option
@click.option(
    "--isolated", is_flag=True, help="Feed each layer the peer's own inputs: only local differences are left."
)
@click.option("--report", type=click.Path(), metavar="F.html", help="Write the comparison as one HTML file.")
@threads_option
@json_option
def command(
    model: str,
    inputs: tuple[str, ...],
    preprocess: str | None,
    against: str,
    target: str,
    isolated: bool,
    report: str | None,
    threads: int | None,
    as_json: bool,
) -> int:
    """Compare MODEL, tensor by tensor and with tolerance zero; exits with 1 where a code differs."""
    from intsim.comparison import compare
    from intsim.model import load

    loaded = load(model, target)
    arrays, labels = read_inputs(inputs, loaded.graph, preprocess)
    with progress("comparing") as advance:
        comparison = compare(
            loaded, against, arrays, labels=labels, isolated=isolated, threads=threads, progress=advance
        )
    comparison = replace(comparison, model=Path(model).name)
    if report is not None:
        comparison.to_html(report)
        note(f"wrote {report}")
    if as_json:
        print_json(comparison.to_dict())
    else:
        heading(f"{title(model, loaded, target)}, against {comparison.against}")
        show_layers(comparison)
        say()
        show_verdict(comparison)
    return 0 if comparison.equal else MISMATCH


def show_layers(comparison: Comparison) -> None:
    """The table by layer: red where a layer differs on equal inputs, yellow where it only passes differences on.

    A narrow terminal gets shorter cells and no columns of ops and of differences.
    """
    table(
        comparison.HEADERS if wide() else NARROW,
        comparison.rows() if wide() else [_narrow(layer) for layer in comparison.layers],
        right=("elements", "differ", "local", "LSB"),
        fold=("tensor", "causes", "differences"),
        style=lambda row: _colour(comparison.layers[row]),
    )


def show_verdict(comparison: Comparison) -> None:
    """Equal or not, in one line, and what the reader must know beside it."""
    say(comparison.summary(), "bold green" if comparison.equal else "bold red")
    if comparison.causes:
        causes = ", ".join(f"{cause} {count:,}" for cause, count in comparison.causes.most_common())
        say(f"causes of the differences on equal inputs: {causes}")
    for remark in comparison.remarks():
        say(remark)


def _colour(layer: TensorDifference) -> str:
    if not layer.mismatches:
        return ""
    return "yellow" if layer.local == 0 else "red"


def _narrow(layer: TensorDifference) -> tuple[str, ...]:
    """A layer's row on a narrow terminal."""
    first, causes = layer.first, layer.causes.most_common()
    where = "" if first is None else f"{','.join(map(str, first.coordinate))}: {first.expected} -> {first.actual}"
    local = "" if layer.local is None else f"{layer.local:,}"
    # One cause alone explains what `local` counts.
    names = [cause if len(causes) == 1 else f"{cause} {count:,}" for cause, count in causes]
    return (
        layer.name,
        f"{layer.elements:,}",
        f"{layer.mismatches:,}",
        local,
        str(layer.max_difference),
        where,
        ", ".join(names),
    )
