"""ResNet20, 32, 44 and 56 for small images, with shortcuts that have no parameters (option A).

Source: He et al., "Deep Residual Learning for Image Recognition", section 4.2 and Table 6. The names of the parameters
(conv1, bn1, layer1.0.conv1, …, linear) are those of published weights of these networks.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from intsim.training.models.widths import is_small, scaled


class Shortcut(nn.Module):
    """Option A: every second row and column, and zero channels on both sides, half of them first.

    f32[N, inputs, H, W] to f32[N, outputs, ceil(H / stride), ceil(W / stride)].
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (outputs - inputs) // 2
        self.after = outputs - inputs - self.before

    def forward(self, x: Tensor) -> Tensor:
        taken = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(taken, (0, 0, 0, 0, self.before, self.after))


class CifarBlock(nn.Module):
    """relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)), both convolutions 3x3."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else Shortcut(inputs, outputs, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        made: Tensor = self.relu2(y + self.shortcut(x))
        return made


class ResNetCifar(nn.Module):
    """A stem of 16 channels, three stages of n blocks (16, 32, 64 channels, strides 1, 2, 2), mean, one linear layer.

    f32[N, channels, size, size] to logits f32[N, classes]. At 224 x 224 the stem has stride 2 and a max pool follows.
    """

    def __init__(self, blocks: int, classes: int, channels: int, size: int, width: float) -> None:
        super().__init__()
        small, inputs = is_small(size), scaled(16, width)
        self.conv1 = nn.Conv2d(channels, inputs, 3, 1 if small else 2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU()
        self.pool: nn.Module = nn.Identity() if small else nn.MaxPool2d(3, 2, padding=1)
        for stage, (full, stride) in enumerate(((16, 1), (32, 2), (64, 2)), 1):
            outputs = scaled(full, width)
            strides = (stride, *[1] * (blocks - 1))
            made = [CifarBlock(inputs if i == 0 else outputs, outputs, s) for i, s in enumerate(strides)]
            self.add_module(f"layer{stage}", nn.Sequential(*made))
            inputs = outputs
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(inputs, classes)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(self.relu(self.bn1(self.conv1(x))))
        y = self.get_submodule("layer3")(self.get_submodule("layer2")(self.get_submodule("layer1")(y)))
        logits: Tensor = self.linear(self.flatten(self.mean(y)))
        return logits


def initialize(network: nn.Module) -> None:
    """He's initial weights for the convolutions: normal, variance 2 / (outputs * kernel)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _network(blocks: int) -> Callable[..., ResNetCifar]:
    def make(classes: int = 10, channels: int = 3, size: int = 32, width: float = 1.0) -> ResNetCifar:
        return ResNetCifar(blocks, classes, channels, size, width)

    make.__doc__ = f"The ResNetCifar of {6 * blocks + 2} layers."
    return make


resnet20, resnet32, resnet44, resnet56 = (_network(blocks) for blocks in (3, 5, 7, 9))
