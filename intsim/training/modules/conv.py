"""Convolution, one or two spatial axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional

from intsim.training.carriers import Coded
from intsim.training.modules.mac import Mac
from intsim.training.modules.output import Sum


class Conv(Mac):
    """y = requantize(sum over the window of w * x + b); padding is the code 0. attributes: as in ONNX's Conv."""

    def __init__(self, attributes: Mapping[str, Any], **mac: Any) -> None:
        super().__init__(**mac)
        spatial = self.weight.ndim - 2
        pads = tuple(attributes.get("pads", (0,) * (2 * spatial)))
        self.stride = tuple(attributes.get("strides", (1,) * spatial))
        self.dilation = tuple(attributes.get("dilations", (1,) * spatial))
        self.groups = int(attributes.get("group", 1))
        self.even = pads[:spatial] == pads[spatial:]
        self.padding = pads[:spatial]
        # functional.pad takes the last axis first, before and after.
        self.pads = [n for i in reversed(range(spatial)) for n in (pads[i], pads[spatial + i])]

    def accumulate(self, name: str, x: Coded) -> Sum:
        """The Sum that is requantized."""
        o = self.operands(x, name)
        convolve = functional.conv1d if self.weight.ndim == 3 else functional.conv2d
        codes, weight = o.x, o.weight
        if self.weight.ndim == 4:
            codes = codes.contiguous(memory_format=torch.channels_last)
            weight = weight.contiguous(memory_format=torch.channels_last)
        if not self.even:
            codes = functional.pad(codes, self.pads)
        padding = self.padding if self.even else 0
        v = convolve(codes, weight, o.bias, self.stride, padding, self.dilation, self.groups)
        return Sum(v, o.half, o.exponent)
