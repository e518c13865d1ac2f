"""What an exported PyTorch program fake-quantizes on its way, and which of our tensors each is.

A program has no names in common with an ONNX file of the same module. But both quantize the same activations in the
same order, each with a scale and zero point of its own: a fake-quantized tensor is the one of ours that has its scale,
zero point, range and shape. Where several have the same, they are told by their order, if there are equally many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.lowering.lowered import Lowered

Array = np.ndarray[Any, Any]
Key = tuple[float, int, int, int, tuple[int, ...]]


def run_and_collect(torch: Any, program: Any, operands: Sequence[Any]) -> tuple[Any, list[tuple[Key, Array]]]:
    """What the program returns, and its activations that are quantized per tensor: (key, codes) in order.

    Weights, which depend on no operand, are left out.
    """
    found: list[tuple[Key, Array]] = []
    per_tensor = {
        torch.ops.aten.fake_quantize_per_tensor_affine.default,
        torch.ops.aten.fake_quantize_per_tensor_affine.tensor_qparams,
    }
    data: set[Any] = set()

    class Collector(torch.fx.Interpreter):  # type: ignore[misc]
        def run_node(self, node: Any) -> Any:
            made = super().run_node(node)
            if node.op == "placeholder" or any(source in data for source in node.all_input_nodes):
                data.add(node)
                if node.target in per_tensor:
                    _, scale, zero, *limits = self.fetch_args_kwargs_from_env(node)[0]
                    found.append(_codes(made.detach().numpy(), float(scale), int(zero), *limits[-2:]))
            return made

    return Collector(program).run(*operands), found


def _codes(reals: Array, scale: float, zero: int, low: int, high: int) -> tuple[Key, Array]:
    codes = np.rint(reals.astype(np.float64) / np.float64(np.float32(scale))) + zero
    key = (float(np.float32(scale)), zero, int(low), int(high), reals.shape[1:])
    return key, np.clip(codes, low, high).astype(np.int64)


def matched(lowered: Lowered, found: Sequence[tuple[Key, Array]]) -> dict[str, Array]:
    """Our quantized tensors by name -> the program's codes, in the tensor's own dtype."""
    theirs: dict[Key, list[Array]] = defaultdict(list)
    for key, codes in found:
        theirs[key].append(codes)
    ours: dict[Key, list[str]] = defaultdict(list)
    formats = _quantized_here(lowered)
    for name, format in formats.items():
        for key in theirs:
            if _fits(format, lowered.graph.values[name].shape[1:], key):
                ours[key].append(name)
    return {
        name: codes.astype(formats[name].dtype)
        for key, names in ours.items()
        if len(names) == len(theirs[key])
        for name, codes in zip(names, theirs[key], strict=True)
    }


def _quantized_here(lowered: Lowered) -> Mapping[str, Format]:
    """The tensors that are rounded to codes, not such whose codes are moved or clipped, in topological order."""
    graph = lowered.graph
    result = {}
    for node in graph.nodes:
        kept = node.attributes.get("kept", ())
        for name in node.outputs:
            format = graph.format(name)
            if format is not None and name not in kept and not format.per_channel:
                result[name] = format
    return result


def _fits(format: Format, shape: tuple[int | None, ...], key: Key) -> bool:
    scale, zero, low, high, lengths = key
    same = (float(np.float32(format.scale[0])), format.zero_point[0]) == (scale, zero)
    same = same and (format.low, format.high) == (low, high)
    return same and len(shape) == len(lengths) and all(n in (None, m) for n, m in zip(shape, lengths, strict=True))
