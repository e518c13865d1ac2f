"""Networks that compute across images are run on all of them at once, and give what one run gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

import intsim
from intsim.run.batches import divide
from intsim.run.inputs import values_of
from tests.importers.onnx.models import ModelWriter

Build = Callable[[ModelWriter, str], str]

ACROSS: dict[str, Build] = {
    "largest of all images": lambda w, x: w.node("ReduceMax", x, w.constant(np.array([0])), keepdims=1),
    "mean of all images": lambda w, x: w.node("ReduceMean", x, w.constant(np.array([0])), keepdims=1),
    "images as columns": lambda w, x: w.node("Transpose", x, perm=[1, 0]),
    "images in reverse": lambda w, x: w.node(
        "Slice", x, *(w.constant(np.array([v])) for v in (-1, np.iinfo(np.int64).min, 0, -1))
    ),
    "all images twice": lambda w, x: w.node("Concat", x, x, axis=0),
    "one image more": lambda w, x: w.node("Pad", x, w.constant(np.array([0, 0, 1, 0]))),
    "products of images": lambda w, x: w.node("MatMul", x, w.node("Transpose", x, perm=[1, 0])),
}
BROADCAST: dict[str, Build] = {
    "a sum of each two images": lambda w, x: w.node("Add", w.node("Unsqueeze", x, w.constant(np.array([1]))), x),
    "a product of each two images": lambda w, x: w.node("Mul", x, w.node("Unsqueeze", x, w.constant(np.array([1])))),
    "a stack of products": lambda w, x: w.node("MatMul", x, w.node("Unsqueeze", x, w.constant(np.array([2])))),
    "rows of several images": lambda w, x: w.node("Reshape", x, w.constant(np.array([-1, 12]))),
}
ACROSS |= BROADCAST
APART: dict[str, Build] = {
    "largest of an image": lambda w, x: w.node("ReduceMax", x, w.constant(np.array([1])), keepdims=0),
    "rows of an image": lambda w, x: w.node("Reshape", x, w.constant(np.array([-1, 2]))),
    "another shape": lambda w, x: w.node("Reshape", x, w.constant(np.array([0, 2, 2]))),
    "an image twice": lambda w, x: w.node("Concat", x, x, axis=1),
    "a sum": lambda w, x: w.node("Add", x, x),
}
X = np.random.default_rng(3).normal(0, 20, (72, 4)).astype(np.float32)


def model(build: Build) -> onnx.ModelProto:
    w = ModelWriter(18)
    x = w.quantized(w.input("x", ["N", 4]), 0.5, 128)
    return w.model(w.quantized(build(w, x), 0.5, 128))


@pytest.mark.parametrize("name", ACROSS)
def test_images_that_are_mixed_are_run_at_once(name: str) -> None:
    """72 images are more than are taken at a time; the spec takes fewer than the engine."""
    loaded = intsim.load(model(ACROSS[name]), target="diffquant")
    assert loaded.lowered.mixing_node is not None
    division = divide(loaded.lowered, values_of(loaded.lowered, loaded.named_inputs(X)))
    assert (division.units, division.total) == (1, 72)
    results: list[Any] = [loaded.run(X, engine=engine) for engine in ("kernels", "spec")]
    first, second = (next(iter(result.outputs.values())).values for result in results)
    assert np.array_equal(first, second)
    assert [result.images for result in results] == [72, 72]


@pytest.mark.parametrize("name", ACROSS)
def test_they_are_equal_to_onnxruntime(name: str) -> None:
    pytest.importorskip("onnxruntime")
    if name in ("products of images", "a stack of products"):
        pytest.skip("a product of two activations of this form runs in float there")
    loaded = intsim.load(model(ACROSS[name]), target="onnxruntime")
    comparison = intsim.compare(loaded, "onnxruntime", X)
    assert comparison.equal and comparison.images == 72, comparison.table()


@pytest.mark.parametrize("name", APART)
def test_images_that_stay_apart_are_cut(name: str) -> None:
    assert intsim.load(model(APART[name]), target="diffquant").lowered.mixing_node is None
