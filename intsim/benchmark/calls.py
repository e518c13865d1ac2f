"""Calls: one run of a model by each runtime, everything prepared that a deployment would prepare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim.comparison.ort_session import deployed_session, run_session
from intsim.comparison.peers.peer import as_reals
from intsim.errors import UnusableInput
from intsim.run.engine import Engine
from intsim.run.inputs import values_of

if TYPE_CHECKING:
    from intsim.model import Model
    from intsim.run.result import Result

Array = np.ndarray[Any, Any]


def intsim_call(
    model: Model, inputs: Mapping[str, Array], threads: int, taps: Sequence[str] = ()
) -> Callable[[], Result]:
    """A call that runs the model's plan on the inputs. Errors: UnusableInput, OutOfDomain."""
    engine = Engine(model.plan, threads)
    values = values_of(model.lowered, model.named_inputs(inputs))
    return lambda: engine.run(values, taps)


def onnxruntime_call(model: Model, inputs: Mapping[str, Array], threads: int) -> Callable[[], list[Array]]:
    """A call that runs the model's own file in ONNX Runtime, on the same inputs as reals.

    Errors: MissingDependency without onnxruntime; UnsupportedOp where it refuses the model; UnusableInput where a
    setting has no file.
    """
    if model.file is None:
        raise UnusableInput("ONNX Runtime runs model files, and this model's formats differ from its file's")
    session = deployed_session(model.file, threads=threads)
    feeds = as_reals(model.graph, model.lowered.inputs, model.named_inputs(inputs))
    return lambda: run_session(session, feeds)


def random_inputs(model: Model, images: int, seed: int = 0) -> dict[str, Array]:
    """Random inputs by name, the batch first: every code of the input's format is as likely.

    Codes for an input that takes codes; the reals that they mean for one that takes reals, which the model quantizes;
    reals of a normal distribution where nothing quantizes them.
    Errors: UnusableInput where the file leaves other lengths open than the batch's, or fixes another batch.
    """
    random = np.random.default_rng(seed)
    return {name: _random(model, name, images, random) for name in model.graph.inputs}


def _random(model: Model, name: str, images: int, random: np.random.Generator) -> Array:
    value = model.graph.values[name]
    fixed = model.batch
    if fixed is not None and images % fixed:
        raise UnusableInput(f"the model's batch is fixed: give a multiple of {fixed}, not {images}")
    if any(length is None for length in value.shape[1:]):
        raise UnusableInput(f"input {name!r} has axes of open length; give an array with --input {name}=X.npy")
    first = images if fixed is not None or value.shape[:1] == (None,) else None
    shape = [length or images for length in value.shape]
    if first is not None and shape:
        shape[0] = first
    format = model.lowered.values[model.lowered.inputs[name]]
    if format is None:
        return random.standard_normal(shape, dtype=np.float32)
    codes = random.integers(format.low, format.high, shape, endpoint=True).astype(format.dtype)
    return codes if value.format is not None else format.real(codes)
