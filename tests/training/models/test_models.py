from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from intsim.errors import UnusableInput
from intsim.training.models import MODELS
from intsim.training.models.widths import scaled

PARAMETERS = {
    # LeNet-5 with all maps connected; He et al., Table 6: 0.27, 0.46, 0.66, 0.85 million
    "lenet5": 61_706,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    # the figures of torchvision's networks of the same papers: 11.7, 21.8, 25.6, 3.5 (paper: 3.4) and 138 million
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "mobilenetv2": 3_504_872,
    "vgg16_bn": 138_365_992,
    "lenet": 211_946,
}
LARGE = sorted(set(MODELS) - {"lenet", "lenet5"})


def narrow(name: str, size: int = 32) -> nn.Module:
    return MODELS[name](classes=7, channels=3, size=size, width=0.125).eval()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_as_many_parameters_as_the_paper_says(name: str) -> None:
    with torch.device("meta"):
        network = MODELS[name]()
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("size", [28, 32, 224])
def test_logits_for_every_size_of_images(name: str, size: int) -> None:
    if size == 224 and name not in LARGE:
        with pytest.raises(UnusableInput, match="LeNet takes images of 28 or 32, not 224; resize them"):
            MODELS[name](size=size)
        return
    with torch.device("meta"):
        network = MODELS[name](classes=7, channels=1, size=size, width=0.5).eval()
        assert network(torch.empty(2, 1, size, size)).shape == (2, 7)


@pytest.mark.parametrize("name", ["lenet5", "lenet", "resnet20", "resnet18", "resnet50", "mobilenetv2", "vgg16_bn"])
def test_each_can_be_exported(name: str) -> None:
    x = torch.randn(2, 3, 32, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network := narrow(name), (x,))
    assert torch.equal(program.module()(x), network(x))


def test_an_option_a_shortcut_takes_every_second_pixel_and_puts_zeros_on_both_sides() -> None:
    from intsim.training.models.resnet_cifar import Shortcut

    x = torch.arange(2 * 4 * 4, dtype=torch.float32).reshape(1, 2, 4, 4)
    y = Shortcut(2, 4, 2)(x)
    assert y.shape == (1, 4, 2, 2)
    assert torch.equal(y[:, 1:3], x[:, :, ::2, ::2])
    assert not y[:, 0].any() and not y[:, 3].any()


def test_channels_in_multiples_are_never_a_tenth_too_few() -> None:
    assert [scaled(c, 0.75, 8) for c in (16, 24, 32, 96, 160)] == [16, 24, 24, 72, 120]
    assert [scaled(c, 0.125) for c in (6, 16, 64)] == [1, 2, 8]


def test_what_is_refused() -> None:
    with pytest.raises(UnusableInput, match="size must be one of 28, 32, 224, not 64"):
        MODELS["resnet20"](size=64)
    with pytest.raises(UnusableInput, match="width must be above 0, not 0"):
        MODELS["resnet20"](width=0)
