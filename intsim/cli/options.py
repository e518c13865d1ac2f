"""Arguments and options that several commands share, and the JSON document that each can print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intsim.cli.complete import complete_target

if TYPE_CHECKING:
    from intsim.model import Model

SCHEMA_VERSION = 1
"""The version of the JSON documents on stdout."""

model_argument = click.argument("model", type=click.Path())
target_option = click.option(
    "--target",
    default="auto",
    show_default=True,
    metavar="NAME|FILE.toml",
    shell_complete=complete_target,
    help="What the hardware does. auto: the one in the file's metadata, else the one that fits its scales.",
)
input_option = click.option(
    "--input",
    "inputs",
    multiple=True,
    required=True,
    metavar="[NAME=]X.npy|DIR",
    help="Floats are reals, integers are codes; batch first. An .npz holds x, and y for labels. DIR: images, "
    "DIR/<class>/<image> with labels or DIR/<image> without.",
)
preprocess_option = click.option(
    "--preprocess",
    type=click.Path(),
    metavar="P.toml",
    help="How a folder's images become reals: resize, crop, channels, mean, std. Default: the model's metadata.",
)
JSON = "--json"
json_option = click.option(JSON, "as_json", is_flag=True, help="Print one JSON document on stdout.")
threads_option = click.option("--threads", type=click.IntRange(1, 1024), help="Default: the processor's cores.")
unused_threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), expose_value=False, help="Accepted as everywhere; has no work to share."
)


def title(path: str, model: Model, target: str) -> str:
    """What is run: the model file's name and the target; if that was chosen (`auto`), why."""
    from intsim.model import TARGET_METADATA

    head = f"{Path(path).name}, target {model.target.name}"
    if target != "auto":
        return head
    if TARGET_METADATA in model.graph.metadata:
        return f"{head} (auto: named in the file)"
    every = "every" if model.target.requantizer == "shift" else "not every"
    return f"{head} (auto: {every} scale is a power of two)"


def print_json(document: Mapping[str, Any]) -> None:
    """The document on stdout, with the schema's version."""
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **document}, allow_nan=False))
