"""Fine-tune float weights of a CIFAR-10 network on JPEG images; goes on where it was, after a kill -9 too.

The given weights were trained on the lossless images; on lossy ones they lose about ten points of accuracy, which a few
epochs bring back. DIR/log.jsonl has a line an epoch, DIR/state.safetensors where it stands, DIR/weights.safetensors and
DIR/result.json come at the end. The same seed, machine and versions give the same weights, interrupted or not.
"""

from __future__ import annotations

import json
import math
import platform
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from intsim.files import read_arrays, write_file
from intsim.images import Preprocess
from intsim.training.checkpoint import load_checkpoint, read_tensors, save_checkpoint, tensor_bytes
from intsim.training.data import Batches, Samples, read_jpegs, shift_and_flip
from intsim.training.models import MODELS

IMAGENET = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""What the published weights were trained with."""

SAVE_EVERY = 60
"""Seconds between two states on the disk."""

MOMENTUM, DECAY = 0.9, 1e-4


class Run:
    """A training run and its folder. `finish` ends it, from wherever its last state was."""

    def __init__(
        self, network: nn.Module, batches: Batches, test: Samples, epochs: int, rate: float, folder: Path
    ) -> None:
        self.network, self.batches, self.test = network, batches, test
        self.epochs, self.rate, self.folder = epochs, rate, folder
        self.optimizer = torch.optim.SGD(network.parameters(), rate, MOMENTUM, weight_decay=DECAY, nesterov=True)
        self.done = 0  # steps
        self.loss, self.right, self.seen, self.seconds = 0.0, 0, 0, 0.0  # of the epoch so far
        self.log: list[dict[str, Any]] = []

    def finish(self) -> None:
        """Train to the end, writing log and state on the way."""
        if not self._restore():
            self.log.append({"epoch": 0, "test_accuracy": accuracy(self.network, self.test)})
            self._write_log()
        steps = len(self.batches)
        while self.done < self.epochs * steps:
            self._epoch(*divmod(self.done, steps))
        write_file(self.folder / "weights.safetensors", tensor_bytes(self.network.state_dict()))

    def _epoch(self, epoch: int, start: int) -> None:
        self.network.train()
        began = saved = time.monotonic()
        for x, y in self.batches.labelled(epoch, start):
            self._step(x, y)
            if time.monotonic() - saved > SAVE_EVERY and self.done % len(self.batches):
                saved = time.monotonic()
                self.seconds, began = self.seconds + saved - began, saved
                self._save()
        self.seconds += time.monotonic() - began
        row = {
            "epoch": epoch + 1,
            "loss": self.loss / self.seen,
            "train_accuracy": self.right / self.seen,
            "test_accuracy": accuracy(self.network, self.test),
            "seconds": round(self.seconds, 1),
        }
        self.log.append(row)
        self.loss, self.right, self.seen, self.seconds = 0.0, 0, 0, 0.0
        self._save()
        self._write_log()
        click.echo(json.dumps(row))

    def _step(self, x: Tensor, y: Tensor) -> None:
        share = self.done / (self.epochs * len(self.batches))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * (1 + math.cos(math.pi * share)) / 2
        logits = self.network(x)
        loss = functional.cross_entropy(logits, y)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.done += 1
        self.loss += loss.item() * len(y)
        self.right += int((logits.argmax(1) == y).sum())
        self.seen += len(y)

    def _save(self) -> None:
        known = {key: getattr(self, key) for key in ("done", "epochs", "loss", "right", "seen", "seconds", "log")}
        save_checkpoint(self.folder / "state.safetensors", self.network, self.optimizer, known)

    def _restore(self) -> bool:
        """Whether there was a state to go on from."""
        path = self.folder / "state.safetensors"
        if not path.is_file():
            return False
        known = load_checkpoint(path, self.network, self.optimizer)
        if known["epochs"] != self.epochs:
            raise click.ClickException(f"{path} is of a run of {known['epochs']} epochs; give another --output")
        for key, value in known.items():
            setattr(self, key, value)
        self._write_log()
        return True

    def _write_log(self) -> None:
        write_file(self.folder / "log.jsonl", "".join(f"{json.dumps(row)}\n" for row in self.log).encode())


def accuracy(network: nn.Module, samples: Samples) -> float:
    """The share of the images whose class is their label, in evaluation mode."""
    network.eval()
    with torch.no_grad():
        right = sum(int((network(x).argmax(1) == y).sum()) for x, y in Batches(samples, 250).labelled(0))
    return right / len(samples)


def load_weights(network: nn.Module, path: Path) -> None:
    """Put the weights of an .npz or .safetensors file into the network, strictly by name."""
    if path.suffix == ".npz":
        weights = {name: torch.from_numpy(np.array(array)) for name, array in read_arrays(path).items()}
    else:
        weights, _ = read_tensors(path)
    counts = {n: v for n, v in network.state_dict().items() if n.endswith("num_batches_tracked")}
    network.load_state_dict({**counts, **weights}, strict=True)


@click.command()
@click.option("--model", type=click.Choice(sorted(MODELS)), default="resnet20", show_default=True)
@click.option("--weights", type=click.Path(path_type=Path, exists=True), help="To begin with; .npz or .safetensors.")
@click.option("--train", type=click.Path(path_type=Path, exists=True), required=True, help="An .npz of JPEG images.")
@click.option("--test", type=click.Path(path_type=Path, exists=True), required=True, help="An .npz of JPEG images.")
@click.option("--epochs", default=10, show_default=True)
@click.option("--rate", default=0.02, show_default=True, help="The first learning rate; it falls by a cosine to 0.")
@click.option("--batch", default=128, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("build/experiments/finetune"), show_default=True
)
def main(
    model: str,
    weights: Path | None,
    train: Path,
    test: Path,
    epochs: int,
    rate: float,
    batch: int,
    seed: int,
    output: Path,
) -> None:
    """Fine-tune a CIFAR-10 network on JPEG images, on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    network = MODELS[model]()
    if weights is not None:
        load_weights(network, weights)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    samples, judge = read_jpegs(train, IMAGENET), read_jpegs(test, IMAGENET)
    run = Run(network, Batches(samples, batch, seed, shift_and_flip, drop_last=True), judge, epochs, rate, output)
    run.finish()
    result = {
        "model": model,
        "weights": None if weights is None else weights.name,
        "images": {"train": len(samples), "test": len(judge), "kind": "JPEG (lossy)"},
        "recipe": {
            "epochs": epochs,
            "rate": rate,
            "schedule": "cosine to 0",
            "momentum": MOMENTUM,
            "nesterov": True,
            "decay": DECAY,
            "batch": batch,
            "seed": seed,
            "augmentation": "shift 4, flip",
        },
        "test_accuracy_before": run.log[0]["test_accuracy"],
        "test_accuracy": run.log[-1]["test_accuracy"],
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
        "epochs": run.log,
    }
    write_file(output / "result.json", (json.dumps(result, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
