"""VGG16 with batch norm (Simonyan and Zisserman, "Very Deep Convolutional Networks", table 1, D), random weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.models.builder import Builder, with_statistics
from tests.models.photographs import photographs

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions, before each halving of the size."""

HIDDEN = 4096


def vgg16_bn(
    size: int = 224, width: float = 1.0, classes: int = 1000, opset: int = 17, seed: int = 16
) -> onnx.ModelProto:
    """A float VGG16 with batch norm: input `image` f32[batch, 3, size, size], output `logits` f32[batch, classes].

    `width` multiplies the channels and the hidden units. `size` must be a multiple of 32: the first fully connected
    layer reads the whole map of size / 32. Batch-norm statistics are those of the photographs.
    """

    def build(statistics: Mapping[str, NDArray[np.float32]] | None) -> onnx.ModelProto:
        b = Builder(seed, opset, statistics)
        x, channels = "image", 3
        for stage, (full, convolutions) in enumerate(STAGES):
            for number in range(convolutions):
                name, outputs = f"stage{stage}.conv{number}", round(full * width)
                x = b.batch_norm(b.conv(x, name, channels, outputs), f"{name}.bn", outputs)
                x = b.node("Relu", [x], f"{name}.relu")
                channels = outputs
            x = b.node("MaxPool", [x], f"stage{stage}.pool", kernel_shape=[2, 2], strides=[2, 2])
        x = b.node("Flatten", [x], "flat", axis=1)
        hidden = round(HIDDEN * width)
        for name, inputs in (("fc0", channels * (size // 32) ** 2), ("fc1", hidden)):
            x = b.node("Relu", [b.linear(x, name, inputs, hidden)], f"{name}.relu")
        b.linear(x, "logits", hidden, classes)
        return b.model("vgg16_bn", {"image": ["batch", 3, size, size]}, ["logits"])

    return with_statistics(build, photographs(size))
