"""Count the codes that differ between quantized modules and the engine, on real images: a line a network and width.

DIR/equality.jsonl grows as it goes; networks without weights have random ones, batch-norm statistics of the images.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import torch
from torch import Tensor, nn

import intsim
from intsim import training
from intsim.files import write_file
from intsim.images import Preprocess
from intsim.training.checkpoint import read_tensors
from intsim.training.data import read_jpegs
from intsim.training.models import MODELS

IMAGENET = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def calibrated(network: nn.Module, x: Tensor) -> nn.Module:
    """The network in evaluation mode, its batch-norm statistics those of x."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(x)
    return network.eval()


def judged(network: nn.Module, bits: int, x: Tensor) -> dict[str, object]:
    """How many tensors and codes were compared, and how many of the codes differ."""
    began = time.monotonic()
    q = training.quantize(network, bits=bits, calibration=x).eval()
    ours = q.codes(x)
    taps = intsim.load(q.to_model()).run(x.numpy(), taps=["codes"]).taps
    theirs = {name: tap.codes for name, tap in taps.items()}
    wrong = sum(int((ours[name] != theirs[name]).sum()) for name in ours)
    return {
        "bits": bits,
        "images": len(x),
        "tensors": len(ours),
        "codes": sum(codes.size for codes in ours.values()),
        "mismatches": wrong,
        "seconds": round(time.monotonic() - began, 1),
    }


@click.command()
@click.option("--images", "path", type=click.Path(path_type=Path, exists=True), required=True, help="An .npz of JPEGs.")
@click.option("--weights", type=click.Path(path_type=Path, exists=True), multiple=True, help="MODEL….safetensors.")
@click.option("--model", "models", multiple=True, default=sorted(MODELS), show_default=True)
@click.option("--bits", type=int, multiple=True, default=(4, 6, 7, 8, 12, 16), show_default=True)
@click.option("--count", default=64, show_default=True)
@click.option("--width", default=1.0, show_default=True, help="The width factor of networks without weights.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("build/experiments/equality"), show_default=True
)
def main(
    path: Path,
    weights: tuple[Path, ...],
    models: tuple[str, ...],
    bits: tuple[int, ...],
    count: int,
    width: float,
    output: Path,
) -> None:
    """Compare training and engine on each network, one thread."""
    torch.set_num_threads(1)
    x = torch.from_numpy(read_jpegs(path, IMAGENET, first=count).reals())
    rows: list[dict[str, object]] = []
    for name in models:
        torch.manual_seed(0)
        found = next((w for w in weights if w.name.startswith(f"{name}_")), None)
        if found is None:
            network = calibrated(MODELS[name](classes=10, channels=3, size=32, width=width), x)
        else:
            network = MODELS[name]()
            network.load_state_dict(read_tensors(found)[0])
            network.eval()
        for width_of_codes in bits:
            about = {"model": name, "weights": "random, calibrated" if found is None else found.name}
            rows.append({**about, "width": width if found is None else 1.0, **judged(network, width_of_codes, x)})
            click.echo(json.dumps(rows[-1]))
            write_file(output / "equality.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows).encode())


if __name__ == "__main__":
    main()
