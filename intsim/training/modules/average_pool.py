"""The mean of each window, of all pixels, or over axes: an exact sum, one exact quotient, one rounding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from intsim.training.carriers import Coded, replaced
from intsim.training.modules.output import OutputFormat, Sum


class MeanOfWindows(nn.Module):
    """y = half_up(sum x / (count * 2**(e_y - e_x))); subclasses say what is summed."""

    def __init__(self, output: OutputFormat) -> None:
        super().__init__()
        self.output = output

    def exponent(self, *_: int) -> int:
        """The output's exponent."""
        return self.output.average.value

    def total(self, codes: Tensor) -> Tensor:
        """The sums."""
        raise NotImplementedError

    def count(self, ones: Tensor) -> Tensor:
        """How many elements each sum counts, from ones in the place of one image's codes."""
        return self.total(ones)

    def accumulate(self, name: str, x: Coded) -> Sum:
        """The Sum that is requantized."""
        shift = self.output.average.value - x.exponent
        codes = x.codes.to(torch.float64)
        total = self.total(codes)
        with torch.no_grad():
            count = self.count(torch.ones_like(codes[:1]))
            # half_up(n / d) = floor((2 n + d) / 2 d): a quotient of integers below 2**52 is never rounded to above.
            up, down = 2.0 ** max(0, -shift), 2.0 ** max(0, shift)
            floor = torch.floor((2 * total * up + count * down) / (2 * count * down))
        quotient = total / (count * 2.0**shift) + 0.5
        return Sum(replaced(quotient, floor), 0.5, x.exponent + shift, quotient)


class AveragePool(MeanOfWindows):
    """The mean of each window. attributes: as in ONNX's AveragePool."""

    def __init__(self, output: OutputFormat, attributes: Mapping[str, Any]) -> None:
        super().__init__(output)
        self.kernel = tuple(attributes["kernel_shape"])
        spatial = len(self.kernel)
        self.stride = tuple(attributes.get("strides", (1,) * spatial))
        self.padding = tuple(attributes.get("pads", (0,) * spatial))[:spatial]
        self.ceil = bool(attributes.get("ceil_mode", 0))
        self.counts_padding = bool(attributes.get("count_include_pad", 0))

    def total(self, codes: Tensor) -> Tensor:
        """The sum of each window."""
        return self._sums(codes, self.padding)

    def count(self, ones: Tensor) -> Tensor:
        """How many elements of each window count."""
        counted = self.total(ones)
        if not self.counts_padding:
            return counted
        around = [n for length in reversed(self.padding) for n in (length, length)]
        padded = self._sums(functional.pad(ones, around, value=1.0), (0,) * len(self.kernel))
        return padded[tuple(slice(length) for length in counted.shape)]

    def _sums(self, codes: Tensor, padding: Sequence[int]) -> Tensor:
        if len(self.kernel) == 2:
            return functional.avg_pool2d(codes, self.kernel, self.stride, tuple(padding), self.ceil, True, 1)
        # PyTorch divides by a number of one's own in two dimensions only.
        kernel, stride, around = ((1, self.kernel[0]), (1, self.stride[0]), (0, padding[0]))
        return functional.avg_pool2d(codes.unsqueeze(2), kernel, stride, around, self.ceil, True, 1).squeeze(2)


class ReduceMean(MeanOfWindows):
    """The mean over axes."""

    def __init__(self, output: OutputFormat, axes: Sequence[int], keepdims: bool) -> None:
        super().__init__(output)
        self.axes, self.keepdims = tuple(axes), keepdims

    def total(self, codes: Tensor) -> Tensor:
        """The sum over the axes."""
        return codes.sum(self.axes, keepdim=self.keepdims)
