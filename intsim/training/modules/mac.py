"""What convolution and linear layers share: weight and bias as codes, aligned and shifted, and the proof of the sum."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function

from intsim.quantization.bias import Bias, quantize_bias
from intsim.quantization.candidates import find_exponent
from intsim.training.carriers import Coded, quantized
from intsim.training.modules.output import OutputFormat, half_of
from intsim.training.proof import carrier, sum_bound


class Operands(NamedTuple):
    """What the float kernel reads: x, weight and bias on one carrier, already shifted to the output's unit.

    half: what the bias holds besides the layer's own. exponent: of the output.
    """

    x: Tensor
    weight: Tensor
    bias: Tensor
    half: float
    exponent: int


class Mac(nn.Module):
    """A layer y = sum w * x + b: weights with an exponent of their own, the bias aligned by a left shift.

    weight, bias: the float parameters, outputs on axis 0. weight_bits, bias_bits, headroom (L): widths of their codes.
    output: the requantizer, whose average is the layer's truncation point (OTP).
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, weight_bits: int, bias_bits: int, headroom: int, output: OutputFormat
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)
        self.weight_bits, self.bias_bits, self.headroom = weight_bits, bias_bits, headroom
        self.output = output

    def weight_exponent(self) -> int:
        """The exponent with the least squared error for the weights as they are."""
        return find_exponent(self.weight.detach().cpu().numpy(), self.weight_bits)

    def quantized_bias(self, product_exponent: int) -> Bias | None:
        """The bias as codes, for products of that exponent; None where there is none."""
        if self.bias is None:
            return None
        return quantize_bias(self.bias.detach().cpu().numpy(), product_exponent, self.bias_bits, self.headroom)

    def exponent(self, x_exponent: int) -> int:
        """The output's exponent for inputs of that exponent: e_x + e_w + OTP."""
        return x_exponent + self.weight_exponent() + self.output.average.value

    def operands(self, x: Coded, name: str) -> Operands:
        """Weight and bias shifted by the truncation point, on the carrier that is proved to be exact."""
        e_w, otp = self.weight_exponent(), self.output.average.value
        e_t, factor, half = x.exponent + e_w, 2.0**-otp, half_of(otp)
        weight = quantized(self.weight, e_w, self.weight_bits, factor)
        largest = 2.0 ** (otp - 1) if half else 0.0
        found = self.quantized_bias(e_t)
        if self.bias is None or found is None:
            bias = torch.full((len(weight),), half, dtype=torch.float64)
        else:
            largest += float(np.abs(found.aligned.astype(np.float64)).max())
            bias = _Bias.apply(self.bias, found, e_t, factor, half)  # type: ignore[no-untyped-call]
        bound = sum_bound(weight, x.bits) / factor + largest
        dtype = carrier(bound, name)
        return Operands(x.codes.to(dtype), weight.to(dtype), bias.to(dtype), half, e_t + otp)


class _Bias(Function):
    """aligned * factor + half, float64; the gradient is factor / 2**e_t where the bias's code was not clipped."""

    @staticmethod
    def forward(ctx: object, bias: Tensor, found: Bias, e_t: int, factor: float, half: float) -> Tensor:
        ctx.slope = factor * 2.0**-e_t  # type: ignore[attr-defined]
        low, high = -(1 << (found.bits - 1)), (1 << (found.bits - 1)) - 1
        scaled = bias.detach() * 2.0**-found.exponent
        ctx.mask = (scaled >= low - 0.5) & (scaled < high + 0.5)  # type: ignore[attr-defined]
        return torch.from_numpy(found.aligned.astype(np.float64)).to(bias.device) * factor + half

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        slope, mask = ctx.slope, ctx.mask  # type: ignore[attr-defined]
        return (gradients[0] * slope * mask).to(torch.float32), None, None, None, None
