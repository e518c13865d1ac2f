"""Evaluation in the engine: what is measured are the deployed integers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from intsim import metrics
from intsim.errors import UnusableInput
from intsim.model import Model, load
from intsim.training.data import Batches, Samples
from intsim.training.quantized_module import QuantizedModule

Array = np.ndarray[Any, Any]

BATCH = 250
"""Images that are made reals of at a time."""


@dataclass(frozen=True)
class Evaluation:
    """How a deployed network does on some images.

    cd: the share of images whose class is another than the float network's; mcl: mean squared distance to its outputs.
    ties: the share of images whose largest code several classes share, so that the class is the first of them.
    accuracy: the share whose class is the label, None without labels.
    """

    images: int
    cd: float
    mcl: float
    ties: float
    accuracy: float | None

    def to_dict(self) -> dict[str, Any]:
        """A dict for JSON."""
        return asdict(self)


def float_outputs(network: nn.Module, samples: Samples) -> Array:
    """The outputs of a float network, f32[N, classes], in evaluation mode; its mode stays as it was."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            return np.concatenate([network(x).numpy() for x in Batches(samples, BATCH)])
    finally:
        network.train(training)


def evaluate(q: QuantizedModule | Model, samples: Samples, outputs: Array, threads: int | None = None) -> Evaluation:
    """The Evaluation of a network, exported in memory and run by the engine.

    outputs: the float network's for these samples, of `float_outputs`. threads: the engine's, default all cores.
    Errors: UnusableInput for a network of several outputs, or outputs of other images.
    """
    model = load(q.to_model()) if isinstance(q, QuantizedModule) else q
    if len(model.graph.outputs) != 1:
        raise UnusableInput(f"to be evaluated, a network must have one output, not {len(model.graph.outputs)}")
    [name] = model.graph.outputs
    reals, codes = [], []
    for x in Batches(samples, BATCH):
        output = model.run(x.contiguous().numpy(), threads=threads).outputs[name]
        reals.append(output.real)
        codes.append(output.real if output.codes is None else output.codes)
    found, scores = np.concatenate(reals), np.concatenate(codes)
    largest = scores.max(axis=1, keepdims=True)
    return Evaluation(
        len(samples),
        metrics.compression_difference(found, outputs),
        metrics.mse(found, outputs),
        float(np.mean((scores == largest).sum(axis=1) > 1)),
        None if samples.labels is None else metrics.top1(found, samples.labels),
    )
