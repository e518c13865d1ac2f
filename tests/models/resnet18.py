"""ResNet18 (He et al., "Deep Residual Learning for Image Recognition", table 1) with seeded random weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.models.builder import Builder, with_statistics
from tests.models.photographs import photographs

STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))


def resnet18(
    size: int = 224, width: float = 1.0, classes: int = 1000, opset: int = 17, seed: int = 18
) -> onnx.ModelProto:
    """A float ResNet18: input `image` f32[batch, 3, size, size], output `logits` f32[batch, classes].

    `width` multiplies the channels. Batch-norm statistics are those of the photographs.
    """

    def build(statistics: Mapping[str, NDArray[np.float32]] | None) -> onnx.ModelProto:
        b = Builder(seed, opset, statistics)
        channels = round(64 * width)
        x = b.node("Relu", [b.batch_norm(b.conv("image", "stem", 3, channels, 7, 2), "stem.bn", channels)], "stem.relu")
        x = b.node("MaxPool", [x], "stem.pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        for stage, (full, first_stride) in enumerate(STAGES):
            for block, stride in enumerate((first_stride, 1)):
                outputs = round(full * width)
                x = basic_block(b, x, f"stage{stage}.{block}", channels, outputs, stride)
                channels = outputs
        x = b.node("Flatten", [b.node("GlobalAveragePool", [x], "pool")], "flat", axis=1)
        b.linear(x, "logits", channels, classes)
        return b.model("resnet18", {"image": ["batch", 3, size, size]}, ["logits"])

    return with_statistics(build, photographs(size))


def basic_block(b: Builder, x: str, name: str, inputs: int, outputs: int, stride: int) -> str:
    """The output of two 3x3 convolutions beside a shortcut: a 1x1 convolution where channels or size change."""
    y = b.batch_norm(b.conv(x, f"{name}.conv1", inputs, outputs, 3, stride), f"{name}.bn1", outputs)
    y = b.node("Relu", [y], f"{name}.relu1")
    y = b.batch_norm(b.conv(y, f"{name}.conv2", outputs, outputs), f"{name}.bn2", outputs)
    if stride != 1 or inputs != outputs:
        x = b.batch_norm(b.conv(x, f"{name}.down", inputs, outputs, 1, stride), f"{name}.down.bn", outputs)
    return b.node("Relu", [b.node("Add", [y, x], f"{name}.add")], f"{name}.relu2")
