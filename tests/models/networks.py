"""The networks of the conformance tests by name, each with photographs normalised as it wants them."""

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


@dataclass(frozen=True)
class Network:
    """A float network: `build(size)` gives the model for images of size x size."""

    build: Callable[[int], onnx.ModelProto]
    normalization: tuple[tuple[float, float, float], tuple[float, float, float]]

    def images(self, size: int = 224, crops: int = 1) -> NDArray[np.float32]:
        """Photographs f32[8 * crops, 3, size, size] for the input `image`."""
        return photographs(size, crops, self.normalization)


NETWORKS: dict[str, Network] = {
    "efficientnet_lite0": Network(efficientnet_lite0, EFFICIENTNET_LITE),
    "mobilenetv2": Network(mobilenetv2, IMAGENET),
    "resnet18": Network(resnet18, IMAGENET),
}
