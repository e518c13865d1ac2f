"""One call from a float module to a quantized one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from intsim.errors import UnusableInput
from intsim.training.bits import Asked, Bits
from intsim.training.methods.diffquant import quantize_diffquant
from intsim.training.quantized_module import QuantizedModule

SCHEMES: Mapping[str, Callable[..., QuantizedModule]] = {"diffquant": quantize_diffquant}
"""Scheme -> what quantizes by it."""

BATCH = 32
"""Images in a batch of calibration data that comes as one array."""


def quantize(
    module: nn.Module,
    scheme: str = "diffquant",
    bits: Asked = 8,
    *,
    calibration: Tensor | np.ndarray[Any, Any] | Iterable[Tensor],
    weights: Asked | None = None,
    activations: Asked | None = None,
    bias: Asked | None = None,
    **options: Any,
) -> QuantizedModule:
    """A QuantizedModule with the module's weights; the module itself is not changed.

    bits: 2 to 16, of weights, activations and bias, unless these are given; each a number or {glob of layers: number}.
    calibration: reals f32[N, …], or batches of them. options: of the scheme (diffquant: momentum, headroom).
    Errors: UnsupportedOp names module and op that cannot be converted; UnusableInput for options or data of no use.
    """
    if scheme not in SCHEMES:
        raise UnusableInput(f"scheme must be one of {', '.join(SCHEMES)}, not {scheme!r}")
    widths = Bits(bits, weights=weights, activations=activations, bias=bias)
    return SCHEMES[scheme](module, _batches(calibration), widths, **options)


def _batches(calibration: Tensor | np.ndarray[Any, Any] | Iterable[Tensor]) -> list[Tensor]:
    """The batches as float32 tensors. Errors: UnusableInput for none, empty ones, or what is no reals."""
    if isinstance(calibration, np.ndarray):
        calibration = torch.from_numpy(calibration)
    batches = list(torch.split(calibration, BATCH) if isinstance(calibration, Tensor) else calibration)
    if not batches or any(len(x) == 0 for x in batches):
        raise UnusableInput("calibration data is empty; give at least one image")
    for index, x in enumerate(batches):
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise UnusableInput(f"calibration: batch {index} must be a tensor of reals, not {type(x).__name__}")
        if x.shape[1:] != batches[0].shape[1:]:
            raise UnusableInput(
                f"calibration: batch {index} has the shape {list(x.shape)}, the first one {list(batches[0].shape)}"
            )
    return [x.to(torch.float32) for x in batches]
