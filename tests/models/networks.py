"""The networks of the conformance tests and of the benchmark by name, with photographs normalised as they want them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.models.efficientnet_lite0 import efficientnet_lite0
from tests.models.mobilenetv2 import mobilenetv2
from tests.models.photographs import EFFICIENTNET_LITE, IMAGENET, photographs
from tests.models.resnet18 import resnet18
from tests.models.resnet20 import resnet20
from tests.models.resnet50 import resnet50
from tests.models.vgg16_bn import vgg16_bn


@dataclass(frozen=True)
class Network:
    """A float network: `build(size)` gives the model for images of size x size; `size` is the one it was made for."""

    build: Callable[[int], onnx.ModelProto]
    normalization: tuple[tuple[float, float, float], tuple[float, float, float]]
    size: int = 224

    def images(self, size: int | None = None, crops: int = 1) -> NDArray[np.float32]:
        """Photographs f32[8 * crops, 3, size, size] for the input `image`."""
        return photographs(self.size if size is None else size, crops, self.normalization)


NETWORKS: dict[str, Network] = {
    "efficientnet_lite0": Network(efficientnet_lite0, EFFICIENTNET_LITE),
    "mobilenetv2": Network(mobilenetv2, IMAGENET),
    "resnet18": Network(resnet18, IMAGENET),
}

BENCHMARKED: dict[str, Network] = {
    "resnet18": NETWORKS["resnet18"],
    "resnet50": Network(resnet50, IMAGENET),
    "mobilenetv2": NETWORKS["mobilenetv2"],
    "vgg16_bn": Network(vgg16_bn, IMAGENET),
    "resnet20": Network(resnet20, IMAGENET, size=32),
}
"""What tools/bench.py times; the conformance tests run NETWORKS only."""
