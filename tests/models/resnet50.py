"""ResNet50 (He et al., "Deep Residual Learning for Image Recognition", table 1) with seeded random weights.

The stride of a block is that of its 3x3 convolution, as torchvision has it, not of the first 1x1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.models.builder import Builder, with_statistics
from tests.models.photographs import photographs

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Inner channels, blocks, stride of the first block."""

EXPANSION = 4


def resnet50(
    size: int = 224, width: float = 1.0, classes: int = 1000, opset: int = 17, seed: int = 50
) -> onnx.ModelProto:
    """A float ResNet50: input `image` f32[batch, 3, size, size], output `logits` f32[batch, classes].

    `width` multiplies the channels. Batch-norm statistics are those of the photographs.
    """

    def build(statistics: Mapping[str, NDArray[np.float32]] | None) -> onnx.ModelProto:
        b = Builder(seed, opset, statistics)
        channels = round(64 * width)
        x = b.node("Relu", [b.batch_norm(b.conv("image", "stem", 3, channels, 7, 2), "stem.bn", channels)], "stem.relu")
        x = b.node("MaxPool", [x], "stem.pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        for stage, (full, blocks, first_stride) in enumerate(STAGES):
            for block in range(blocks):
                inner = round(full * width)
                x = _bottleneck(b, x, f"stage{stage}.{block}", channels, inner, first_stride if block == 0 else 1)
                channels = EXPANSION * inner
        x = b.node("Flatten", [b.node("GlobalAveragePool", [x], "pool")], "flat", axis=1)
        b.linear(x, "logits", channels, classes)
        return b.model("resnet50", {"image": ["batch", 3, size, size]}, ["logits"])

    return with_statistics(build, photographs(size))


def _bottleneck(b: Builder, x: str, name: str, inputs: int, inner: int, stride: int) -> str:
    outputs = EXPANSION * inner
    y = b.batch_norm(b.conv(x, f"{name}.conv1", inputs, inner, 1), f"{name}.bn1", inner)
    y = b.node("Relu", [y], f"{name}.relu1")
    y = b.batch_norm(b.conv(y, f"{name}.conv2", inner, inner, 3, stride), f"{name}.bn2", inner)
    y = b.node("Relu", [y], f"{name}.relu2")
    y = b.batch_norm(b.conv(y, f"{name}.conv3", inner, outputs, 1), f"{name}.bn3", outputs)
    if stride != 1 or inputs != outputs:
        x = b.batch_norm(b.conv(x, f"{name}.down", inputs, outputs, 1, stride), f"{name}.down.bn", outputs)
    return b.node("Relu", [b.node("Add", [y, x], f"{name}.add")], f"{name}.relu3")
