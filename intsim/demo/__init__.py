"""The model and the images that `intsim demo` runs; README.md here says where they come from.

`images.npz` holds `x` i8[512, 1, 28, 28] and `y` i64[512], the first test images and their labels, and
`calibration` f16[256, 1, 28, 28], the first training images. The codes are pixel - 128, the reals code * 2**-7.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def float_model() -> Path:
    """The path of the float ONNX model: `image` f32[N, 1, 28, 28] to `logits` f32[N, 10]."""
    return _path("float.onnx")


def quantized_model() -> Path:
    """The path of the same model as `intsim quantize` left it: QDQ, 8 bits, power-of-two scales."""
    return _path("model.onnx")


def images() -> Path:
    """The path of the images, labels and calibration images (.npz)."""
    return _path("images.npz")


def golden() -> Path:
    """The path of the golden vectors: a folder with `manifest.json`, recorded from the spec; README.md says what."""
    return _path("golden")


def float_logits() -> Path:
    """The path of what the float model gives for the test images, f32[512, 10], recorded with ONNX Runtime (.npy)."""
    return _path("float_logits.npy")


def _path(name: str) -> Path:
    return Path(str(resources.files(__name__) / name))
