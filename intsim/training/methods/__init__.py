"""Schemes of quantization for training, one a file."""

from __future__ import annotations
