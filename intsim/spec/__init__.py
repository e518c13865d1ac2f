"""The meaning of every op, on unbounded integers: the definition that kernels, vectors and hardware are judged by."""

from __future__ import annotations

from intsim.spec.add import add
from intsim.spec.conv import conv
from intsim.spec.matmul import matmul
from intsim.spec.requantize import requantize
from intsim.spec.rounding import divide, shift_right
from intsim.spec.saturate import saturate, wrap
from intsim.spec.sub import sub

__all__ = ["add", "conv", "divide", "matmul", "requantize", "saturate", "shift_right", "sub", "wrap"]
