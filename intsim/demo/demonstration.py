"""What the demo does, step by step, as values; intsim.cli.demo shows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim import demo, files
from intsim.demo.digests import BLOCK, block_digests
from intsim.errors import MissingDependency, UnusableInput
from intsim.formats import ROUNDINGS
from intsim.metrics import compression_difference, top1

if TYPE_CHECKING:
    from intsim.comparison import Comparison
    from intsim.comparison.explain import Explanation
    from intsim.model import Model
    from intsim.run.result import Result
    from intsim.vectors import Manifest

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int], None]

PLANTED = "floor"
"""The rounding rule that is planted in the place of the right one."""


@dataclass(frozen=True)
class Speed:
    """How long the run took. first: seconds until the first image was done, compilation included."""

    images: int
    seconds: float
    first: float
    threads: int

    @property
    def rate(self) -> float:
        """Images a second, once everything is compiled."""
        return self.images / self.seconds

    def to_dict(self) -> dict[str, Any]:
        """The JSON entry."""
        return {
            "images_per_second": round(self.rate, 1),
            "seconds": round(self.seconds, 3),
            "seconds_to_first_image": round(self.first, 3),
            "threads": self.threads,
        }


@dataclass(frozen=True)
class Accuracy:
    """top1 of the integers and of the float model, and CD: the share of images whose class differs between them."""

    top1: float
    float_top1: float
    cd: float

    def to_dict(self) -> dict[str, float]:
        """The JSON entry."""
        return {"top1": self.top1, "float_top1": self.float_top1, "cd": self.cd}


@dataclass(frozen=True)
class Golden:
    """Every tensor against the recorded ones: the first images code by code, all whole blocks by their digests.

    whole: the comparison of the first images. images, blocks: how many the digests cover. wrong: tensor and first
    image of the blocks that differ.
    """

    whole: Comparison
    images: int
    blocks: int
    wrong: tuple[tuple[str, int], ...]

    @property
    def equal(self) -> bool:
        """Whether every code and every digest is the recorded one."""
        return self.whole.equal and not self.wrong

    def to_dict(self) -> dict[str, Any]:
        """The JSON entry."""
        wrong = [{"tensor": tensor, "first_image": image} for tensor, image in self.wrong]
        return {
            "equal": self.equal,
            "comparison": self.whole.to_dict(),
            "images": self.images,
            "blocks": self.blocks,
            "wrong": wrong,
        }


@dataclass(frozen=True)
class Planted:
    """A rounding rule planted at one node, and how the golden vectors caught it.

    comparison: the faulty model against the golden vectors. explanation: of the first wrong code. rules: those with
    which the node gives every golden code of its tensor. target: the faulty one, as TOML reads it.
    """

    node: str
    tensor: str
    right: str
    wrong: str
    comparison: Comparison
    explanation: Explanation | None
    rules: tuple[str, ...]
    target: Mapping[str, Any]

    @property
    def caught(self) -> bool:
        """Whether the comparison named the tensor of the faulty node as the first one that differs."""
        return self.comparison.first == self.tensor and self.rules == (self.right,)

    def to_dict(self) -> dict[str, Any]:
        """The JSON entry."""
        return {
            "node": self.node,
            "tensor": self.tensor,
            "rounding": self.wrong,
            "right_rounding": self.right,
            "caught": self.caught,
            "rules_that_fit": list(self.rules),
            "comparison": self.comparison.to_dict(),
            "explanation": None if self.explanation is None else self.explanation.to_dict(),
        }


class Demonstration:
    """The demo's model and its first `images` test images. Errors: UnusableInput where there are fewer."""

    def __init__(self, images: int, threads: int | None) -> None:
        from intsim.model import load

        members = files.read_arrays(demo.images())
        if images > len(members["x"]):
            raise UnusableInput(f"--images {images}: the demo has {len(members['x'])} images")
        self.x: Array = members["x"][:images]
        self.labels: Array = members["y"][:images]
        self.threads = threads
        self.model: Model = load(demo.quantized_model())
        self.name = demo.quantized_model().name

    @cached_property
    def manifest(self) -> Manifest:
        """The golden vectors."""
        from intsim.vectors import read_manifest

        return read_manifest(demo.golden())

    def run(self, progress: Progress) -> tuple[Result, Speed]:
        """Every tensor of every image, and how long it took."""
        import os

        began = time.perf_counter()
        self.model.run(self.x[:1], taps=["codes"], threads=self.threads)
        first = time.perf_counter() - began
        began = time.perf_counter()
        self.model.run(self.x, threads=self.threads, progress=progress)
        seconds = time.perf_counter() - began
        threads = self.threads or len(os.sched_getaffinity(0))
        result = self.model.run(self.x, taps=["codes"], threads=self.threads)
        return result, Speed(len(self.x), seconds, first, threads)

    def accuracy(self, result: Result) -> Accuracy:
        """The accuracy of the integers beside that of the float model, whose logits are recorded."""
        ours = next(iter(result.outputs.values())).values
        floats = files.read_array(demo.float_logits())[: len(ours)]
        return Accuracy(top1(ours, self.labels), top1(floats, self.labels), compression_difference(ours, floats))

    def golden(self, result: Result) -> Golden:
        """A run's codes against the golden ones."""
        from intsim.comparison import compare

        whole = compare(self.model, f"golden:{demo.golden()}", self._recorded_images(), threads=self.threads)
        wrong, blocks = [], 0
        for name, record in self.manifest.taps.items():
            codes = result.taps[name].codes
            assert codes is not None, "the run tapped them"
            digests = block_digests(codes, result.images)
            blocks += len(digests)
            pairs = zip(digests, record["sha256"], strict=False)
            wrong += [(name, i * BLOCK) for i, (ours, theirs) in enumerate(pairs) if ours != theirs]
        images = result.images // BLOCK * BLOCK
        return Golden(whole, images, blocks, tuple(wrong))

    def compare(
        self, against: str, progress: Progress, images: int | None = None, target: str | None = None
    ) -> Comparison:
        """The model against a peer. Errors: MissingDependency where the peer is not installed."""
        from intsim.comparison import compare

        comparison = compare(
            self.model if target is None else self.model.with_target(target),
            against,
            self.x[:images],
            labels=self.labels[:images],
            threads=self.threads,
            progress=progress,
        )
        return replace(comparison, model=self.name)

    def compare_if_installed(self, against: str, target: str | None, progress: Progress) -> Comparison | str:
        """The comparison, on another target if one is named, or why there is none."""
        try:
            return self.compare(against, progress, target=target)
        except MissingDependency as missing:
            return str(missing)

    def plant(self) -> Planted:
        """One wrong rounding, at the convolution in the middle, found by the golden vectors."""
        from intsim.comparison import compare
        from intsim.comparison.explain import explain

        convolutions = [layer for layer in self.model.lowered.layers if layer.op == "requantize"]
        layer = convolutions[len(convolutions) // 2]
        tensor = layer.outputs[0]
        whole = self._recorded_images()
        faulty = self._with_rounding(layer.node, PLANTED)
        comparison = compare(faulty, f"golden:{demo.golden()}", whole, threads=self.threads)
        found = next((d for d in comparison.layers if d.mismatches), None)
        explanation = None
        if found is not None and found.first is not None:
            explanation = explain(faulty, whole, found.name, found.first.coordinate, self.threads)
        codes = {rule: self._codes(layer.node, rule, tensor, whole) for rule in ROUNDINGS}
        expected = self.manifest.read(tensor)[: len(codes[PLANTED])]
        fitting = tuple(rule for rule, found in codes.items() if np.array_equal(found, expected))
        right = self.model.target.at(layer.node).rounding
        named = replace(comparison, model=self.name)
        return Planted(layer.node, tensor, right, PLANTED, named, explanation, fitting, faulty.target.to_dict())

    def _with_rounding(self, node: str, rounding: str) -> Model:
        target = self.model.target
        override = (_exactly(node), "rounding", rounding)
        return self.model.with_target(replace(target, name=f"{target.name}, one {rounding}", overrides=(override,)))

    def _codes(self, node: str, rounding: str, tensor: str, x: Array) -> Array:
        result = self._with_rounding(node, rounding).run(x, taps=[f"codes@{tensor}"], threads=self.threads)
        codes = result.taps[tensor].codes
        assert codes is not None, "the tap asks for them"
        return codes

    def _recorded_images(self) -> Array:
        """The images whose codes are recorded in full."""
        return self.x[: self.manifest.images]


def _exactly(name: str) -> str:
    """The pattern that this name alone matches."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
