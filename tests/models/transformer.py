"""A transformer's block (Vaswani et al., "Attention Is All You Need", 3.1) without its norms, with random weights.

As PyTorch exports it: a linear layer on [batch, tokens, width] is MatMul and Add, heads are split by Reshape and
Transpose.
"""

from __future__ import annotations

import numpy as np
import onnx

from tests.models.builder import Builder

OPSET = 17


def transformer(tokens: int = 197, width: int = 768, heads: int = 12, seed: int = 5) -> onnx.ModelProto:
    """A float block: input `x` and output `y` f32[batch, tokens, width]; attention, then two layers with a Sigmoid."""
    b = Builder(seed, OPSET)

    def linear(x: str, name: str, outputs: int, inputs: int = width) -> str:
        weight = b.constant(f"{name}.weight", np.ascontiguousarray(b.he((outputs, inputs)).T))
        bias = b.constant(f"{name}.bias", (0.1 * b.random.standard_normal(outputs)).astype(np.float32))
        return b.node("Add", [bias, b.node("MatMul", [x, weight], f"{name}.product")], name)

    def split(x: str, perm: list[int]) -> str:
        shape = b.constant(f"{x}.shape", np.array([0, 0, heads, width // heads], np.int64))
        return b.node("Transpose", [b.node("Reshape", [x, shape], f"{x}.split")], f"{x}.heads", perm=perm)

    queries, keys, values = (
        split(linear("x", name, width), perm)
        for name, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3]))
    )
    scale = b.constant("scale", np.array((width // heads) ** -0.5, np.float32))
    scores = b.node("Mul", [b.node("MatMul", [queries, keys], "scores"), scale], "scaled")
    mixed = b.node("MatMul", [b.node("Softmax", [scores], "weights", axis=-1), values], "mixed")
    joined = b.constant("joined.shape", np.array([0, 0, width], np.int64))
    mixed = b.node("Reshape", [b.node("Transpose", [mixed], "turned", perm=[0, 2, 1, 3]), joined], "joined")
    middle = b.node("Add", ["x", linear(mixed, "out", width)], "middle")
    inner = b.node("Sigmoid", [linear(middle, "up", 4 * width)], "inner")
    b.node("Add", [middle, linear(inner, "down", width, 4 * width)], "y")
    return b.model("transformer", {"x": ["batch", tokens, width]}, ["y"])
