"""Time a training step of a quantized ResNet20 against the float module's, in turns, on one thread.

Both are channels last. The float step is cross entropy with batch normalisation; the quantized ones are the same loss
with and without the search of exponents, and MCL with its teacher's forward pass and the search.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from intsim import training
from intsim.training.models import MODELS


def seconds(network: nn.Module, x: Tensor, loss: Callable[[Tensor], Tensor]) -> float:
    """The time of forward and backward pass."""
    began = time.perf_counter()
    network.zero_grad()
    torch.autograd.backward(loss(network(x)))
    return time.perf_counter() - began


@click.command()
@click.option("--model", type=click.Choice(sorted(MODELS)), default="resnet20", show_default=True)
@click.option("--bits", default=8, show_default=True)
@click.option("--batch", default=128, show_default=True)
@click.option("--turns", default=11, show_default=True)
def main(model: str, bits: int, batch: int, turns: int) -> None:
    """Median seconds of a step, and their ratios to the float module's."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    teacher = MODELS[model](classes=10, size=32).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (batch,))
    q: nn.Module = training.quantize(teacher, bits=bits, calibration=x[:64])
    network = copy.deepcopy(teacher).train()
    teacher.eval()

    def mcl(z: Tensor) -> Tensor:
        with torch.no_grad():
            y = teacher(x)
        return functional.mse_loss(z, y)

    def ce(z: Tensor) -> Tensor:
        return functional.cross_entropy(z, labels)

    steps: dict[str, Callable[[], float]] = {
        "float": lambda: seconds(network, x, ce),
        "quantized, exponents kept": lambda: seconds(q.eval(), x, ce),
        "quantized": lambda: seconds(q.train(), x, ce),
        "quantized, MCL with its teacher": lambda: seconds(q.train(), x, mcl),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(turns + 1):  # the first turn compiles
        for name, step in steps.items():
            times[name].append(step())
    medians = {name: float(np.median(found[1:])) for name, found in times.items()}
    for name, median in medians.items():
        click.echo(
            json.dumps({"step": name, "seconds": round(median, 4), "ratio": round(median / medians["float"], 3)})
        )
    click.echo(json.dumps({"model": model, "bits": bits, "batch": batch, "turns": turns, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
