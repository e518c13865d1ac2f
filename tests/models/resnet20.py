"""ResNet20 for images of 32 x 32 (He et al., "Deep Residual Learning for Image Recognition", section 4.2).

Seeded random weights. Where channels or size change, the shortcut is a 1x1 convolution (the paper's option B).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.models.builder import Builder, with_statistics
from tests.models.photographs import photographs
from tests.models.resnet18 import basic_block

STAGES = ((16, 1), (32, 2), (64, 2))
BLOCKS = 3


def resnet20(size: int = 32, width: float = 1.0, classes: int = 10, opset: int = 17, seed: int = 20) -> onnx.ModelProto:
    """A float ResNet20: input `image` f32[batch, 3, size, size], output `logits` f32[batch, classes].

    `width` multiplies the channels. Batch-norm statistics are those of the photographs.
    """

    def build(statistics: Mapping[str, NDArray[np.float32]] | None) -> onnx.ModelProto:
        b = Builder(seed, opset, statistics)
        channels = round(16 * width)
        x = b.node("Relu", [b.batch_norm(b.conv("image", "stem", 3, channels), "stem.bn", channels)], "stem.relu")
        for stage, (full, first_stride) in enumerate(STAGES):
            for block in range(BLOCKS):
                outputs = round(full * width)
                x = basic_block(b, x, f"stage{stage}.{block}", channels, outputs, first_stride if block == 0 else 1)
                channels = outputs
        x = b.node("Flatten", [b.node("GlobalAveragePool", [x], "pool")], "flat", axis=1)
        b.linear(x, "logits", channels, classes)
        return b.model("resnet20", {"image": ["batch", 3, size, size]}, ["logits"])

    return with_statistics(build, photographs(size))
