"""compare: a model against a peer, tensor by tensor, tolerance zero."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim import metrics
from intsim.comparison.causes import (
    ACCUMULATORS,
    REQUANTIZER,
    TABLE,
    TIE,
    name_causes,
    other_tie_rules,
    with_exact_tables,
    with_float32_requantizer,
)
from intsim.comparison.comparison import Comparison
from intsim.comparison.differences import TensorDifference
from intsim.comparison.peers import Peer, open_peer
from intsim.comparison.peers.peer import all_codes, coded_tensors, taps_of_codes
from intsim.errors import IntsimError, UnusableInput
from intsim.islands.environment import standard_floats
from intsim.lowering.lowered import Lowered
from intsim.run.inputs import Inputs
from intsim.run.result import Result

if TYPE_CHECKING:
    from intsim.model import Model

Array = np.ndarray[Any, Any]

IMAGES = 16
"""Images that are compared at a time."""

WIDEST = 64
"""Bits of an accumulator in which no sum overflows."""


@standard_floats()
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
    if not callable(getattr(model, "named_inputs", None)):
        raise UnusableInput(f"compare takes a Model, as intsim.load gives it, not {model!r:.80}")
    if not isinstance(against, str) and not callable(getattr(against, "tensors", None)):
        raise UnusableInput(f"against must be a peer's name, like spec or onnxruntime, or a Peer, not {against!r}")
    peer = open_peer(against, model, threads) if isinstance(against, str) else against
    inputs = model.named_inputs(x)
    images = len(next(iter(inputs.values())))
    if labels is not None:
        labels = _checked(labels, images)
    session = _Session(model, peer, isolated, threads)
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
        self.resumed: list[str] = []
        self.differences: dict[str, TensorDifference] = {}
        self.decisions: list[tuple[Array, Array]] = []

    @cached_property
    def variants(self) -> Mapping[str, Sequence[Model]]:
        """Cause -> the model on targets in which that cause acts otherwise: see `name_causes`."""
        target = self.model.target
        others = tuple(entry for entry in target.overrides if entry[1] != "rounding")
        rules = [replace(target, rounding=rule, overrides=others) for rule in other_tie_rules(target)]
        variants = {TIE: [self.model.with_target(rule) for rule in rules]}
        bounds = self.model.bounds.values()
        if not all(b.cannot_overflow for b in bounds) and all(b.partial_bits() <= WIDEST for b in bounds):
            kept = tuple(entry for entry in target.overrides if entry[1] != "accumulator_bits")
            wide = replace(target, accumulator_bits=WIDEST, overrides=kept)
            variants[ACCUMULATORS[target.overflow]] = [self.model.with_target(wide)]
        product = with_float32_requantizer(target) if self.peer.floating else None
        if product is not None:
            # A target that refuses the scales or formats of the model in float32 names no cause.
            with suppress(IntsimError):
                variants[REQUANTIZER] = [self.model.with_target(product)]
        exact = with_exact_tables(self.model.graph)
        if exact is not None:
            variants[TABLE] = [type(self.model)(exact, target)]
        return variants

    def add(self, chunk: Mapping[str, Array], first_image: int) -> None:
        """Compare one chunk: as it propagates, then, where it differs, layer by layer on the peer's inputs."""
        found = self.peer.tensors(chunk, first_image)
        theirs = {n: v for n, v in found.items() if n in self.names and v.dtype.kind in "iu"}
        if self.peer.floating and first_image == 0:
            self.resumed = inexact_tensors(self.model.lowered, theirs)
        given = theirs if self.isolated else {n: theirs[n] for n in self.resumed}
        result = self._run(self.model, chunk, given)
        ours = all_codes(result)
        images = len(next(iter(chunk.values())))
        differing = []
        for name in self.names:
            if name not in theirs or name in self.resumed:
                continue
            difference = self.differences.setdefault(name, TensorDifference(name, _op(self.model.lowered, name)))
            if difference.add(theirs[name], ours[name], first_image, images):
                differing.append(name)
        if differing:
            self._explain(differing, theirs, ours, chunk)
        # What was given may hide what this model would have decided.
        plain = self._run(self.model, chunk, {}, tapped=False) if given else result
        self._decide(found, plain)

    def _explain(
        self, differing: list[str], theirs: dict[str, Array], ours: dict[str, Array], chunk: Mapping[str, Array]
    ) -> None:
        local = ours if self.isolated else all_codes(self._run(self.model, chunk, theirs))
        left = {name: int(np.count_nonzero(local[name] != theirs[name])) for name in differing}
        others: Mapping[str, list[dict[str, Array]]] = {}
        if any(left.values()):
            others = {
                cause: [all_codes(self._run(model, chunk, theirs)) for model in models]
                for cause, models in self.variants.items()
            }
        for name, count in left.items():
            difference = self.differences[name]
            difference.local = (difference.local or 0) + count
            format = self.model.lowered.values[name]
            if count and format is not None:
                same = {cause: [codes[name] for codes in runs] for cause, runs in others.items()}
                difference.causes.update(name_causes(theirs[name], local[name], same, format, self.peer.floating))

    def _run(
        self,
        model: Model,
        chunk: Mapping[str, Array],
        given: Mapping[str, Array],
        *,
        tapped: bool = True,
    ) -> Result:
        taps = taps_of_codes(model.lowered) if tapped else ()
        return model.run(chunk, taps=taps, threads=self.threads, override=given)

    def _decide(self, theirs: Mapping[str, Array], result: Result) -> None:
        """Keep the scores of both sides, as reals: those of the first output, where it is [images, classes]."""
        name, output = next(iter(result.outputs.items()))
        value = self.model.lowered.outputs[name]
        other = theirs.get(value, theirs.get(name))
        ours = _scores(output.real)
        if ours is None or other is None:
            return
        format = self.model.lowered.values[value]
        coded = other.dtype.kind in "iu" and format is not None
        reals = _scores(format.real(other) if coded and format is not None else other)
        if reals is not None and reals.shape == ours.shape:
            self.decisions.append((ours, reals))

    def finish(self, images: int, labels: Array | None) -> Comparison:
        """The Comparison. Errors: UnusableInput where nothing was compared, or labels fit no output."""
        compared = [self.differences[n] for n in self.names if n in self.differences]
        known = {*self.differences, *self.resumed}
        unmatched = [n for n in self.names if n not in known and n not in real_in_file(self.model.lowered)]
        accuracy: dict[str, float] = {}
        if self.decisions:
            ours, theirs = (np.concatenate([pair[side] for pair in self.decisions]) for side in (0, 1))
            if labels is not None:
                accuracy["top1"] = metrics.top1(ours, labels)
                accuracy["peer_top1"] = metrics.top1(theirs, labels)
            accuracy["agreement"] = metrics.agreement(ours, theirs)
            accuracy["cd"] = metrics.compression_difference(ours, theirs)
        elif labels is not None:
            raise UnusableInput(
                f"labels were given, but the model and {self.peer.name} share no first output of shape "
                f"[images, classes]; leave the labels out"
            )
        return Comparison(
            self.model.graph.name or "model",
            self.model.target.name,
            self.peer.name,
            images,
            self.isolated,
            tuple(compared),
            tuple(unmatched),
            tuple(self.resumed),
            accuracy,
        )


def real_in_file(lowered: Lowered) -> frozenset[str]:
    """The tensors that the model file has as reals and this model as codes: a peer need not have codes of them."""
    kept = {name for node in lowered.graph.nodes for name in node.attributes.get("kept", ())}
    return frozenset(kept | {name for name in lowered.graph.values if "#" in name})


def inexact_tensors(lowered: Lowered, theirs: Collection[str]) -> list[str]:
    """The peer's quantized tensors whose computation, from others of the peer's, goes through inexact float layers."""
    tainted: set[str] = set()
    result = []
    for layer in lowered.layers:
        if layer.exact and not tainted.intersection(layer.inputs):
            continue
        name = layer.outputs[0]
        if name in theirs:
            result.append(name)
        else:
            tainted.add(name)
    return result


def _scores(values: Array) -> Array | None:
    """Reals [images, classes], where the array is that, but for axes of length 1 at the end."""
    if values.ndim < 2 or values.shape[1] < 2 or values[0].size != values.shape[1]:
        return None
    return values.reshape(values.shape[:2])


def _checked(labels: Array, images: int) -> Array:
    labels = np.asarray(labels)
    if labels.shape != (images,) or labels.dtype.kind not in "iu":
        raise UnusableInput(
            f"labels must be integers [{images}], one an image, not {labels.dtype.name} {list(labels.shape)}"
        )
    return labels


def _op(lowered: Lowered, name: str) -> str:
    layer = lowered.producer(name)
    if layer is None:
        return "input"
    node = next((n for n in lowered.graph.nodes if n.name == layer.node), None)
    return node.op if node is not None else layer.op


def _chunks(model: Model, inputs: Inputs) -> Iterator[tuple[int, Inputs]]:
    """(first image, arrays) for a few images at a time; a fixed batch, or images that are mixed, are never cut."""
    fixed = model.batch
    count = len(next(iter(inputs.values())))
    size = fixed if fixed is not None else IMAGES if model.lowered.mixing_node is None else max(count, 1)
    if count == 0:
        raise UnusableInput("nothing to compare: the input has no images")
    for first in range(0, count, size):
        yield first, inputs.part(first, first + size)
