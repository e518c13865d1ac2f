"""ResNet18, 34 and 50.

Source: He et al., "Deep Residual Learning for Image Recognition", Table 1. The names of the parameters are
torchvision's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from intsim.training.models.resnet_cifar import initialize
from intsim.training.models.widths import is_small, scaled

CHANNELS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)), both convolutions 3x3; `channels` come out."""

    expansion = 1

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = projection(inputs, channels, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        made: Tensor = self.relu2(self.bn2(self.conv2(y)) + self.downsample(x))
        return made


class Bottleneck(nn.Module):
    """relu(bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))) + shortcut(x)): 1x1, 3x3, 1x1; 4 `channels` come out."""

    expansion = 4

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        outputs = channels * self.expansion
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(channels, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = projection(inputs, outputs, stride)
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        made: Tensor = self.relu3(self.bn3(self.conv3(y)) + self.downsample(x))
        return made


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The shortcut: a 1x1 convolution and its batch normalisation, the identity where the shape stays (option B)."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """f32[N, channels, size, size] to logits f32[N, classes]: a stem, four stages of blocks, the mean, a linear layer.

    The stem is a 7x7 convolution of stride 2 and a max pool; for small images a 3x3 convolution alone.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: Sequence[int],
        classes: int,
        channels: int,
        size: int,
        width: float,
    ) -> None:
        super().__init__()
        inputs = scaled(64, width)
        if is_small(size):
            self.conv1 = nn.Conv2d(channels, inputs, 3, padding=1, bias=False)
        else:
            self.conv1 = nn.Conv2d(channels, inputs, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU()
        self.maxpool: nn.Module = nn.Identity() if is_small(size) else nn.MaxPool2d(3, 2, padding=1)
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        for stage, (full, count) in enumerate(zip(CHANNELS, blocks, strict=True), 1):
            made: list[nn.Module] = []
            for index in range(count):
                made.append(block(inputs, scaled(full, width), 2 if stage > 1 and index == 0 else 1))
                inputs = scaled(full, width) * block.expansion
            stages[f"layer{stage}"] = nn.Sequential(*made)
        for name, module in stages.items():
            self.add_module(name, module)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(inputs, classes)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            y = self.get_submodule(f"layer{stage}")(y)
        logits: Tensor = self.fc(self.flatten(self.avgpool(y)))
        return logits


def _network(block: type[BasicBlock] | type[Bottleneck], blocks: Sequence[int], name: str) -> Callable[..., ResNet]:
    def make(classes: int = 1000, channels: int = 3, size: int = 224, width: float = 1.0) -> ResNet:
        return ResNet(block, blocks, classes, channels, size, width)

    make.__doc__ = f"The ResNet of {name} layers."
    return make


resnet18 = _network(BasicBlock, (2, 2, 2, 2), "18")
resnet34 = _network(BasicBlock, (3, 4, 6, 3), "34")
resnet50 = _network(Bottleneck, (3, 4, 6, 3), "50")
