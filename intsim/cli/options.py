"""Arguments and options that several commands share, and the JSON document that each can print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from intsim.cli.terminal import note

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
    help="What the hardware does. auto: the one in the file's metadata, else the one that fits its scales.",
)
input_option = click.option(
    "--input",
    "inputs",
    multiple=True,
    required=True,
    metavar="[NAME=]X.npy",
    help="Floats are reals, integers are codes; batch first. An .npz holds x, and y for labels.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
threads_option = click.option("--threads", type=click.IntRange(1, 1024), help="Default: the processor's cores.")
unused_threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), expose_value=False, help="Accepted as everywhere; has no work to share."
)


def load_model(path: str, target: str) -> Model:
    """The Model of a file on a target; a note on stderr says what `auto` chose and why."""
    from intsim.model import TARGET_METADATA, load

    model = load(path, target)
    if target == "auto":
        if TARGET_METADATA in model.graph.metadata:
            reason = "named in the file"
        elif model.target.requantizer == "shift":
            reason = "every scale is a power of two"
        else:
            reason = "not every scale is a power of two"
        note(f"target {model.target.name} (auto: {reason})")
    return model


def name_of(model: Model, path: str) -> str:
    """How a model is called in what is printed: its graph's name, else its file's."""
    return model.graph.name or path


def print_json(document: Mapping[str, Any]) -> None:
    """The document on stdout, with the schema's version."""
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **document}, allow_nan=False))
