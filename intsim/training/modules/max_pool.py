"""The largest code of each window; the exponent stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn import functional

from intsim.training.carriers import Coded


class MaxPool(nn.Module):
    """y = max over the window; padding never wins. attributes: as in ONNX's MaxPool."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        super().__init__()
        self.kernel = tuple(attributes["kernel_shape"])
        spatial = len(self.kernel)
        self.stride = tuple(attributes.get("strides", (1,) * spatial))
        self.padding = tuple(attributes.get("pads", (0,) * spatial))[:spatial]
        self.dilation = tuple(attributes.get("dilations", (1,) * spatial))
        self.ceil = bool(attributes.get("ceil_mode", 0))

    def exponent(self, x: int) -> int:
        """The output's exponent: the input's."""
        return x

    def forward(self, name: str, x: Coded) -> Coded:
        """The codes of the output."""
        pool = functional.max_pool1d if len(self.kernel) == 1 else functional.max_pool2d
        codes = pool(x.codes, self.kernel, self.stride, self.padding, self.dilation, self.ceil)
        return Coded(codes, x.exponent, x.bits)
