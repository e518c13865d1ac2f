"""Networks as plain PyTorch: each makes one from classes, channels, size (28, 32 or 224) and a width factor."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from intsim.training.models.lenet import lenet, lenet5
from intsim.training.models.mobilenetv2 import mobilenetv2
from intsim.training.models.resnet import resnet18, resnet34, resnet50
from intsim.training.models.resnet_cifar import resnet20, resnet32, resnet44, resnet56
from intsim.training.models.vgg16 import vgg16_bn

MODELS: dict[str, Callable[..., nn.Module]] = {
    "lenet": lenet,
    "lenet5": lenet5,
    "mobilenetv2": mobilenetv2,
    "resnet18": resnet18,
    "resnet20": resnet20,
    "resnet32": resnet32,
    "resnet34": resnet34,
    "resnet44": resnet44,
    "resnet50": resnet50,
    "resnet56": resnet56,
    "vgg16_bn": vgg16_bn,
}
"""Name -> the function that makes it: (classes, channels, size, width)."""

__all__ = ["MODELS", *MODELS]
