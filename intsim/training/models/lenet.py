"""LeNet: LeCun's LeNet-5, and a wider network of its kind for small photographs."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from intsim.errors import UnusableInput
from intsim.training.models.widths import is_small, scaled


def lenet5(classes: int = 10, channels: int = 1, size: int = 28, width: float = 1.0) -> nn.Sequential:
    """LeNet-5 with Relu and max pools: f32[N, channels, size, size] to logits f32[N, classes]; 61,706 parameters.

    Images of 28 x 28 are padded to 32 by the first convolution, as its authors did.
    Source: LeCun et al., "Gradient-based learning applied to document recognition", section II.B; every map of the
    second convolution reads all six of the first. Errors: UnusableInput for a size of 224.
    """
    padding = (32 - _small(size)) // 2
    maps, more = scaled(6, width), scaled(16, width)
    hidden, last = scaled(120, width), scaled(84, width)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, maps, 5, padding=padding),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(maps, more, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(more * 25, hidden),
            relu3=nn.ReLU(),
            fc2=nn.Linear(hidden, last),
            relu4=nn.ReLU(),
            fc3=nn.Linear(last, classes),
        )
    )


def lenet(classes: int = 10, channels: int = 3, size: int = 32, width: float = 1.0) -> nn.Sequential:
    """A LeNet of CIFAR-10's 82% class: f32[N, channels, size, size] to logits f32[N, classes].

    Three 5x5 convolutions of 32, 32 and 64 channels, each followed by batch normalisation, Relu and a 2x2 max pool,
    then two linear layers. At 32 x 32: 12.4 million products an image, 211,946 parameters.
    Source: the shape of Caffe's `cifar10_full`, with batch normalisation in the place of its response normalisation.
    Errors: UnusableInput for a size of 224.
    """
    side = _small(size) // 8
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, wanted in enumerate((32, 32, 64), 1):
        outputs = scaled(wanted, width)
        layers[f"conv{index}"] = nn.Conv2d(channels, outputs, 5, padding=2, bias=False)
        layers[f"bn{index}"] = nn.BatchNorm2d(outputs)
        layers[f"relu{index}"] = nn.ReLU()
        layers[f"pool{index}"] = nn.MaxPool2d(2)
        channels = outputs
    hidden = scaled(128, width)
    layers["flatten"] = nn.Flatten()
    layers["fc1"] = nn.Linear(channels * side * side, hidden)
    layers["relu4"] = nn.ReLU()
    layers["fc2"] = nn.Linear(hidden, classes)
    return nn.Sequential(layers)


def _small(size: int) -> int:
    if not is_small(size):
        raise UnusableInput(f"LeNet takes images of 28 or 32, not {size}; resize them")
    return size
