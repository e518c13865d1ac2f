"""MobileNetV2.

Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", Table 2. The names of the parameters
are torchvision's.
"""

from __future__ import annotations

from torch import Tensor, nn

from intsim.training.models.resnet_cifar import initialize
from intsim.training.models.widths import is_small, scaled

STAGES = (
    # expansion, channels, blocks, stride, stride for small images
    (1, 16, 1, 1, 1),
    (6, 24, 2, 2, 1),
    (6, 32, 3, 2, 2),
    (6, 64, 4, 2, 2),
    (6, 96, 3, 1, 1),
    (6, 160, 3, 2, 2),
    (6, 320, 1, 1, 1),
)


def layer(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation and Relu6."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 projection without an activation; x is added where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [layer(inputs, hidden, 1)]
        layers += [
            layer(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.adds else y


class MobileNetV2(nn.Module):
    """f32[N, channels, size, size] to logits f32[N, classes]; for small images, stem and second stage have stride 1."""

    def __init__(self, classes: int, channels: int, size: int, width: float) -> None:
        super().__init__()
        small = is_small(size)
        inputs = scaled(32, width, 8)
        features: list[nn.Module] = [layer(channels, inputs, 3, 1 if small else 2)]
        for expansion, full, blocks, stride, small_stride in STAGES:
            outputs = scaled(full, width, 8)
            for index in range(blocks):
                first = small_stride if small else stride
                features.append(InvertedResidual(inputs, outputs, first if index == 0 else 1, expansion))
                inputs = outputs
        last = scaled(1280, max(1.0, width), 8)
        features.append(layer(inputs, last, 1))
        self.features = nn.Sequential(*features)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.flatten(self.mean(self.features(x))))
        return logits


def mobilenetv2(classes: int = 1000, channels: int = 3, size: int = 224, width: float = 1.0) -> MobileNetV2:
    """A MobileNetV2; width as in the paper, channels in multiples of 8, the last 1280 never fewer."""
    return MobileNetV2(classes, channels, size, width)
