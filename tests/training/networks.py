"""Small float networks with calibrated statistics, and the judgement that training and engine have equal codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import intsim
from intsim.training import QuantizedModule

Array = np.ndarray[Any, Any]


class Branches(nn.Module):
    """A residual network with concat, pools of every kind, functions as tables, uneven pads, shared Relu modules."""

    def __init__(self, tables: bool = True) -> None:
        super().__init__()
        self.tables = tables  # of 16 bits, they take seconds
        self.conv1 = nn.Conv2d(3, 6, 3, padding="same")
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(6, 6, 4, padding="same", bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.conv3 = nn.Conv2d(12, 8, 3, 2, padding=1, groups=2)
        self.swish = nn.Hardswish()
        self.fc = nn.Linear(8 * 2 * 2, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.conv1(x))
        z = self.relu(self.bn2(self.conv2(y)))
        z = functional.relu6(z + y, inplace=True)
        z = torch.cat([functional.avg_pool2d(z, 3, 2, 1), functional.max_pool2d(y, 3, 2, 1)], 1)
        z = self.conv3(z)
        if self.tables:
            z = self.swish(z)
            z = functional.leaky_relu(z, 0.1) - torch.sigmoid(z)
        z = functional.adaptive_avg_pool2d(z, 2)
        logits: Tensor = self.fc(functional.dropout(z.view(z.size(0), -1), 0.5, self.training))
        return logits


def images(count: int = 64, channels: int = 3, size: int = 16, seed: int = 0) -> Tensor:
    """Smooth random images: reals f32[count, channels, size, size]."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, channels, 5, 5, generator=random)
    return functional.interpolate(coarse, (size, size), mode="bilinear")


def calibrated(network: nn.Module, x: Tensor) -> nn.Module:
    """The network in evaluation mode, its batch-norm statistics those of x."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(x)
    return network.eval()


def mismatches(q: QuantizedModule, x: Tensor, model: intsim.Model | None = None) -> dict[str, int]:
    """How many codes of each tensor differ between the module and the engine; every tensor of both is judged."""
    model = model or intsim.load(q.to_model())
    taps = model.run(x.numpy(), taps=["codes"]).taps
    theirs = {name: tap.codes for name, tap in taps.items() if tap.codes is not None}
    ours = q.codes(x)
    # A concat of equal formats before a Relu has codes in the engine, though no quantizer stands there.
    assert set(ours) == {name for name in theirs if not name.endswith(".float")}
    assert all(ours[name].shape == theirs[name].shape for name in ours)
    return {name: int((ours[name] != theirs[name]).sum()) for name in ours}


def train_a_little(q: QuantizedModule, network: nn.Module, x: Tensor, steps: int = 3, rate: float = 1e-3) -> None:
    """Some steps of plain gradient descent towards the float network's outputs."""
    with torch.no_grad():
        wanted = network.eval()(x)
    optimizer = torch.optim.SGD(q.parameters(), rate)
    q.train()
    for _ in range(steps):
        optimizer.zero_grad()
        torch.autograd.backward(functional.mse_loss(q(x), wanted))
        optimizer.step()
