"""Calibration: the float network runs on sample inputs, batch by batch, and its tensors are measured.

Three passes over the data, so that memory is bounded whatever its length: the largest magnitudes, which give the
reference exponents; the errors of the candidate exponents; and, once the exponents are chosen, the shares of
numbers that saturate and that become zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.errors import MissingDependency, OutOfDomain, UnusableInput
from intsim.quantization.candidates import Candidate, Trial, finest_grid
from intsim.quantization.cells import count_cells, moments
from intsim.quantization.exponents import best_exponent, candidate_exponents, reference_exponent
from intsim.quantization.float_graph import FloatGraph, first_line

Array = np.ndarray[Any, Any]
Progress = Callable[[str, int, int], None]
"""Called with the pass's name, the inputs done and the inputs in all."""

Runs = Callable[[Sequence[str], str], Iterator[tuple[bool, Mapping[str, Array]]]]
"""Tensors and the pass's name -> every part of the data: whether it begins a batch, and the tensors' float32 values."""

Range = tuple[float, float]
"""The lowest and the highest of some numbers."""

BUDGET = 1 << 26
"""Numbers that one run of the float network may put out: 256 MiB of float32."""


@dataclass(frozen=True)
class Measured:
    """What calibration tells of a tensor.

    reference: the reference exponent of all its numbers. batches: the best exponent of each batch.
    candidates: those of all its numbers.
    """

    reference: int
    batches: tuple[int, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Shares:
    """The shares of a tensor's numbers whose code is clipped, and whose code is zero."""

    saturated: float
    zero: float


class Calibration:
    """A float network, and sample inputs for it.

    inputs: floating, [N, …] of the network's input shape, finite; read a slice at a time, so a memory map will do.
    batch: inputs a batch, in file order; the last one may be shorter.
    Errors: MissingDependency without onnxruntime; UnusableInput for inputs that do not fit or are not finite.
    """

    def __init__(
        self, graph: FloatGraph, inputs: Array, batch: int, threads: int | None = None, progress: Progress | None = None
    ) -> None:
        self.graph = graph
        self.inputs = inputs
        self.batch = batch
        self.progress = progress
        self._check()
        self.threads = threads
        self._session: Any = None
        self._observed: tuple[str, ...] = ()
        self._step = 0

    def measure(self, tensors: Sequence[str], bits: int) -> dict[str, Measured]:
        """The Measured of each tensor, for codes of `bits` bits. Errors: OutOfDomain names one that is not finite."""
        return measure(self._runs, dict.fromkeys(tensors, bits))

    def shares(self, exponents: dict[str, int], bits: int) -> dict[str, Shares]:
        """The Shares of each tensor at the exponent chosen for it."""
        counts = {name: np.zeros(3, np.int64) for name in exponents}
        for _, run in self._runs(tuple(exponents), "shares"):
            for name, exponent in exponents.items():
                counts[name] += count_shares(run[name], exponent, bits)
        return {name: Shares(float(s / n), float(z / n)) for name, (n, s, z) in counts.items()}

    def _runs(self, tensors: Sequence[str], what: str) -> Iterator[tuple[bool, dict[str, Array]]]:
        """Every part of the data in file order: whether it begins a batch, and the tensors' float32 values."""
        self._observe(tuple(tensors))
        total = len(self.inputs)
        for start in range(0, total, self.batch):
            end = min(start + self.batch, total)
            for part in range(start, end, self._step):
                x = self._slice(part, min(part + self._step, end))
                names = [name for name in tensors if name != self.graph.input]
                values = self._run(x, names)
                yield part == start, {**values, self.graph.input: x}
                if self.progress is not None:
                    self.progress(what, min(part + self._step, end), total)

    def _observe(self, tensors: tuple[str, ...]) -> None:
        """Make the session that puts out these tensors, and find how many inputs it may run at once."""
        if tensors == self._observed:
            return
        self._observed = tensors
        names = [name for name in tensors if name != self.graph.input]
        self._session = _session(self.graph.to_model(names or None), self.threads)
        fixed = self.graph.input_shape[0]
        if isinstance(fixed, int):
            self._step = fixed
            return
        values = self._run(self._slice(0, 1), names)
        self._step = max(1, min(self.batch, BUDGET // max(1, sum(v.size for v in values.values()))))

    def _run(self, x: Array, names: Sequence[str]) -> dict[str, Array]:
        try:
            values = self._session.run(list(names), {self.graph.input: x}) if names else []
        except Exception as error:  # onnxruntime's errors have no common class of their own
            raise UnusableInput(f"onnxruntime cannot run the float model: {first_line(error)}") from error
        return dict(zip(names, values, strict=True))

    def _slice(self, start: int, end: int) -> Array:
        x = np.ascontiguousarray(self.inputs[start:end], np.float32)
        if not np.isfinite(x).all():
            at = np.argwhere(~np.isfinite(x))[0]
            where = (start + int(at[0]), *(int(i) for i in at[1:]))
            raise UnusableInput(f"calibration data: {x[tuple(at)]} at {where}; every number must be finite")
        return x

    def _check(self) -> None:
        x, shape = self.inputs, self.graph.input_shape
        if x.dtype.kind != "f":
            raise UnusableInput(f"calibration data must be reals (a floating dtype), not {x.dtype}")
        wrong = x.ndim != len(shape) or any(
            isinstance(want, int) and want != have for want, have in zip(shape[1:], x.shape[1:], strict=False)
        )
        if wrong:
            wanted = ", ".join(str(s) if isinstance(s, int) else "?" for s in shape[1:])
            raise UnusableInput(f"calibration data must have the shape [N, {wanted}], not {list(x.shape)}")
        if x.size == 0:
            raise UnusableInput("calibration data is empty; give at least one input")
        if self.batch < 1:
            raise UnusableInput(f"batch must be 1 or more, not {self.batch}")
        fixed = shape[0]
        if isinstance(fixed, int) and (self.batch % fixed or len(x) % fixed):
            raise UnusableInput(
                f"the model takes {fixed} inputs at a time: batch ({self.batch}) and the number of calibration inputs "
                f"({len(x)}) must be multiples of that"
            )


def measure(runs: Runs, bits: Mapping[str, int]) -> dict[str, Measured]:
    """The Measured of each tensor, for codes of that many bits. Errors: OutOfDomain names one that is not finite."""
    ranges: dict[str, list[Range]] = {name: [] for name in bits}
    for first, run in runs(tuple(bits), "ranges"):
        for name in bits:
            found = _range(run[name], name)
            if first:
                ranges[name].append(found)
            else:
                ranges[name][-1] = _union(ranges[name][-1], found)
    trials = {name: Trial(*_union(*found), bits[name]) for name, found in ranges.items()}
    errors: dict[str, list[dict[int, float]]] = {name: [] for name in bits}
    for first, run in runs(tuple(bits), "errors"):
        for name, width in bits.items():
            if first:
                lowest, highest = ranges[name][len(errors[name])]
                here = reference_exponent(max(-lowest, highest), width)
                errors[name].append(dict.fromkeys(candidate_exponents(here), 0.0))
            _add_errors(run[name], trials[name], errors[name][-1])
    return {
        name: Measured(trial.reference, tuple(best_exponent(e) for e in errors[name]), trial.candidates())
        for name, trial in trials.items()
    }


def _session(model: Any, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency(
            "quantizing runs the float model with onnxruntime, which is not installed: pip install 'intsim[ort]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class of their own
        raise UnusableInput(f"onnxruntime cannot load the float model: {first_line(error)}") from error


def _range(values: Array, name: str) -> Range:
    lowest, highest = float(values.min()), float(values.max())
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise OutOfDomain(f"tensor {name!r}: the float model gives {lowest} … {highest} on the calibration data")
    return lowest, highest


def _union(*ranges: Range) -> Range:
    return min(lowest for lowest, _ in ranges), max(highest for _, highest in ranges)


def _add_errors(values: Array, trial: Trial, errors: dict[int, float]) -> None:
    """Count these numbers among the whole tensor's, and add the squared errors of their batch's candidates."""
    grid = min(finest_grid(trial.reference), min(errors) - 1)
    lowest, highest = _range(values, "")
    cells = count_cells(values, grid, max(-lowest, highest))
    trial.add(cells)
    for exponent in errors:
        errors[exponent] += moments(cells, exponent, trial.bits).squared_error


def count_shares(values: Array, exponent: int, bits: int) -> Array:
    """How many numbers there are, how many of their codes are clipped, and how many are zero: int64[3].

    code = half_up(r / 2**e): clipped from high + 1/2 on and below low - 1/2, zero from -1/2 to below 1/2.
    """
    high = (1 << (bits - 1)) - 1
    top, bottom, half = (np.float32(math.ldexp(v, exponent)) for v in (high + 0.5, -high - 1.5, 0.5))
    clipped = np.count_nonzero(values >= top) + np.count_nonzero(values < bottom)
    zero = np.count_nonzero((values >= -half) & (values < half))
    return np.array([values.size, clipped, zero])
