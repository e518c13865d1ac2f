"""The claim of this room: trained module and integer engine have equal codes, tensor by tensor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import intsim
from intsim import training
from intsim.training.models import MODELS
from intsim.training.modules import add, mac
from intsim.training.modules.average import Average
from tests.training.networks import Branches, calibrated, images, mismatches, train_a_little


@pytest.mark.parametrize("bits", [2, 6, 8, 16])
def test_a_network_of_every_layer(bits: int) -> None:
    x = images()
    torch.manual_seed(1)
    network = calibrated(Branches(bits <= 8), x)
    q = training.quantize(network, bits=bits, calibration=x[:32]).eval()
    assert not any(mismatches(q, x).values())
    train_a_little(q, network, x)
    assert not any(mismatches(q, x).values())


@pytest.mark.parametrize(
    ("name", "size", "width", "bits"),
    [
        ("lenet", 32, 0.5, 8),
        ("lenet5", 28, 1.0, 7),
        ("resnet20", 32, 0.5, 8),
        ("resnet20", 32, 0.25, 12),
    ],
)
def test_the_networks_of_the_paper(name: str, size: int, width: float, bits: int) -> None:
    x = images(64, 3, size)
    torch.manual_seed(2)
    network = calibrated(MODELS[name](channels=3, size=size, width=width), x)
    q = training.quantize(network, bits=bits, calibration=x[:32])
    before = {key: value.clone() for key, value in q.state_dict().items()}
    train_a_little(q, network, x[:16], 2)
    assert any(not torch.equal(value, before[key]) for key, value in q.state_dict().items())
    assert not any(mismatches(q, x).values())


def test_what_comes_out_is_what_the_codes_stand_for() -> None:
    x = images(8)
    q = training.quantize(calibrated(Branches(), x), calibration=x).eval()
    result = intsim.load(q.to_model()).run(x.numpy())
    assert (q(x).detach().numpy() == result.outputs["output"].real).all()


def test_widths_of_each_kind_and_layer() -> None:
    x = images(16)
    q = training.quantize(
        calibrated(Branches(), x),
        bits=4,
        weights={"*": 4, "conv1": 7, "fc": 16},
        activations={"*": 8, "conv3": 5, "add": 11},
        bias=16,
        calibration=x,
    )
    bits = q.bits()
    assert (bits["x"], bits["conv3"], bits["add"], bits["max_pool2d"]) == (8, 5, 11, 8)
    assert not any(mismatches(q, x).values())


FUNCTIONS = (nn.ReLU(), nn.ReLU6(), nn.Hardswish(), nn.LeakyReLU())


class Random(nn.Module):
    """Layers drawn by hypothesis, one after the other; two operands are the last tensors of equal shape."""

    def __init__(self, recipe: list[tuple[str, int]]) -> None:
        super().__init__()
        self.recipe = recipe
        self.layers = nn.ModuleList()
        channels = 3
        for op, n in recipe:
            groups = channels if op == "depthwise" else 1
            outputs = channels if op in ("depthwise", "residual") else 1 + n
            if op in ("conv", "depthwise", "residual"):
                made = nn.Conv2d(channels, outputs, 1 + 2 * (n % 2), padding=n % 2, groups=groups, bias=n % 3 > 0)
                self.layers.append(nn.Sequential(made, nn.BatchNorm2d(outputs)) if n % 2 else made)
                channels = outputs
            else:
                self.layers.append(nn.Identity())
                channels *= 2 if op == "concat" else 1
        self.head = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        for (op, n), layer in zip(self.recipe, self.layers, strict=True):
            if op == "residual":
                x = functional.relu(x + layer(x))
            elif op == "relu":
                x = FUNCTIONS[n % 4](x)
            elif op == "concat":
                x = torch.cat([x, functional.max_pool2d(x, 3, 1, 1)], 1)
            elif op == "pool" and x.shape[-1] > 2:
                x = functional.avg_pool2d(x, 2) if n % 2 else functional.max_pool2d(x, 2)
            else:
                x = layer(x)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


RECIPES = st.lists(
    st.tuples(st.sampled_from(["conv", "depthwise", "residual", "relu", "concat", "pool"]), st.integers(0, 7)),
    min_size=1,
    max_size=6,
)
WIDTHS = st.integers(2, 16)


@given(
    recipe=RECIPES, weights=WIDTHS, activations=WIDTHS, bias=WIDTHS, seed=st.integers(0, 9), scale=st.integers(-9, 9)
)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_networks(
    recipe: list[tuple[str, int]], weights: int, activations: int, bias: int, seed: int, scale: int
) -> None:
    torch.manual_seed(seed)
    x = images(6, 3, 8, seed) * 2.0**scale
    network = calibrated(Random(recipe), x)
    q = training.quantize(network, weights=weights, activations=activations, bias=bias, calibration=x)
    train_a_little(q, network, x, 1, 1e-4)
    assert not any(mismatches(q, x).values())


class TestMutants:
    """Mistakes planted into the forward pass, after the file was written: each must be seen."""

    def wrong(self, monkeypatch: pytest.MonkeyPatch, plant: Any) -> dict[str, int]:
        x = images(8)
        torch.manual_seed(3)
        q = training.quantize(calibrated(Branches(), x), calibration=x).eval()
        model = intsim.load(q.to_model())
        assert not any(mismatches(q, x, model).values())
        plant(q)
        return mismatches(q, x, model)

    def test_truncated_instead_of_rounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wrong = self.wrong(monkeypatch, lambda q: monkeypatch.setattr(mac, "half_of", lambda shift: 0.0))
        assert wrong["conv1"] > 0

    def test_a_sum_of_two_truncated_instead_of_rounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wrong = self.wrong(monkeypatch, lambda q: monkeypatch.setattr(add, "half_of", lambda shift: 0.0))
        assert wrong["conv1"] == 0 and wrong["sub"] > 0

    def test_a_truncation_point_off_by_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def plant(q: training.QuantizedModule) -> None:
            average = q.get_submodule("layers.conv2.output.average")
            assert isinstance(average, Average)
            average.average += 1

        wrong = self.wrong(monkeypatch, plant)
        assert wrong["conv1"] == 0 and wrong["conv2"] > 0

    def test_a_bias_shifted_right(self, monkeypatch: pytest.MonkeyPatch) -> None:
        quantize_bias = vars(mac)["quantize_bias"]

        def plant(q: training.QuantizedModule) -> None:
            def shifted(*arguments: Any) -> Any:
                found = quantize_bias(*arguments)
                object.__setattr__(found, "aligned", found.aligned >> 1)
                return found

            monkeypatch.setattr(mac, "quantize_bias", shifted)

        assert self.wrong(monkeypatch, plant)["conv1"] > 0

    def test_ties_down(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def plant(q: training.QuantizedModule) -> None:
            monkeypatch.setattr(mac, "half_of", lambda shift: 0.5 - 2.0**-shift if shift > 0 else 0.0)

        assert sum(self.wrong(monkeypatch, plant).values()) > 0
