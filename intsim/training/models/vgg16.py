"""VGG16 with batch normalisation.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", Table 1, column D.
The names of the parameters are torchvision's.
"""

from __future__ import annotations

from torch import Tensor, nn

from intsim.training.models.resnet_cifar import initialize
from intsim.training.models.widths import is_small, scaled

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of the 3x3 convolutions before each 2x2 max pool."""


class Vgg16(nn.Module):
    """f32[N, channels, size, size] to logits f32[N, classes].

    At 224 x 224 three linear layers follow (4096, 4096, classes), for small images one. Images of 28 x 28 are padded to
    32 by the first convolution, so that five pools leave a pixel.
    """

    def __init__(self, classes: int, channels: int, size: int, width: float) -> None:
        super().__init__()
        small = is_small(size)
        features: list[nn.Module] = []
        for stage, (full, count) in enumerate(STAGES):
            outputs = scaled(full, width)
            for index in range(count):
                padding = 3 if size == 28 and stage == index == 0 else 1
                features += [nn.Conv2d(channels, outputs, 3, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU()]
                channels = outputs
            features.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*features)
        self.flatten = nn.Flatten()
        if small:
            self.classifier: nn.Module = nn.Linear(channels, classes)
        else:
            hidden = scaled(4096, width)
            self.classifier = nn.Sequential(
                nn.Linear(channels * 49, hidden),
                nn.ReLU(),
                nn.Dropout(),
                nn.Linear(hidden, hidden),
                nn.ReLU(),
                nn.Dropout(),
                nn.Linear(hidden, classes),
            )
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.flatten(self.features(x)))
        return logits


def vgg16_bn(classes: int = 1000, channels: int = 3, size: int = 224, width: float = 1.0) -> Vgg16:
    """A VGG16 with batch normalisation."""
    return Vgg16(classes, channels, size, width)
