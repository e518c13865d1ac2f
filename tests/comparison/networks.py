"""A small classifier of codes, and a peer whose tensors a test writes down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from intsim.comparison.peers.peer import all_codes
from intsim.formats import Format
from intsim.graph import Graph, Node, Value
from intsim.model import Model
from intsim.target import TARGETS, Target

Array = np.ndarray[Any, Any]

CHANNELS, SIDE = 3, 4
CONV = {"strides": (1, 1), "dilations": (1, 1), "groups": 1, "pads": (1, 1, 1, 1)}
X, W, H = Format(8, scale=(2.0**-4,)), Format(8, scale=(2.0**-6,)), Format(8, scale=(2.0**-3,))
MEAN = Format(8, scale=(2.0**-5,))
NAMES = ["x", "first", "second", "mean", "scores"]
"""The quantized tensors of the classifier in topological order."""


def classifier(target: Target = TARGETS["diffquant"], **formats: Format) -> Model:
    """x -> Conv -> first -> Conv -> second -> GlobalAveragePool -> mean -> Flatten -> scores, [N, 3]."""
    random = np.random.default_rng(5)
    weights = {f"w{i}": random.integers(-90, 90, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8) for i in (1, 2)}
    image: tuple[int | None, ...] = (None, CHANNELS, SIDE, SIDE)
    shapes: dict[str, tuple[int | None, ...]] = {"x": image, "first": image, "second": image}
    shapes |= {"mean": (None, CHANNELS, 1, 1), "scores": (None, CHANNELS)}
    shapes |= {name: array.shape for name, array in weights.items()}
    known = {"x": X, "w1": W, "w2": W, "first": H, "second": H, "mean": MEAN, "scores": MEAN, **formats}
    nodes = (
        Node("conv1", "Conv", ("x", "w1"), ("first",), CONV),
        Node("conv2", "Conv", ("first", "w2"), ("second",), CONV),
        Node("pool", "GlobalAveragePool", ("second",), ("mean",)),
        Node("flatten", "Flatten", ("mean",), ("scores",), {"axis": 1}),
    )
    values = {name: Value(name, shape, known[name]) for name, shape in shapes.items()}
    return Model(Graph("classifier", ("x",), ("scores",), nodes, values, weights, 21), target)


def stimulus(images: int = 5) -> Array:
    """Codes i8[images, 3, 4, 4]."""
    return np.random.default_rng(6).integers(-60, 60, (images, CHANNELS, SIDE, SIDE)).astype(np.int8)


def tensors_of(model: Model, x: Array, override: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """The codes of every tensor; where one is overridden, the others are what follows from it."""
    return {**all_codes(model.run(x, taps=["codes"], override=override)), **(override or {})}


class Written:
    """A peer with given tensors of all images; change: what is made of each chunk's."""

    def __init__(
        self,
        tensors: Mapping[str, Array],
        *,
        floating: bool = False,
        change: Callable[[dict[str, Array]], dict[str, Array]] = lambda tensors: tensors,
    ) -> None:
        self.name = "written down"
        self.floating = floating
        self.arrays = tensors
        self.change = change
        self.calls: list[tuple[int, int]] = []

    def tensors(self, inputs: Mapping[str, Array], first_image: int) -> Mapping[str, Array]:
        count = len(next(iter(inputs.values())))
        self.calls.append((first_image, count))
        return self.change({name: array[first_image : first_image + count] for name, array in self.arrays.items()})


def planted(array: Array, *at: int, by: int = 1) -> Array:
    """A copy with one code changed."""
    copy = array.copy()
    copy[at] += by
    return copy
