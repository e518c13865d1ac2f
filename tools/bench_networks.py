"""The quantized model files that bench.py times: made once, kept in a folder, made anew when their makers change."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import onnx

from intsim.files import write_file
from intsim.quantization import quantize_model
from tests.models.networks import BENCHMARKED
from tests.models.quantize import CONFIGURATIONS, preprocess, quantize

ROOT = Path(__file__).resolve().parents[1]

DIFFQUANT = "diffquant"
"""The form that `intsim quantize` makes: QDQ, s8, one power of two a tensor."""

BEST = "qdq-u8-asymmetric-channel"
"""The form of onnxruntime.quantization that ONNX Runtime runs fastest."""

OTHERS = (
    "qdq-u8-asymmetric-tensor",
    "qdq-s8-symmetric-channel",
    "qoperator-u8-asymmetric-channel",
)
"""Other forms that users have. ONNX Runtime runs QOperator with s8 ten times slower still, and warns of it."""

CALIBRATION = 4
"""Photographs; speed does not depend on them."""

WHOLE_MAP = frozenset({"vgg16_bn"})
"""Networks whose first fully connected layer reads the whole map, so that they take images of one size only."""


def model_file(network: str, form: str, folder: Path, say: Callable[[str], None]) -> Path:
    """The path of a network of BENCHMARKED in a form, DIFFQUANT or the name of a CONFIGURATION; made if need be."""
    path = folder / f"{network}.{form}.{_digest()}.onnx"
    if not path.exists():
        say(f"{network}: making {form}")
        for old in folder.glob(f"{network}.{form}.*.onnx"):
            old.unlink()
        write_file(path, _made(network, form).SerializeToString())
    return path


def resized(file: Path, size: int) -> onnx.ModelProto:
    """The model for images of size x size: nothing but the shapes that it declares changes."""
    model = onnx.load(file)
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    del model.graph.value_info[:]
    return model


def _made(network: str, form: str) -> onnx.ModelProto:
    logging.getLogger().setLevel(logging.ERROR)  # onnxruntime.quantization recommends other settings for each model
    warnings.simplefilter("ignore")  # NumPy's, on ONNX Runtime's quantizer
    prepared = _prepared(network)
    images = BENCHMARKED[network].images()[:CALIBRATION]
    if form == DIFFQUANT:
        return quantize_model(prepared, images, batch=CALIBRATION).model
    return quantize(prepared, CONFIGURATIONS[form], images)


@lru_cache(maxsize=1)
def _prepared(network: str) -> onnx.ModelProto:
    """The float network, batch norm folded; the last one is kept, since its forms are made one after the other."""
    return preprocess(BENCHMARKED[network].build(BENCHMARKED[network].size))


@lru_cache(maxsize=1)
def _digest() -> str:
    """A digest of all that makes the files: this file, the networks, both quantizers and their versions."""
    import onnxruntime

    sha = hashlib.sha256(f"{onnx.__version__} {onnxruntime.__version__}".encode())
    folders = (ROOT / "tests" / "models", ROOT / "intsim" / "quantization")
    for path in (Path(__file__), *(path for folder in folders for path in sorted(folder.glob("*.py")))):
        sha.update(path.read_bytes())
    return sha.hexdigest()[:12]
