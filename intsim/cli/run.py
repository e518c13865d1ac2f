"""intsim run: integer codes of the outputs and of tapped tensors, in a folder with one index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intsim.cli.arrays import Array, read_inputs
from intsim.cli.complete import complete_tap
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
from intsim.cli.terminal import heading, progress, say, table

if TYPE_CHECKING:
    from intsim.model import Model
    from intsim.run.result import Result


@click.command("run")
@model_argument
@input_option
@preprocess_option
@target_option
@click.option(
    "--tap",
    "taps",
    multiple=True,
    metavar="KIND[@GLOB]",
    shell_complete=complete_tap,
    help="codes, accumulator, histogram, extremes, saturation or overflow; of the tensors GLOB names, else of all.",
)
@click.option("--output", required=True, type=click.Path(), metavar="DIR", help="The folder to write.")
@threads_option
@json_option
def command(
    model: str,
    inputs: tuple[str, ...],
    preprocess: str | None,
    target: str,
    taps: tuple[str, ...],
    output: str,
    threads: int | None,
    as_json: bool,
) -> int:
    """Run MODEL in integers; write DIR/index.json and one .npy of codes for each output and each tapped tensor."""
    from intsim.cli.records import show_counts, warn_of_overflows
    from intsim.model import load
    from intsim.vectors import write_result

    loaded = load(model, target)
    arrays, labels = read_inputs(inputs, loaded.graph, preprocess)
    with progress("running") as advance:
        result = loaded.run(arrays, taps=taps, threads=threads, progress=advance)
    tensors = write_result(output, loaded, result)
    warn_of_overflows(result)
    accuracy = {} if labels is None else {"top1": _top1(result, labels)}
    if as_json:
        print_json(
            {
                "model": Path(model).name,
                "target": loaded.target.name,
                "images": result.images,
                "output": output,
                "tensors": tensors,
                "taps": {name: counts for name, tap in result.taps.items() if (counts := tap.summary())},
                "overflows": dict(result.overflows),
                "accuracy": accuracy,
            }
        )
        return 0
    heading(f"{title(model, loaded, target)}, {_images(result.images)}")
    _show_outputs(loaded, result, tensors)
    show_counts(result)
    if accuracy:
        say(f"top-1 {accuracy['top1']:.2%}")
    say()
    say(f"wrote {output}/index.json and {len({t['file'] for t in tensors.values()})} .npy files")
    return 0


def _show_outputs(model: Model, result: Result, tensors: dict[str, Any]) -> None:
    rows = [
        (name, "float32" if o.format is None else str(o.format), list(o.values.shape), tensors[name]["file"])
        for name, o in result.outputs.items()
    ]
    table(("output", "format", "shape", "file"), rows, fold=("output", "file"))


def _top1(result: Result, labels: Array) -> float:
    """The accuracy of the first output. Errors: UnusableInput where it is not [images, classes]."""
    from intsim.metrics import top1

    return top1(next(iter(result.outputs.values())).values, labels)


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"
