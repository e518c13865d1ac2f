"""intsim run: integer codes of the outputs and of tapped tensors, in a folder with one index."""

from __future__ import annotations

import click

from intsim.cli.options import (
    input_option,
    json_option,
    model_argument,
    print_json,
    progress,
    read_inputs,
    show,
    target_option,
    threads_option,
)


@click.command("run")
@model_argument
@input_option
@target_option
@click.option(
    "--tap",
    "taps",
    multiple=True,
    metavar="KIND[@GLOB]",
    help="codes, accumulator, histogram, extremes, saturation, overflow; GLOB over tensor names, default all.",
)
@click.option("--output", required=True, type=click.Path(file_okay=False), help="Folder to write.")
@threads_option
@json_option
def command(
    model: str,
    inputs: tuple[str, ...],
    target: str,
    taps: tuple[str, ...],
    output: str,
    threads: int | None,
    as_json: bool,
) -> int:
    """Run MODEL in integers; write DIR/index.json and one .npy of codes for each output and tapped tensor."""
    import intsim
    from intsim.cli.records import tap_table, write_result

    loaded = intsim.load(model, target=target)
    arrays, labels = read_inputs(inputs, loaded.graph.inputs)
    with progress("running") as advance:
        result = loaded.run(arrays, taps=taps, threads=threads, progress=advance)
    index = write_result(output, loaded, result)
    document = {"output": output, "images": result.images, "target": loaded.target.name, "tensors": index}
    if labels is not None:
        document["top1"] = _top1(loaded, result, labels)
    if as_json:
        print_json(document)
        return 0
    show(f"target {loaded.target.name}: {result.images} images, {len(index)} tensors in {output}")
    if labels is not None:
        show(f"top-1 {document['top1']:.2%}")
    table = tap_table(result)
    if table is not None:
        show(table)
    return 0
