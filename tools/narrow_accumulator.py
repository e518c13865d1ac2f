"""What narrow accumulators do to the shipped model: where they saturate or wrap, and what that costs.

    python tools/narrow_accumulator.py [--bits 12 --bits 14 --bits 16] [--images N] [--spec N] [--json]

The shipped model and its 512 labelled images, on the target diffquant with accumulators of N bits, saturating
after every product or wrapping. CD: the share of images whose class differs from that of the 32-bit accumulators. The
kernels' accumulators, codes and overflow events are compared with the spec's on the first --spec images: any
difference ends the run with exit code 1.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import intsim
from intsim import demo, metrics
from intsim.model import Model
from intsim.run.result import Result

RULES = ("saturate", "wrap")
TAPS = ("codes", "accumulator", "overflow")


def logits_of(result: Result) -> np.ndarray[Any, Any]:
    """The codes of the only output."""
    codes = next(iter(result.outputs.values())).codes
    assert codes is not None, "the output is coded"
    return codes


def measure(model: Model, x: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], wide: np.ndarray[Any, Any]) -> Any:
    """Accuracy, CD, and by layer the channels, images and sums that overflow."""
    taps = model.run(x, taps=["overflow"])
    logits = logits_of(taps)
    images: dict[str, int] = {}
    for i in range(len(x)):
        for name in model.run(x[i : i + 1]).overflows:
            images[name] = images.get(name, 0) + 1
    layers = []
    for name, tap in taps.taps.items():
        overflow = tap.overflow
        assert overflow is not None, "the tap asks for it"
        if overflow.count:
            layers.append(
                {
                    "name": name,
                    "needed_bits": model.bounds[model.lowered.accumulators[name]].needed_bits,
                    "channels": int(np.count_nonzero(overflow.by_channel)),
                    "of_channels": len(overflow.by_channel),
                    "images": images[name],
                    "sums": overflow.count,
                    "first": list(overflow.first or ()),
                    "value": overflow.value,
                }
            )
    return {
        "accuracy": metrics.top1(logits, labels),
        "cd": metrics.compression_difference(logits, wide),
        "layers": layers,
    }


def differences(model: Model, x: np.ndarray[Any, Any]) -> int:
    """How many codes, accumulators and overflow counts of the kernels are not the spec's."""
    kernels, spec = model.run(x, taps=TAPS), model.run(x, taps=TAPS, engine="spec")
    count = 0
    for name, expected in spec.taps.items():
        got = kernels.taps[name]
        count += int(np.count_nonzero(got.codes != expected.codes))
        if expected.accumulator is not None:
            count += int(np.count_nonzero(got.accumulator != expected.accumulator))
        if expected.overflow is not None and got.overflow is not None:
            count += int(np.abs(got.overflow.by_channel - expected.overflow.by_channel).sum())
            count += (got.overflow.first, got.overflow.value) != (expected.overflow.first, expected.overflow.value)
    return count


@click.command()
@click.option("--bits", "widths", multiple=True, type=int, default=[12, 14, 16], show_default=True)
@click.option("--images", default=512, show_default=True)
@click.option("--spec", "spec_images", default=512, show_default=True, help="Images on which the spec runs too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document with a list `cells`.")
def main(widths: tuple[int, ...], images: int, spec_images: int, as_json: bool) -> None:
    """Accuracy, CD and overflows by width and rule."""
    with np.load(demo.images()) as file:
        x, labels = file["x"][:images], file["y"][:images]
    base = intsim.load(demo.quantized_model(), target="diffquant")
    wide = logits_of(base.run(x))
    cells, wrong = [], 0
    if not as_json:
        click.echo(f"declared by default: accuracy {metrics.top1(wide, labels):.4f}")
    for bits in widths:
        for rule in RULES:
            target = replace(base.target, name=f"{rule}-{bits}", accumulator_bits=bits, overflow=rule)
            model = base.with_target(target)
            cell = {"bits": bits, "rule": rule, **measure(model, x, labels, wide)}
            start = time.perf_counter()
            cell["spec_images"] = min(spec_images, len(x))
            cell["differences"] = differences(model, x[:spec_images]) if spec_images else 0
            cell["spec_seconds"] = round(time.perf_counter() - start, 1)
            wrong += cell["differences"]
            cells.append(cell)
            if not as_json:
                click.echo(
                    f"\n{bits} bits, {rule}: accuracy {cell['accuracy']:.4f}, CD {cell['cd']:.4f}; kernels and spec "
                    f"differ in {cell['differences']} values on {cell['spec_images']} images ({cell['spec_seconds']} s)"
                )
                for layer in cell["layers"]:
                    click.echo(
                        f"  {layer['name']} (needs {layer['needed_bits']}): {layer['channels']} of "
                        f"{layer['of_channels']} channels, {layer['images']} images, {layer['sums']} sums; the first: "
                        f"{layer['value']} at {tuple(layer['first'])}"
                    )
    if as_json:
        click.echo(json.dumps({"schema_version": 1, "images": len(x), "cells": cells}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
