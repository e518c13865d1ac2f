"""A network of quantized layers: what `quantize` makes of a module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from intsim.errors import OutOfDomain, UnusableInput
from intsim.files import write_file
from intsim.quantization.exponents import check_exponent
from intsim.quantization.float_graph import FloatGraph
from intsim.quantization.placement import CodedTensor, clamps_after
from intsim.training.carriers import Coded, quantized
from intsim.training.export import exported
from intsim.training.modules.average import Average
from intsim.training.modules.mac import Mac
from intsim.training.proof import exact_kernels

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class CallStep:
    """One node of the network: its layer, the tensors that it reads and makes.

    ends: the tensor after the Relu and Clip that the layer's requantizer does, too; `makes` where there are none.
    """

    name: str
    layer: nn.Module
    reads: tuple[str, ...]
    makes: str
    ends: str


class QuantizedModule(nn.Module):
    """A quantized network in PyTorch, whose forward pass is exactly what the `diffquant` target computes.

    graph: the float network, batch normalisation absorbed; its constants are where the layers' parameters started.
    places: its tensors with codes. layers: by node. input: the average of the input's exponent; input_bits: its codes.
    """

    def __init__(
        self,
        graph: FloatGraph,
        places: Mapping[str, CodedTensor],
        layers: Mapping[str, nn.Module],
        input: Average,
        input_bits: int,
    ) -> None:
        super().__init__()
        self.graph, self.places = graph, dict(places)
        self.input, self.input_bits = input, input_bits
        self.layers = nn.Module()
        for name, layer in layers.items():
            _put(self.layers, name, layer)
        ends = {node.name: (node, *clamps_after(graph, node))[-1].outputs[0] for node in graph.nodes}
        constant = graph.constants
        self.steps = tuple(
            CallStep(
                node.name,
                layers[node.name],
                tuple(name for name in node.inputs if name and name not in constant),
                node.outputs[0],
                ends[node.name],
            )
            for node in graph.nodes
        )

    def forward(self, x: Tensor) -> Any:
        """The reals of the output, f32, or a tuple of them: codes * 2**exponent, exactly.

        x: reals f32[N, …]. Gradients pass the rounding straight through, and are zero where codes are clipped.
        Errors: UnusableInput inside autocast; OutOfDomain for x that is not finite.
        """
        with exact_kernels():
            values = {self.graph.input: self._input(x)}
            done: set[str] = set()
            for step in self.steps:
                if step.makes in done:
                    continue
                values[step.ends] = self._run(step, values)
                done.update(self._between(step))
        outputs = tuple(values[name].reals for name in self.graph.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    @torch.no_grad()
    def codes(self, x: Tensor) -> dict[str, Array]:
        """The codes of every quantized tensor by name, as in evaluation; of the smallest integer dtype that holds them.

        A tensor is called like the layer that makes it, the input's codes NAME.codes. Where a Relu or Clip follows a
        layer alone, both have codes at 8 bits; else only what comes out of it has, as in the deployed model.
        """
        training = self.training
        self.eval()
        try:
            with exact_kernels():
                values = {self.graph.input: self._input(x)}
                skipped: set[str] = set()
                for step in self.steps:
                    if step.makes in skipped:
                        continue
                    apart = self._bits(step, values) == 8
                    values[step.makes if apart else step.ends] = self._run(step, values, clamped=not apart)
                    if not apart:
                        skipped.update(self._between(step))
        finally:
            self.train(training)
        named = {f"{self.graph.input}.codes" if name == self.graph.input else name: v for name, v in values.items()}
        return {name: value.integers for name, value in named.items()}

    def exponents(self) -> dict[str, int]:
        """The exponent of every tensor with codes, as in evaluation."""
        found = {self.graph.input: self.input.value}
        for step in self.steps:
            found[step.makes] = step.layer.exponent(*(found[name] for name in step.reads))  # type: ignore[operator]
        return {name: check_exponent(e, name) for name, e in found.items()}

    def to_model(self) -> onnx.ModelProto:
        """The quantized network as ONNX, with the integers of `codes`."""
        macs = {step.name: step.layer for step in self.steps if isinstance(step.layer, Mac)}
        graph = replace(self.graph, constants=dict(self.graph.constants))
        return exported(graph, self.places, self.exponents(), self.bits(), macs)

    def to_onnx(self, path: str | Path) -> None:
        """Write `to_model` to a file, at once."""
        write_file(path, self.to_model().SerializeToString())

    def bits(self) -> dict[str, int]:
        """The bits of every tensor with codes."""
        found = {self.graph.input: self.input_bits}
        for step in self.steps:
            output = getattr(step.layer, "output", None)
            found[step.makes] = found[step.reads[0]] if output is None else output.bits
        return found

    def _input(self, x: Tensor) -> Coded:
        if not bool(torch.isfinite(x).all()):
            raise OutOfDomain("the input holds NaN or infinity; every number must be finite")
        return Coded(quantized(x, self.input.value, self.input_bits), self.input.value, self.input_bits)

    def _run(self, step: CallStep, values: Mapping[str, Coded], clamped: bool = True) -> Coded:
        operands = [values[name] for name in step.reads]
        output = getattr(step.layer, "output", None)
        if output is None:
            made: Coded = step.layer(step.name, *operands)
            return made
        coded: Coded = output(step.layer.accumulate(step.name, *operands), clamped)  # type: ignore[operator]
        return coded

    def _bits(self, step: CallStep, values: Mapping[str, Coded]) -> int:
        output = getattr(step.layer, "output", None)
        return values[step.reads[0]].bits if output is None else int(output.bits)

    def _between(self, step: CallStep) -> list[str]:
        """The tensors that the step's requantizer passes over, with the last one of them: those of Relu and Clip."""
        if step.makes == step.ends:
            return []
        node = self.graph.producer(step.makes)
        assert node is not None
        return [clamp.outputs[0] for clamp in clamps_after(self.graph, node)]


def _put(root: nn.Module, name: str, layer: nn.Module) -> None:
    """Register a layer under a name with dots, in modules that hold nothing else."""
    *path, last = name.split(".")
    for part in path:
        child = root._modules.get(part)
        if child is None:
            child = nn.Module()
            root.add_module(part, child)
        root = child
    if last in root._modules:
        raise UnusableInput(f"two layers are called {name!r}; rename a module")
    root.add_module(last, layer)
