"""The PyTorch fake-quant twin: the graph's ops in float32, a fake quantizer at every quantized tensor.

It is what a quantization-aware training run computes: torch's float kernels, and
`fake_quantize_per_tensor_affine` (x * (1 / scale), ties to even, clamp) wherever the graph has codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim.errors import MissingDependency, UnsupportedOp
from intsim.formats import Format
from intsim.graph import Graph, Node
from intsim.ops import CONVERTS, INTERNAL

if TYPE_CHECKING:
    import torch

Array = np.ndarray[Any, Any]


class TorchTwin:
    """A graph evaluated by PyTorch: `run` gives the codes of every quantized tensor.

    Errors: MissingDependency without torch; UnsupportedOp names a node that has no torch form here.
    """

    def __init__(self, graph: Graph, threads: int = 1) -> None:
        self.torch = import_torch()
        self.graph = graph
        self.threads = threads
        from intsim.fakequant.ops import FORMS

        self.forms = FORMS
        unknown = next((n for n in graph.nodes if n.op not in FORMS and n.op not in CONVERTS | INTERNAL), None)
        if unknown is not None:
            raise UnsupportedOp(f"node {unknown.name!r}: no PyTorch form of {unknown.op}")
        self.constants = {
            name: self.torch.from_numpy(np.array(c if (f := graph.format(name)) is None else f.real(c)))
            for name, c in graph.constants.items()
        }

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The codes of every quantized tensor, and the reals of the others, by tensor name.

        feeds: graph input -> float32 reals, or codes where the input itself is coded.
        """
        reals = self._walk(feeds)
        results: dict[str, Array] = {}
        for name, real in reals.items():
            if name in self.constants:
                continue
            format = self.graph.format(name)
            if format is None:
                if name not in feeds:
                    results[name] = real.numpy()
            else:
                results[name] = feeds[name] if name in feeds else codes_of(real, format)
        return results

    def forward(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The reals of the graph's outputs alone, as a forward pass of a fake-quantized network gives them."""
        reals = self._walk(feeds, keep=False)
        return {name: reals[name].numpy() for name in self.graph.outputs}

    def _walk(self, feeds: Mapping[str, Array], keep: bool = True) -> dict[str, torch.Tensor]:
        """The (fake-quantized) reals of every tensor in topological order; not keep: each only while it is needed."""
        torch, graph = self.torch, self.graph
        reals: dict[str, Any] = dict(self.constants)
        for name, x in feeds.items():
            format = graph.format(name)
            reals[name] = torch.from_numpy(np.array(x, np.float32) if format is None else format.real(x))
        last = {name: node for node in graph.nodes for name in node.inputs}
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with torch.no_grad():
                for node in graph.nodes:
                    self._step(node, reals)
                    if not keep:
                        for name in {n for n in node.inputs if n and last[n] is node} - {*graph.outputs}:
                            del reals[name]
        finally:
            torch.set_num_threads(before)
        return reals

    def _step(self, node: Node, reals: dict[str, torch.Tensor]) -> None:
        operands = [reals[n] for n in node.inputs if n]
        format = self.graph.format(node.outputs[0])
        if node.op == "CodeClip" and format is not None:
            limits = np.array([node.attributes["low"], node.attributes["high"]])
            made: Any = operands[0].clamp(*format.real(limits).tolist())
        elif node.op in CONVERTS:
            made = operands[0]  # the output's fake quantizer acts
        else:
            made = self.forms[node.op](node.attributes, *operands)
        for output, real in zip(node.outputs, made if isinstance(made, (tuple, list)) else [made], strict=True):
            format = self.graph.format(output)
            reals[output] = real if format is None else fake_quantize(real, format)


def import_torch() -> Any:
    """The torch module. Errors: MissingDependency where it is not installed."""
    try:
        import torch
    except ImportError as missing:
        raise MissingDependency("PyTorch is not installed: pip install intsim[torch]") from missing
    return torch


def fake_quantize(real: torch.Tensor, format: Format) -> torch.Tensor:
    """The fake-quantized reals."""
    torch = import_torch()
    if format.per_channel and format.axis is not None:
        scale = torch.from_numpy(format.scales)
        zero = torch.from_numpy(np.broadcast_to(format.zero_points, len(format.scale)).astype(np.int32))
        fake = torch.fake_quantize_per_channel_affine(real, scale, zero, format.axis, format.low, format.high)
    else:
        fake = torch.fake_quantize_per_tensor_affine(
            real, format.scale[0], format.zero_point[0], format.low, format.high
        )
    return fake


def codes_of(fake: torch.Tensor, format: Format) -> Array:
    """The codes of fake-quantized reals, in the format's storage dtype."""
    shape = [1] * fake.ndim
    if format.per_channel and format.axis is not None:
        shape[format.axis] = -1
    units = fake.numpy().astype(np.float64) / format.scales.astype(np.float64).reshape(shape)
    return (np.rint(units).astype(np.int64) + format.zero_points.reshape(shape)).astype(format.dtype)
