"""PyTorch's operators as nodes of the float graph, one function an operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import fx

from intsim.errors import UnsupportedOp
from intsim.quantization.float_graph import free_name

Array = np.ndarray[Any, Any]

Made = tuple[str, Sequence[str], Mapping[str, Any]] | str
"""ONNX op, inputs and attributes; or the value that already is the result."""

LAST = 2**63 - 1
"""How the exporter writes the end of an axis."""


@dataclass
class Call:
    """One call of an operator: its arguments by the names in the operator's schema, defaults filled in."""

    node: fx.Node
    path: str
    op: str
    names: Mapping[fx.Node, str]
    constants: dict[str, Array]
    taken: set[str]
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        schema = self.node.target._schema  # type: ignore[union-attr]
        for i, parameter in enumerate(schema.arguments):
            if i < len(self.node.args):
                self.arguments[parameter.name] = self.node.args[i]
            else:
                self.arguments[parameter.name] = self.node.kwargs.get(parameter.name, parameter.default_value)

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def unsupported(self, reason: str) -> UnsupportedOp:
        """The error for an operator that cannot be taken; the reason says what is supported."""
        return UnsupportedOp(f"module {self.path}, {self.op}: {reason}")

    def value(self, name: str) -> str:
        """The graph's value that is this argument."""
        argument = self.arguments[name]
        if not isinstance(argument, fx.Node) or argument not in self.names:
            raise self.unsupported(f"its argument {name!r} must be a tensor, not {argument!r}")
        return self.names[argument]

    def optional(self, name: str) -> str:
        """The same, "" for None."""
        return "" if self.arguments[name] is None else self.value(name)

    def rank(self, name: str) -> int:
        """The number of axes of a tensor argument."""
        return len(self.arguments[name].meta["val"].shape)

    def constant(self, what: str, value: Any, dtype: Any = np.int64) -> str:
        """The name of a new constant."""
        name = free_name(f"{self.node.name}.{what}", self.taken)
        self.taken.add(name)
        self.constants[name] = np.array(value, dtype)
        return name

    def pair(self, name: str, default: Any = None) -> tuple[int, ...]:
        """A list of ints for the spatial axes, one for all of them written out."""
        spatial = self.rank("input" if "input" in self.arguments else "self") - 2
        value = self.arguments[name]
        values = tuple(default if value in ([], None) else value if isinstance(value, list | tuple) else [value])
        return values * spatial if len(values) == 1 else values


def _conv(call: Call) -> Made:
    weight = call["weight"].meta["val"].shape
    kernel = tuple(int(n) for n in weight[2:])
    dilations = call.pair("dilation")
    if isinstance(call["padding"], str):
        reach = [d * (k - 1) if call["padding"] == "same" else 0 for d, k in zip(dilations, kernel, strict=True)]
        pads = (*(r // 2 for r in reach), *(r - r // 2 for r in reach))
    else:
        pads = call.pair("padding") * 2
    attributes = {
        "kernel_shape": kernel,
        "strides": call.pair("stride"),
        "pads": pads,
        "dilations": dilations,
        "group": int(call["groups"]),
    }
    inputs = [call.value("input"), call.value("weight")]
    return "Conv", [*inputs, call.value("bias")] if call["bias"] is not None else inputs, attributes


def _linear(call: Call) -> Made:
    if call.rank("input") != 2:
        raise call.unsupported(f"of {call.rank('input')} axes; supported: [N, features], flatten before")
    inputs = [call.value("input"), call.value("weight")]
    return "Gemm", [*inputs, call.value("bias")] if call["bias"] is not None else inputs, {"transB": 1}


def _batch_norm(call: Call) -> Made:
    if call.arguments.get("training"):
        raise call.unsupported("without running statistics; set track_running_stats=True")
    channels = call["running_mean"].meta["val"].shape[0]
    scale = call.optional("weight") or call.constant("weight", np.ones(channels), np.float32)
    offset = call.optional("bias") or call.constant("bias", np.zeros(channels), np.float32)
    inputs = [call.value("input"), scale, offset, call.value("running_mean"), call.value("running_var")]
    return "BatchNormalization", inputs, {"epsilon": float(call["eps"])}


def _unary(op: str) -> Callable[[Call], Made]:
    return lambda call: (op, [call.value("self")], {})


def _clip(low: str, high: str) -> Callable[[Call], Made]:
    def translate(call: Call) -> Made:
        bounds = [call[low], call[high]]
        if not all(b is None or isinstance(b, int | float) for b in bounds):
            raise call.unsupported("its bounds must be numbers")
        if bounds == [0, None]:
            return "Relu", [call.value("self")], {}
        inputs = [
            "" if b is None else call.constant(n, b, np.float32) for n, b in zip(("low", "high"), bounds, strict=True)
        ]
        return "Clip", [call.value("self"), *inputs], {}

    return translate


def _leaky_relu(call: Call) -> Made:
    # ONNX keeps attributes in float32, and the table is made of what it keeps.
    return "LeakyRelu", [call.value("self")], {"alpha": float(np.float32(call["negative_slope"]))}


def _hardsigmoid(call: Call) -> Made:
    return "HardSigmoid", [call.value("self")], {"alpha": float(np.float32(1 / 6)), "beta": 0.5}


def _binary(op: str) -> Callable[[Call], Made]:
    def translate(call: Call) -> Made:
        if call.arguments.get("alpha", 1) != 1:
            raise call.unsupported(f"with alpha {call['alpha']}; supported: alpha 1")
        return op, [call.value("self"), call.value("other")], {}

    return translate


def _cat(call: Call) -> Made:
    values = call["tensors"]
    if not all(value in call.names for value in values):
        raise call.unsupported("its arguments must be tensors")
    rank = len(values[0].meta["val"].shape)
    return "Concat", [call.names[value] for value in values], {"axis": int(call["dim"]) % rank}


def _pool_attributes(call: Call) -> dict[str, Any]:
    kernel = call.pair("kernel_size")
    return {
        "kernel_shape": kernel,
        "strides": call.pair("stride", kernel),
        "pads": call.pair("padding") * 2,
        "ceil_mode": int(bool(call["ceil_mode"])),
    }


def _max_pool(call: Call) -> Made:
    return "MaxPool", [call.value("self")], {**_pool_attributes(call), "dilations": call.pair("dilation")}


def _average_pool(call: Call) -> Made:
    if call.arguments.get("divisor_override") is not None:
        raise call.unsupported("with divisor_override; supported: the mean of each window")
    attributes = {**_pool_attributes(call), "count_include_pad": int(bool(call["count_include_pad"]))}
    return "AveragePool", [call.value("self")], attributes


def _adaptive_average_pool(call: Call) -> Made:
    sizes, lengths = call["output_size"], call["self"].meta["val"].shape[2:]
    if all(size == 1 for size in sizes):
        return "GlobalAveragePool", [call.value("self")], {}
    if any(int(n) % size for n, size in zip(lengths, sizes, strict=True)):
        raise call.unsupported(f"from {list(map(int, lengths))} to {list(sizes)}; supported: lengths that divide")
    kernel = tuple(int(n) // size for n, size in zip(lengths, sizes, strict=True))
    if all(k == 1 for k in kernel):
        return call.value("self")
    return "AveragePool", [call.value("self")], {"kernel_shape": kernel, "strides": kernel}


def _mean(call: Call) -> Made:
    axes = sorted(int(axis) % call.rank("self") for axis in call["dim"] or range(call.rank("self")))
    if 0 in axes:
        raise call.unsupported("over the batch")
    inputs = [call.value("self"), call.constant("axes", axes)]
    return "ReduceMean", inputs, {"keepdims": int(bool(call["keepdim"]))}


def _flatten(call: Call) -> Made:
    rank = call.rank("self")
    if (call["start_dim"] % rank, call["end_dim"] % rank) != (1, rank - 1):
        raise call.unsupported("supported: all axes but the batch")
    return "Flatten", [call.value("self")], {"axis": 1}


def _reshape(call: Call) -> Made:
    wanted = list(call.arguments.get("size") or call.arguments["shape"])
    if not wanted or not (isinstance(wanted[0], fx.Node) or wanted[0] == -1):
        raise call.unsupported("must keep the batch: x.view(x.size(0), …) or flatten(x, 1)")
    rest = wanted[1:]
    if any(isinstance(n, fx.Node) for n in rest):
        raise call.unsupported("to lengths that are computed; supported: constant ones after the batch")
    if len(rest) == 1:
        return "Flatten", [call.value("self")], {"axis": 1}
    return "Reshape", [call.value("self"), call.constant("shape", [0, *rest])], {}


def _permute(call: Call) -> Made:
    axes = [int(axis) % call.rank("self") for axis in call["dims"]]
    return "Transpose", [call.value("self")], {"perm": tuple(axes)}


def _transpose(call: Call) -> Made:
    axes = list(range(call.rank("self")))
    a, b = (int(call[name]) % len(axes) for name in ("dim0", "dim1"))
    axes[a], axes[b] = axes[b], axes[a]
    return "Transpose", [call.value("self")], {"perm": tuple(axes)}


def _slice(call: Call) -> Made:
    start, end, step = call["start"] or 0, LAST if call["end"] is None else call["end"], call["step"]
    if (start, end, step) == (0, LAST, 1):
        return call.value("self")
    axis = int(call["dim"]) % call.rank("self")
    if axis == 0 or not all(isinstance(n, int) for n in (start, end, step)):
        raise call.unsupported("of the batch, or to computed bounds")
    numbers = {"starts": start, "ends": end, "axes": axis, "steps": step}
    return "Slice", [call.value("self"), *(call.constant(n, [v]) for n, v in numbers.items())], {}


def _pad(call: Call) -> Made:
    mode = call.arguments.get("mode", "constant")
    if mode != "constant":
        raise call.unsupported(f"mode {mode!r}; supported: constant")
    rank, pads = call.rank("self"), list(call["pad"])
    if any(n < 0 for n in pads):
        raise call.unsupported("with negative lengths, which crop; supported: lengths of 0 or more")
    before = [0] * (rank - len(pads) // 2) + pads[-2::-2]
    after = [0] * (rank - len(pads) // 2) + pads[::-2]
    inputs = [call.value("self"), call.constant("pads", [*before, *after])]
    if call["value"]:
        inputs.append(call.constant("value", call["value"], np.float32))
    return "Pad", inputs, {}


def _same(call: Call) -> Made:
    return call.value("self" if "self" in call.arguments else "input")


TRANSLATIONS: Mapping[str, Callable[[Call], Made]] = {
    "conv1d.default": _conv,
    "conv1d.padding": _conv,
    "conv2d.default": _conv,
    "conv2d.padding": _conv,
    "linear.default": _linear,
    "batch_norm.default": _batch_norm,
    "_native_batch_norm_legit_no_training.default": _batch_norm,
    "relu.default": _unary("Relu"),
    "relu6.default": lambda call: (
        "Clip",
        [call.value("self"), call.constant("low", 0, np.float32), call.constant("high", 6, np.float32)],
        {},
    ),
    "hardtanh.default": _clip("min_val", "max_val"),
    "clamp.default": _clip("min", "max"),
    "clamp_min.default": lambda call: _clip("min", "max")(_with(call, max=None)),
    "leaky_relu.default": _leaky_relu,
    "sigmoid.default": _unary("Sigmoid"),
    "tanh.default": _unary("Tanh"),
    "hardswish.default": _unary("HardSwish"),
    "hardsigmoid.default": _hardsigmoid,
    "add.Tensor": _binary("Add"),
    "sub.Tensor": _binary("Sub"),
    "cat.default": _cat,
    "max_pool1d.default": _max_pool,
    "max_pool2d.default": _max_pool,
    "avg_pool1d.default": _average_pool,
    "avg_pool2d.default": _average_pool,
    "adaptive_avg_pool1d.default": _adaptive_average_pool,
    "adaptive_avg_pool2d.default": _adaptive_average_pool,
    "mean.dim": _mean,
    "flatten.using_ints": _flatten,
    "view.default": _reshape,
    "reshape.default": _reshape,
    "permute.default": _permute,
    "transpose.int": _transpose,
    "slice.Tensor": _slice,
    "pad.default": _pad,
    "constant_pad_nd.default": _pad,
    "dropout.default": _same,
    "clone.default": _same,
    "alias.default": _same,
    "contiguous.default": _same,
    "detach.default": _same,
}
"""Operator -> its translation."""


def _with(call: Call, **arguments: Any) -> Call:
    call.arguments.update(arguments)
    return call
