"""MobileNetV2 (Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2), random weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.models.builder import Builder, with_statistics
from tests.models.photographs import photographs

# Rows of the paper's table 2: expansion, output channels, repeats, stride of the first.
ROWS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenetv2(
    size: int = 224, width: float = 1.0, classes: int = 1000, opset: int = 17, seed: int = 2
) -> onnx.ModelProto:
    """A float MobileNetV2: input `image` f32[batch, 3, size, size], output `logits` f32[batch, classes].

    Relu6 is Clip(0, 6). `width` multiplies the channels. Batch-norm statistics are those of the photographs.
    """

    def build(statistics: Mapping[str, NDArray[np.float32]] | None) -> onnx.ModelProto:
        b = Builder(seed, opset, statistics)
        channels = round(32 * width)
        x = _conv_bn_relu6(b, "image", "stem", 3, channels, 3, 2)
        for row, (expansion, full, repeats, first_stride) in enumerate(ROWS):
            for block in range(repeats):
                outputs = round(full * width)
                stride = first_stride if block == 0 else 1
                x = _inverted_residual(b, x, f"row{row}.{block}", channels, outputs, expansion, stride)
                channels = outputs
        head = round(1280 * max(width, 1.0))
        x = _conv_bn_relu6(b, x, "head", channels, head, 1)
        x = b.node("Flatten", [b.node("GlobalAveragePool", [x], "pool")], "flat", axis=1)
        b.linear(x, "logits", head, classes)
        return b.model("mobilenetv2", {"image": ["batch", 3, size, size]}, ["logits"])

    return with_statistics(build, photographs(size))


def _conv_bn_relu6(
    b: Builder, x: str, name: str, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> str:
    x = b.batch_norm(b.conv(x, name, inputs, outputs, kernel, stride, groups), f"{name}.bn", outputs)
    return b.clip(x, 0.0, 6.0)


def _inverted_residual(b: Builder, x: str, name: str, inputs: int, outputs: int, expansion: int, stride: int) -> str:
    hidden = inputs * expansion
    y = x if expansion == 1 else _conv_bn_relu6(b, x, f"{name}.expand", inputs, hidden, 1)
    y = _conv_bn_relu6(b, y, f"{name}.depthwise", hidden, hidden, 3, stride, groups=hidden)
    y = b.batch_norm(b.conv(y, f"{name}.project", hidden, outputs, 1), f"{name}.project.bn", outputs)
    return b.node("Add", [x, y], f"{name}.add") if stride == 1 and inputs == outputs else y
