"""Model: a quantized network on a target, ready to run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim.errors import UnusableInput
from intsim.graph import Graph, Node, Value
from intsim.islands.environment import standard_floats
from intsim.lowering import lower
from intsim.lowering.lowered import Lowered
from intsim.plan import Choice, Plan, make_plan
from intsim.ranges.bounds import Bounds
from intsim.run.batches import Progress
from intsim.run.engine import Engine
from intsim.run.inputs import Inputs, check_inputs, signature_of, values_of
from intsim.run.notebook import table_html
from intsim.run.reference import SpecEngine, run_reference
from intsim.run.result import Result
from intsim.settings import Change, with_formats
from intsim.taps.tap import TapSpec
from intsim.target import TARGETS, Target, find_target

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, Any]

ENGINES = ("kernels", "spec")
"""What computes: the compiled kernels, or the definition itself on unbounded integers (slow)."""

TARGET_METADATA = "intsim.target"
"""The metadata entry of a model file that names its target."""


def load(source: str | Path | bytes | onnx.ModelProto, target: str | Path | Target = "auto") -> Model:
    """The Model of an ONNX file (its path, its bytes or the ModelProto) on a target.

    target: a Target, a name, the path of a .toml file, or "auto": the one named in the file's metadata
    (`intsim.target`), else `diffquant` if every scale is a power of two, else `onnxruntime`.
    Errors: MalformedGraph, UnsupportedOp, UnusableInput.
    """
    from intsim.importers import load_graph

    if not isinstance(source, str | Path | bytes) and not hasattr(source, "SerializeToString"):
        raise UnusableInput(f"load takes the path of an ONNX file, its bytes or a ModelProto, not {source!r:.80}")
    graph = load_graph(source)
    return Model(graph, auto_target(graph) if target == "auto" else find_target(target), file=_file(source))


def _file(source: str | Path | bytes | onnx.ModelProto) -> Path | bytes:
    """The model file for other runtimes: its path, or its bytes where it has none."""
    if isinstance(source, bytes):
        return source
    return Path(source) if isinstance(source, str | Path) else source.SerializeToString()


def auto_target(graph: Graph) -> Target:
    """The target that the file's metadata names, else the one that the scales suggest."""
    name = graph.metadata.get(TARGET_METADATA)
    if name is not None:
        if name not in TARGETS:
            # A file may name a target, but not a path: it must not make intsim open other files.
            raise UnusableInput(
                f"the model's metadata names the target {name!r}, which is none of {', '.join(TARGETS)}; give a target"
            )
        return TARGETS[name]
    formats = (value.format for value in graph.values.values())
    shifts_only = all(format is None or format.exponents is not None for format in formats)
    return TARGETS["diffquant" if shifts_only else "onnxruntime"]


class Model:
    """A quantized network on a target. It is never changed: a new setting is a new Model.

    graph, target: as given. lowered: what each layer computes in integers. plan: the kernels, chosen by proof (made
    at first use). bounds: what each accumulator can reach, by layer name. file: the ONNX file (path or bytes) that
    the graph was read from, None once a setting differs from it.
    """

    def __init__(
        self, graph: Graph, target: Target, like: Model | None = None, file: Path | bytes | None = None
    ) -> None:
        self.file = file
        self.graph = graph
        self.target = target
        self.lowered: Lowered = lower(graph, target)
        self._like = like
        self._engines: dict[Any, Engine] = {}

    def __repr__(self) -> str:
        """Name, target, size, inputs and outputs."""
        ends = "; ".join(
            f"{what} " + ", ".join(f"{name} {_shape(self.graph.values[name].shape)}" for name in names)
            for what, names in (("inputs", self.graph.inputs), ("outputs", self.graph.outputs))
        )
        return f"Model({self.graph.name!r}, target {self.target.name}, {len(self.graph.nodes)} nodes; {ends})"

    def _repr_html_(self) -> str:
        """The nodes as a table in a notebook: name, op, output tensor, shape, format."""
        values = self.graph.values
        rows = [
            (node.name, node.op, name, _shape(values[name].shape), self.lowered.values.get(name) or "float32")
            for node in self.graph.nodes
            for name in node.outputs
            if name
        ]
        return table_html(repr(self), ("node", "op", "tensor", "shape", "format"), rows)

    def __getstate__(self) -> dict[str, Any]:
        """Of a copy: engines, which hold threads and compiled functions, are left out."""
        return {**self.__dict__, "_engines": {}}

    @cached_property
    def plan(self) -> Plan:
        """The kernel of each layer, and the proofs that it rests on."""
        like = self._like
        self._like = None  # an ancestor is kept no longer than it is needed
        return make_plan(self.lowered, None if like is None else like.__dict__.get("plan"))

    @property
    def isa(self) -> str:
        """The instruction set of the kernels here. Errors: UnusableInput where INTSIM_ISA names none that there is."""
        return self._engine(None).isa

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The kernel of each layer on this processor, and why. Errors: those of `isa`."""
        return self._engine(None).choices

    @property
    def bounds(self) -> Mapping[str, Bounds]:
        """What each accumulator can reach, by layer name."""
        return self.plan.bounds

    def _engine(self, threads: int | None, isa: str | None = None) -> Engine:
        """The engine of `threads` threads and an instruction set, kept with its programs and memory for the next run.

        The process is in its key because threads do not survive a fork.
        """
        engine = Engine(self.plan, threads, isa)
        return self._engines.setdefault((os.getpid(), engine.threads, engine.isa), engine)

    @property
    def batch(self) -> int | None:
        """The length of the batch that the file fixes, None where it leaves it open."""
        shapes = [self.graph.values[name].shape for name in self.graph.inputs]
        lengths = [shape[0] for shape in shapes if shape]
        return lengths[0] if lengths and None not in lengths else None

    @standard_floats()
    def named_inputs(self, x: Array | Mapping[str, Array]) -> Inputs:
        """x by input name: float32 reals, or codes in their format's dtype. Errors: see `run`.

        Reals for an input that takes codes are quantized by the target's rule for reals that enter. What comes back,
        and parts of it, are not checked again by `run` of this Model or of one whose inputs have the same formats.
        """
        if isinstance(x, Inputs) and x.fit(self.lowered):
            return x
        arrays = {name: self._quantized(name, array) for name, array in check_inputs(self.lowered, x).items()}
        return Inputs(arrays, signature_of(self.lowered))

    def _quantized(self, name: str, array: Array) -> Array:
        value = self.graph.values[name]
        if value.format is None or array.dtype.kind in "iu":
            return array
        real = f"{name}#real"
        node = Node(name, "QuantizeLinear", (real,), (name,))
        values = {real: Value(real, value.shape, None), name: value}
        graph = Graph(name, (real,), (name,), (node,), values, {}, self.graph.opset)
        return run_reference(lower(graph, self.target), {real: array})[name]

    def run(
        self,
        x: Array | Mapping[str, Array],
        taps: Sequence[str | TapSpec] = (),
        threads: int | None = None,
        engine: str = "kernels",
        progress: Progress | None = None,
        override: Mapping[str, Array] | None = None,
        isa: str | None = None,
    ) -> Result:
        """The outputs and taps for x: result.outputs[name].codes / .real / .format, result.taps[tensor or node].

        x: one array, or a dict by input name; floating dtype: reals, integer dtype: codes; batch first (a fixed batch
        runs any multiple of it). taps: `KIND` or `KIND@PATTERN` (see intsim.taps.tap). threads: default all cores.
        engine: one of ENGINES. progress: called with (images done, images). override: codes by tensor name that take
        the place of what was computed, for the layers after it (outputs and taps show what was computed). isa: the
        instruction set of the kernels, avx512vnni, avxvnni, avx2 or portable; default: INTSIM_ISA, else the fastest.
        Errors: UnusableInput, OutOfDomain, AccumulatorOverflow.
        """
        if engine not in ENGINES:
            raise UnusableInput(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
        inputs = values_of(self.lowered, self.named_inputs(x))
        if not isinstance(taps, str | TapSpec | Iterable):
            raise UnusableInput(f"taps must be a list of KIND or KIND@PATTERN, not {taps!r}")
        specs = [TapSpec.parse(tap) for tap in ([taps] if isinstance(taps, str | TapSpec) else taps)]
        if engine == "spec":
            return SpecEngine(self.lowered).run(inputs, specs, override, progress=progress)
        return self._engine(threads, isa).run(inputs, specs, override, progress=progress)

    @standard_floats()
    def with_formats(self, changes: Mapping[str, Change]) -> Model:
        """The same network in another setting, e.g. {"conv3": 4}: see intsim.settings.with_formats.

        Constants and proofs that do not change are shared with this Model.
        """
        return Model(with_formats(self.graph, changes), self.target, like=self)

    def with_target(self, target: str | Path | Target) -> Model:
        """The same network on another target; constants and proofs that do not change are shared."""
        return Model(self.graph, find_target(target), like=self, file=self.file)


def _shape(lengths: tuple[int | None, ...]) -> str:
    return f"[{', '.join('N' if length is None else str(length) for length in lengths)}]"
