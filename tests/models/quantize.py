"""Every configuration of ONNX Runtime's static quantizer that the tests judge, applied as users apply it."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

SIGNS = {"u": "UInt", "s": "Int"}


@dataclass(frozen=True)
class Configuration:
    """The arguments of `onnxruntime.quantization.quantize_static` that decide the arithmetic."""

    form: str  # "QDQ" or "QOperator"
    activation: str  # "u8" or "s8"; in QDQ form also "u16" or "s16"
    symmetric: bool  # activations with the zero point in the middle of the range
    per_channel: bool  # one weight scale an output channel
    weight: str  # "s8" (symmetric) or "u8" (asymmetric); in QDQ form also "s4", "u4", "s16", "u16"

    @property
    def name(self) -> str:
        """`<form>-<activation>-<symmetric|asymmetric>-<channel|tensor>[-w_u8]`, lower case."""
        parts = [
            self.form.lower(),
            self.activation,
            "symmetric" if self.symmetric else "asymmetric",
            "channel" if self.per_channel else "tensor",
        ]
        return "-".join(parts + ([f"w_{self.weight}"] if self.weight != "s8" else []))


def _configurations() -> dict[str, Configuration]:
    forms, activations, flags = ("QDQ", "QOperator"), ("u8", "s8"), (False, True)
    signed = [Configuration(*row, weight="s8") for row in itertools.product(forms, activations, flags, flags)]
    # quantize_static refuses signed activations with unsigned weights, and for signed activations in QOperator form
    # it warns that they are slow on x86.
    unsigned = [Configuration(form, "u8", False, flag, weight="u8") for form in forms for flag in flags]
    return {c.name: c for c in (*signed, *unsigned)}


CONFIGURATIONS = _configurations()

WIDTHS = {
    c.name: c
    for c in (
        Configuration("QDQ", "u16", False, False, weight="u8"),
        Configuration("QDQ", "s16", True, True, weight="s8"),
        Configuration("QDQ", "s16", False, True, weight="s16"),
        Configuration("QDQ", "u16", False, False, weight="u16"),
        Configuration("QDQ", "u8", False, True, weight="s4"),
        Configuration("QDQ", "u8", False, False, weight="u4"),
        Configuration("QDQ", "s8", True, False, weight="s4"),
        Configuration("QDQ", "u16", False, True, weight="s4"),
    )
}
"""Codes of 16 and 4 bits, which ONNX Runtime multiplies in float."""


def preprocess(model: onnx.ModelProto) -> onnx.ModelProto:
    """What `quant_pre_process` makes of a float model: shapes inferred, batch norm folded, pads fused."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prepared.onnx"
        quant_pre_process(model, str(path))
        return onnx.load(path)


def quantize(
    prepared: onnx.ModelProto, configuration: Configuration, calibration: NDArray[np.float32]
) -> onnx.ModelProto:
    """The quantized model that `quantize_static` makes of a preprocessed one.

    `calibration`: f32[N, …], read one sample at a time. Nothing is written outside a temporary folder.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.samples = iter(calibration)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            sample = next(self.samples, None)
            return None if sample is None else {prepared.graph.input[0].name: sample[None]}

    types = {f"{sign}{bits}": QuantType[f"Q{kind}{bits}"] for sign, kind in SIGNS.items() for bits in (4, 8, 16)}
    with tempfile.TemporaryDirectory() as folder:
        source, path = Path(folder) / "float.onnx", Path(folder) / "quantized.onnx"
        onnx.save(prepared, source)
        quantize_static(
            str(source),
            str(path),
            Reader(),
            quant_format=QuantFormat[configuration.form],
            per_channel=configuration.per_channel,
            activation_type=types[configuration.activation],
            weight_type=types[configuration.weight],
            extra_options={"ActivationSymmetric": configuration.symmetric},
        )
        return onnx.load(path)
