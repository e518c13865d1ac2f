"""Codes on float carriers: tensors of floats that are integers, and the gradients that pass them straight through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from intsim.kernels.carriers.round_clip import masked, round_clip
from intsim.quantization.exponents import quantize

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Coded:
    """A quantized tensor: codes as float32, which stand for codes * 2**exponent; signed, of that many bits."""

    codes: Tensor
    exponent: int
    bits: int

    @property
    def reals(self) -> Tensor:
        """float32: exactly what the codes stand for."""
        return self.codes * 2.0**self.exponent

    @property
    def integers(self) -> Array:
        """The codes in the smallest signed dtype that holds them."""
        return self.codes.detach().cpu().numpy().astype(np.int8 if self.bits <= 8 else np.int16)


def limits(bits: int) -> tuple[int, int]:
    """The lowest and the highest signed code of that many bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def to_codes(v: Tensor, low: int, high: int) -> Tensor:
    """clip(floor(v), low, high), float32; its gradient is that of v inside, zero outside. v may be overwritten."""
    made: Tensor = _RoundClip.apply(v, low, high)  # type: ignore[no-untyped-call]
    return made


def quantized(reals: Tensor, exponent: int, bits: int, factor: float = 1.0) -> Tensor:
    """factor * clip(half_up(r / 2**exponent)), float32; its gradient is factor / 2**exponent inside, zero outside.

    factor: a power of two.
    """
    made: Tensor = _Quantize.apply(reals, exponent, bits, factor)  # type: ignore[no-untyped-call]
    return made


def replaced(surrogate: Tensor, exact: Tensor) -> Tensor:
    """The tensor `exact`, whose gradient is that of `surrogate`, of the same shape."""
    made: Tensor = _Replace.apply(surrogate, exact)  # type: ignore[no-untyped-call]
    return made


class _RoundClip(Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, low: int, high: int) -> Tensor:
        wanted = bool(ctx.needs_input_grad[0])
        ctx.dtype = v.dtype
        if v.device.type != "cpu":
            floor = torch.floor(v)
            codes = floor.clamp(low, high)
            if wanted:
                ctx.save_for_backward(codes == floor)
            return codes.to(torch.float32)
        flat, layout = _flat(v)
        mask = np.empty(flat.shape, np.bool_) if wanted else None
        codes = _shaped(torch.from_numpy(round_clip(flat.numpy(), low, high, mask)), v.shape, layout)
        if mask is not None:
            ctx.save_for_backward(_shaped(torch.from_numpy(mask), v.shape, layout))
        return codes

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        [mask], [gradient] = ctx.saved_tensors, gradients
        if gradient.device.type != "cpu" or gradient.dtype != torch.float32:
            return (gradient * mask).to(ctx.dtype), None, None
        flat_mask, layout = _flat(mask)
        flat = _as(gradient, layout)
        out = torch.empty_like(flat)
        masked(flat.numpy(), flat_mask.numpy(), out.numpy())
        return _shaped(out, gradient.shape, layout).to(ctx.dtype), None, None


class _Quantize(Function):
    @staticmethod
    def forward(ctx: Any, reals: Tensor, exponent: int, bits: int, factor: float) -> Tensor:
        codes = torch.from_numpy(quantize(reals.detach().cpu().numpy(), exponent, bits)).to(torch.float32)
        ctx.slope = factor * 2.0**-exponent
        if ctx.needs_input_grad[0]:
            low, high = limits(bits)
            scaled = reals.detach() * 2.0**-exponent
            ctx.save_for_backward((scaled >= low - 0.5) & (scaled < high + 0.5))
        return (codes * factor).to(reals.device)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None, None]:
        [mask] = ctx.saved_tensors
        return gradients[0] * mask * ctx.slope, None, None, None


class _Replace(Function):
    @staticmethod
    def forward(ctx: Any, surrogate: Tensor, exact: Tensor) -> Tensor:
        ctx.dtype = surrogate.dtype
        return exact.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0].to(ctx.dtype), None


def flat_array(x: Tensor) -> Array:
    """The numbers of a tensor in the order in which they lie in memory, without a copy where it is dense."""
    return _flat(x.detach())[0].cpu().numpy()


def _flat(x: Tensor) -> tuple[Tensor, str]:
    """The tensor as [n] in the order of its memory, and which order that is."""
    if not x.is_contiguous() and x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return x.permute(0, 2, 3, 1).reshape(-1), "NHWC"
    return x.contiguous().view(-1), "NCHW"


def _as(x: Tensor, layout: str) -> Tensor:
    """The tensor as [n] in that order."""
    return x.permute(0, 2, 3, 1).reshape(-1) if layout == "NHWC" else x.reshape(-1)


def _shaped(flat: Tensor, shape: torch.Size, layout: str) -> Tensor:
    if layout == "NHWC":
        n, c, h, w = shape
        return flat.view(n, h, w, c).permute(0, 3, 1, 2)
    return flat.view(shape)
