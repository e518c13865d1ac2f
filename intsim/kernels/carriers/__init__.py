"""Kernels on float carriers: integers that float32 or float64 numbers hold exactly, as training computes with them."""

from __future__ import annotations
