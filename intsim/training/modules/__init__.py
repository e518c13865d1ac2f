"""The layers of a quantized module: each takes codes and gives codes, by the arithmetic of the `diffquant` target."""

from __future__ import annotations
