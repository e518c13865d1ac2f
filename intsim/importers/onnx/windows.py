"""Strides, dilations and pads of convolutions and pools, all explicit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.ops import Shape

LARGEST_PAD = 1 << 16
"""More padding than this on one side is taken for a broken file."""


def window(node: OnnxNode, x: Shape, kernel: Sequence[int]) -> dict[str, Any]:
    """strides, dilations and pads (begin…, end…) for the spatial axes of x.

    Errors: UnsupportedOp for other than 1 or 2 spatial axes, or auto_pad SAME of an unknown length; MalformedGraph for
    numbers that make no sense.
    """
    n = len(x) - 2
    if n not in (1, 2):
        raise node.unsupported(f"x has rank {len(x)}; supported: rank 3 (1-D) and 4 (2-D)")
    if len(kernel) != n or any(k < 1 for k in kernel):
        raise node.malformed(f"kernel {tuple(kernel)} must be {n} positive lengths")
    strides = node.integers("strides") or (1,) * n
    dilations = node.integers("dilations") or (1,) * n
    pads = node.integers("pads") or (0,) * (2 * n)
    for what, numbers, count, least in (
        ("strides", strides, n, 1),
        ("dilations", dilations, n, 1),
        ("pads", pads, 2 * n, 0),
    ):
        if len(numbers) != count or any(not least <= v <= LARGEST_PAD for v in numbers):
            raise node.malformed(f"{what} {tuple(numbers)} must be {count} numbers of {least} or more")
    auto_pad = node.text("auto_pad", "NOTSET")
    if auto_pad == "VALID":
        pads = (0,) * (2 * n)
    elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        pads = _same(node, x[2:], kernel, strides, dilations, upper=auto_pad == "SAME_UPPER")
    elif auto_pad != "NOTSET":
        raise node.malformed(f"auto_pad {auto_pad!r} does not exist")
    return {"strides": strides, "dilations": dilations, "pads": pads}


def _same(
    node: OnnxNode,
    lengths: Shape,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    *,
    upper: bool,
) -> tuple[int, ...]:
    """The pads that make each output length ceil(length / stride); the odd one is at the end (upper) or begin."""
    begins, ends = [], []
    for length, k, stride, dilation in zip(lengths, kernel, strides, dilations, strict=True):
        if not isinstance(length, int) and stride != 1:
            raise node.unsupported("auto_pad SAME needs known lengths: fix the model's input shape")
        # With stride 1 the padding does not depend on the length.
        windows = -(-length // stride) if isinstance(length, int) else 1
        size = length if isinstance(length, int) else 1
        total = max(0, (windows - 1) * stride + dilation * (k - 1) + 1 - size)
        small, large = total // 2, total - total // 2
        begins.append(small if upper else large)
        ends.append(large if upper else small)
    return (*begins, *ends)
