"""compare: a model against a peer, tensor by tensor, tolerance zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim import metrics
from intsim.comparison.causes import name_causes, other_tie_rules
from intsim.comparison.comparison import Comparison
from intsim.comparison.differences import TensorDifference
from intsim.comparison.peers import Peer, open_peer
from intsim.comparison.peers.peer import all_codes
from intsim.errors import UnusableInput
from intsim.lowering.lowered import Lowered

if TYPE_CHECKING:
    from intsim.model import Model

Array = np.ndarray[Any, Any]

IMAGES = 16
"""Images that are compared at a time."""


def compare(
    model: Model,
    against: str | Peer,
    x: Array | Mapping[str, Array],
    *,
    labels: Array | None = None,
    isolated: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """The Comparison of every quantized tensor of the model with the peer's tensor of the same name.

    against: `spec`, `target:NAME`, `onnxruntime`, `torch`, `torch:FILE.pt2`, `golden:DIR`, `dump:DIR`, or a Peer.
    x: reals or codes, the batch first; by input name where there are several. labels: int[images].
    isolated: feed each layer the peer's own inputs, so that only local differences are left. Where tensors differ,
    the local mismatches and their causes are found in either case.
    Errors: UnusableInput where nothing can be compared or shapes differ, and those of the peer.
    """
    peer = open_peer(against, model, threads) if isinstance(against, str) else against
    inputs = model.named_inputs(x)
    session = _Session(model, peer, isolated, threads)
    images = len(next(iter(inputs.values())))
    for first, chunk in _chunks(model, inputs):
        session.add(chunk, first)
        if progress is not None:
            progress(min(first + len(next(iter(chunk.values()))), images), images)
    return session.finish(images, labels)


class _Session:
    """One comparison under way: what each chunk of images adds to it."""

    def __init__(self, model: Model, peer: Peer, isolated: bool, threads: int | None) -> None:
        self.model, self.peer, self.isolated, self.threads = model, peer, isolated, threads
        self.names = coded_tensors(model.lowered)
        self.resumed = inexact_tensors(model.lowered)
        self.differences: dict[str, TensorDifference] = {}
        self.decisions: list[tuple[Array, Array]] = []
        self.ties = [model.with_target(replace(model.target, rounding=rule)) for rule in other_tie_rules(model.target)]

    def add(self, chunk: Mapping[str, Array], first_image: int) -> None:
        """Compare one chunk: as it propagates, then, where it differs, layer by layer on the peer's inputs."""
        theirs = {n: v for n, v in self.peer.tensors(chunk, first_image).items() if n in self.names}
        given = theirs if self.isolated else {n: theirs[n] for n in self.resumed if n in theirs}
        ours = self._codes(self.model, chunk, given)
        differing = []
        for name in self.names:
            if name not in theirs or name not in ours or name in self.resumed:
                continue
            difference = self.differences.setdefault(name, TensorDifference(name, _op(self.model.lowered, name)))
            before = difference.mismatches
            difference.add(theirs[name], ours[name], first_image)
            if difference.mismatches > before:
                differing.append(name)
        if differing:
            self._explain(differing, theirs, ours, chunk)
        self._decide(theirs, ours)

    def _explain(
        self, differing: list[str], theirs: dict[str, Array], ours: dict[str, Array], chunk: Mapping[str, Array]
    ) -> None:
        local = ours if self.isolated else self._codes(self.model, chunk, theirs)
        others = [self._codes(model, chunk, theirs) for model in self.ties]
        for name in differing:
            difference = self.differences[name]
            count = int(np.count_nonzero(local[name] != theirs[name]))
            difference.local = (difference.local or 0) + count
            format = self.model.lowered.values[name]
            if count and format is not None:
                same = tuple(other[name] for other in others)
                difference.causes.update(name_causes(theirs[name], local[name], same, format, self.peer.floating))

    def _codes(self, model: Model, chunk: Mapping[str, Array], given: Mapping[str, Array]) -> dict[str, Array]:
        return all_codes(model.run(chunk, taps=["codes"], threads=self.threads, override=given))

    def _decide(self, theirs: Mapping[str, Array], ours: Mapping[str, Array]) -> None:
        """Keep the logits of both sides: the first output, where it is [images, classes] in one format."""
        name = next(iter(self.model.lowered.outputs.values()))
        if name in theirs and name in ours and ours[name].ndim == 2 and ours[name].shape[1] > 1:
            self.decisions.append((ours[name], theirs[name]))

    def finish(self, images: int, labels: Array | None) -> Comparison:
        model = self.model
        compared = [self.differences[n] for n in self.names if n in self.differences]
        unmatched = [n for n in self.names if n not in self.differences and n not in self.resumed]
        accuracy: dict[str, float] = {}
        if self.decisions:
            ours, theirs = (np.concatenate([pair[side] for pair in self.decisions]) for side in (0, 1))
            if labels is not None:
                accuracy["top1"] = metrics.top1(ours, labels)
                accuracy["peer_top1"] = metrics.top1(theirs, labels)
            accuracy["agreement"] = metrics.agreement(ours, theirs)
            accuracy["cd"] = metrics.classification_difference(ours, theirs)
        return Comparison(
            model.graph.name or "model",
            model.target.name,
            self.peer.name,
            images,
            self.isolated,
            tuple(compared),
            tuple(unmatched),
            tuple(self.resumed),
            accuracy,
        )


def coded_tensors(lowered: Lowered) -> list[str]:
    """The quantized tensors that a peer can have, in topological order: no constants, no steps inside a layer."""
    names = [name for name in lowered.inputs.values() if lowered.values[name] is not None]
    names += [
        name
        for layer in lowered.layers
        if layer.op != "constant"
        for name in layer.outputs
        if "#" not in name and lowered.values[name] is not None
    ]
    return list(dict.fromkeys(names))


def inexact_tensors(lowered: Lowered) -> list[str]:
    """The quantized tensors whose own computation, from other quantized tensors, goes through inexact float layers."""
    tainted: set[str] = set()
    result = []
    for layer in lowered.layers:
        if layer.exact and not tainted.intersection(layer.inputs):
            continue
        name = layer.outputs[0]
        if lowered.values[name] is not None and "#" not in name:
            result.append(name)
        else:
            tainted.add(name)
    return result


def _op(lowered: Lowered, name: str) -> str:
    layer = lowered.producer(name)
    if layer is None:
        return "input"
    node = next((n for n in lowered.graph.nodes if n.name == layer.node), None)
    return node.op if node is not None else layer.op


def _chunks(model: Model, inputs: Mapping[str, Array]) -> Iterator[tuple[int, dict[str, Array]]]:
    """(first image, arrays) for a few images at a time; a fixed batch is never cut."""
    fixed = model.batch
    size = IMAGES if fixed is None else fixed
    count = len(next(iter(inputs.values())))
    if count == 0:
        raise UnusableInput("nothing to compare: the input has no images")
    for first in range(0, count, size):
        yield first, {name: x[first : first + size] for name, x in inputs.items()}
