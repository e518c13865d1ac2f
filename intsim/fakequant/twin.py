"""The PyTorch fake-quant twin: the graph's ops in float32, a fake quantizer at every quantized tensor.

It is what a quantization-aware training run computes: torch's float kernels, and
`fake_quantize_per_tensor_affine` (x * (1 / scale), ties to even, clamp) wherever the graph has codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim.errors import MissingDependency, UnsupportedOp
from intsim.formats import Format
from intsim.graph import Graph, Node

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
        self.ops = _ops(self.torch)
        unknown = next((n for n in graph.nodes if n.op not in self.ops and n.op not in _BOUNDARY), None)
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
        elif node.op in _BOUNDARY:
            made = operands[0]
        else:
            made = self.ops[node.op](node.attributes, *operands)
        for output, real in zip(node.outputs, made if isinstance(made, (tuple, list)) else [made], strict=True):
            format = self.graph.format(output)
            reals[output] = real if format is None else fake_quantize(real, format)


_BOUNDARY = frozenset({"QuantizeLinear", "DequantizeLinear", "Requantize", "Reinterpret", "CodeClip"})
"""Ops without arithmetic of their own: the value passes, the output's fake quantizer acts."""


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


def _ops(torch: Any) -> Mapping[str, Callable[..., Any]]:
    """ONNX op -> its torch form, f(attributes, *reals)."""
    f = torch.nn.functional

    def padded(x: Any, pads: tuple[int, ...], value: float = 0.0) -> Any:
        """x with ONNX pads (begins, then ends) turned into torch's order (last axis first, begin and end)."""
        half = len(pads) // 2
        flat = [p for axis in reversed(range(half)) for p in (pads[axis], pads[half + axis])]
        return f.pad(x, flat, value=value) if any(flat) else x

    def conv(a: Mapping[str, Any], x: Any, w: Any, bias: Any = None) -> Any:
        run = f.conv1d if x.ndim == 3 else f.conv2d
        x = padded(x, a["pads"])
        return run(x, w, bias, a["strides"], 0, a["dilations"], a["groups"])

    def gemm(a: Mapping[str, Any], x: Any, w: Any, bias: Any = None) -> Any:
        y = x @ w if a.get("alpha", 1.0) == 1.0 else a["alpha"] * (x @ w)
        return y if bias is None else y + (bias if a.get("beta", 1.0) == 1.0 else a["beta"] * bias)

    def windows(a: Mapping[str, Any], x: Any, value: float) -> Any:
        """x padded as ONNX says, and at the end so that ceil_mode's last window is whole."""
        x = padded(x, a["pads"], value)
        if not a["ceil_mode"]:
            return x
        extra = []
        inside = [n - end for n, end in zip(x.shape[2:], a["pads"][x.ndim - 2 :], strict=True)]
        for length, k, s, d, total in zip(x.shape[2:], a["kernel"], a["strides"], a["dilations"], inside, strict=True):
            reach = (k - 1) * d + 1
            count = -(-(length - reach) // s) + 1
            count -= (count - 1) * s >= total  # a window must start in the image or its leading pad
            extra.append(max(0, (count - 1) * s + reach - length))
        return padded(x, (*(0 for _ in extra), *extra), value)

    def max_pool(a: Mapping[str, Any], x: Any) -> Any:
        run = f.max_pool1d if x.ndim == 3 else f.max_pool2d
        return run(windows(a, x, float("-inf")), a["kernel"], a["strides"], 0, a["dilations"])

    def average_pool(a: Mapping[str, Any], x: Any) -> Any:
        ones = torch.ones_like(x)
        inside = padded(ones, a["pads"], 1.0) if a["count_include_pad"] else padded(ones, a["pads"])
        plain = {**a, "pads": (0,) * len(a["pads"])} if a["count_include_pad"] else a
        counted = windows({**a, "pads": plain["pads"]}, inside if a["count_include_pad"] else ones, 0.0)
        weight = torch.ones((1, 1, *a["kernel"]))
        run = f.conv1d if x.ndim == 3 else f.conv2d

        def total(v: Any) -> Any:
            flat = v.reshape(-1, 1, *v.shape[2:])
            y = run(flat, weight, None, a["strides"], 0, a["dilations"])
            return y.reshape(*v.shape[:2], *y.shape[2:])

        return total(windows(a, x, 0.0)) / total(counted)

    def slice_(a: Mapping[str, Any], x: Any) -> Any:
        for start, end, axis, step in zip(a["starts"], a["ends"], a["axes"], a["steps"], strict=True):
            taken = range(x.shape[axis])[slice(start, end, step)]
            x = x.index_select(axis, torch.tensor(list(taken), dtype=torch.int64))
        return x

    def reshape(a: Mapping[str, Any], x: Any) -> Any:
        return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(a["shape"])])

    def squeeze(a: Mapping[str, Any], x: Any) -> Any:
        return x.squeeze(tuple(a["axes"]))

    def unsqueeze(a: Mapping[str, Any], x: Any) -> Any:
        for axis in sorted(n % (x.ndim + len(a["axes"])) for n in a["axes"]):
            x = x.unsqueeze(axis)
        return x

    def pad(a: Mapping[str, Any], x: Any) -> Any:
        if a["mode"] == "constant":
            return padded(x, a["pads"], float(a.get("value", 0.0)))
        half = len(a["pads"]) // 2
        width = [(a["pads"][i], a["pads"][half + i]) for i in range(half)]
        return torch.from_numpy(np.pad(x.numpy(), width, mode=a["mode"]))

    def resize(a: Mapping[str, Any], x: Any) -> Any:
        from intsim.spec import resize_nearest

        index = np.arange(x.numel(), dtype=np.int64).reshape(x.shape)
        moved = resize_nearest(
            index,
            scales=a.get("scales"),
            sizes=a.get("sizes"),
            coordinate_mode=a["coordinate_mode"],
            nearest_mode=a["nearest_mode"],
        )
        return x.reshape(-1)[torch.from_numpy(np.ascontiguousarray(moved))]

    def batch_normalization(a: Mapping[str, Any], x: Any, scale: Any, bias: Any, mean: Any, variance: Any) -> Any:
        return f.batch_norm(x, mean, variance, scale, bias, False, 0.0, a["epsilon"])

    def prelu(a: Mapping[str, Any], x: Any, slope: Any) -> Any:
        return torch.where(x >= 0, x, x * slope)

    return {
        "Conv": conv,
        "MatMul": lambda a, x, y: x @ y,
        "Gemm": gemm,
        "Add": lambda a, x, y: x + y,
        "Sub": lambda a, x, y: x - y,
        "Mul": lambda a, x, y: x * y,
        "Div": lambda a, x, y: x / y,
        "Min": lambda a, x, y: torch.minimum(x, y),
        "Max": lambda a, x, y: torch.maximum(x, y),
        "Concat": lambda a, *xs: torch.cat(xs, a["axis"]),
        "Relu": lambda a, x: f.relu(x),
        "Clip": lambda a, x: x.clamp(a.get("min", -np.inf), a.get("max", np.inf)),
        "LeakyRelu": lambda a, x: f.leaky_relu(x, a["alpha"]),
        "PRelu": prelu,
        "Sigmoid": lambda a, x: torch.sigmoid(x),
        "Tanh": lambda a, x: torch.tanh(x),
        "HardSigmoid": lambda a, x: (a["alpha"] * x + a["beta"]).clamp(0, 1),
        "HardSwish": lambda a, x: f.hardswish(x),
        "MaxPool": max_pool,
        "AveragePool": average_pool,
        "GlobalAveragePool": lambda a, x: x.mean(tuple(range(2, x.ndim)), keepdim=True),
        "ReduceMean": lambda a, x: x.mean(tuple(a["axes"]), keepdim=bool(a["keepdims"])),
        "Flatten": lambda a, x: x.reshape(int(np.prod(x.shape[: a["axis"]])), -1),
        "Reshape": reshape,
        "Transpose": lambda a, x: x.permute(*a["perm"]),
        "Squeeze": squeeze,
        "Unsqueeze": unsqueeze,
        "Slice": slice_,
        "Split": lambda a, x: x.split(list(a["sizes"]), a["axis"]),
        "Pad": pad,
        "Resize": resize,
        "BatchNormalization": batch_normalization,
        "Softmax": lambda a, x: f.softmax(x, a["axis"]),
    }
