"""Training: a quantized module follows its float one, without labels unless they are asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intsim.errors import OutOfDomain, UnusableInput
from intsim.files import write_file
from intsim.training.checkpoint import load_checkpoint, save_checkpoint
from intsim.training.data import Batches, Samples
from intsim.training.evaluate import evaluate, float_outputs
from intsim.training.losses import Loss, loss_of
from intsim.training.quantized_module import QuantizedModule
from intsim.training.recipe import Recipe

Row = dict[str, Any]
"""What is said of an epoch: epoch, loss, cd (on the training batches), seconds, and `test`, an Evaluation's dict."""


def fit(
    q: QuantizedModule,
    teacher: nn.Module,
    data: Batches,
    loss: str | Mapping[str, float] | Loss = "mcl",
    recipe: Recipe | None = None,
    *,
    test: Samples | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    progress: Callable[[Row], None] | None = None,
) -> list[Row]:
    """The rows of all epochs; q is trained in place, the teacher is not changed.

    data: batches with a seed; labels are read only where the loss needs them. test: evaluated by the engine before
    training (epoch 0) and after each epoch. output: a folder for log.jsonl and state.safetensors; resume: go on from
    that state, to the same result on the same machine. progress: called with each row.
    Errors: UnusableInput for options, data or a state of no use; OutOfDomain where the loss is no longer finite.
    """
    run = _Run(q, teacher, data, loss_of(loss), recipe or Recipe(), None if output is None else Path(output), progress)
    if resume:
        run.restore()
    run.finish(test)
    return run.log


@dataclass
class _Run:
    q: QuantizedModule
    teacher: nn.Module
    data: Batches
    loss: Loss
    recipe: Recipe
    output: Path | None
    progress: Callable[[Row], None] | None
    done: int = 0  # steps
    total: float = 0.0  # of the epoch so far: loss * images, images, images of another class, seconds
    seen: int = 0
    changed: int = 0
    seconds: float = 0.0
    log: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not len(self.data):
            raise UnusableInput(f"{len(self.data.samples)} images are less than a batch of {self.data.batch}")
        self.optimizer = torch.optim.SGD(
            self.q.parameters(), self.recipe.rate, self.recipe.momentum, weight_decay=self.recipe.decay
        )

    def finish(self, test: Samples | None) -> None:
        steps = len(self.data)
        outputs = None if test is None else float_outputs(self.teacher, test)

        def judged() -> Row:
            return {} if test is None or outputs is None else {"test": evaluate(self.q, test, outputs).to_dict()}

        if not self.log and test is not None:
            self._say({"epoch": 0, **judged()})
        training = self.teacher.training
        self.teacher.eval()
        try:
            while self.done < self.recipe.epochs * steps:
                epoch = self._epoch(*divmod(self.done, steps))
                row = {
                    "loss": self.total / self.seen,
                    "cd": self.changed / self.seen,
                    "seconds": round(self.seconds, 1),
                }
                self.total, self.seen, self.changed, self.seconds = 0.0, 0, 0, 0.0
                self.log.append({"epoch": epoch + 1, **row, **judged()})
                self._save()
                self._say(None)
        finally:
            self.teacher.train(training)
            self.q.eval()

    def _epoch(self, epoch: int, start: int) -> int:
        self.q.train()
        began = saved = time.monotonic()
        for x, labels in self._batches(epoch, start):
            self._step(x, labels)
            if time.monotonic() - saved > self.recipe.checkpoint and self.done % len(self.data):
                saved = time.monotonic()
                self.seconds, began = self.seconds + saved - began, saved
                self._save()
        self.seconds += time.monotonic() - began
        return epoch

    def _batches(self, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        if self.loss.needs_labels:
            yield from self.data.labelled(epoch, start)
        else:
            for x in self.data.epoch(epoch, start):
                yield x, None

    def _step(self, x: Tensor, labels: Tensor | None) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate_at(self.done / (self.recipe.epochs * len(self.data)))
        with torch.no_grad():
            y = self.teacher(x)
        z = self.q(x)
        loss = self.loss(z, y, labels)
        if not bool(torch.isfinite(loss)):
            raise OutOfDomain(f"the loss is {loss.item()} at step {self.done}; lower the rate, {self.recipe.rate}")
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.done += 1
        self.total += loss.item() * len(x)
        self.seen += len(x)
        self.changed += int((z.argmax(1) != y.argmax(1)).sum())

    def _known(self) -> dict[str, Any]:
        about = {"recipe": self.recipe.to_dict(), "loss": vars(self.loss), "seed": self.data.seed}
        return {**about, "steps": len(self.data), "images": len(self.data.samples), "bits": self.q.bits()}

    def _save(self) -> None:
        if self.output is None:
            return
        counts = {key: getattr(self, key) for key in ("done", "total", "seen", "changed", "seconds", "log")}
        save_checkpoint(self.output / "state.safetensors", self.q, self.optimizer, {"run": self._known(), **counts})

    def restore(self) -> None:
        """Go on from the folder's state, where there is one. Errors: UnusableInput for that of another run."""
        if self.output is None:
            raise UnusableInput("to resume, give the output folder of the run")
        path = self.output / "state.safetensors"
        if not path.is_file():
            return
        known = load_checkpoint(path, self.q, self.optimizer)
        for key, value in self._known().items():
            found = known["run"].get(key)
            if found != value:
                raise UnusableInput(f"{path}: is of a run with another {key}: {found!r}, not {value!r}")
        for key in ("done", "total", "seen", "changed", "seconds", "log"):
            setattr(self, key, known[key])

    def _say(self, row: Row | None) -> None:
        """Write the log and tell the row, the last one unless it is given and appended."""
        if row is not None:
            self.log.append(row)
        if self.output is not None:
            write_file(self.output / "log.jsonl", "".join(f"{json.dumps(r)}\n" for r in self.log).encode())
        if self.progress is not None:
            self.progress(self.log[-1])
