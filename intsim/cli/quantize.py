"""intsim quantize: a float ONNX model becomes integers with one power-of-two exponent a tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intsim import files
from intsim.cli.arrays import Array, read_image_folder, read_images, refuse_preprocess
from intsim.cli.options import json_option, preprocess_option, print_json, threads_option
from intsim.cli.terminal import heading, progress, say, table
from intsim.images import METADATA, find_preprocess

if TYPE_CHECKING:
    from intsim.quantization import QuantizationResult, TensorReport
    from intsim.quantization.candidates import Candidate

WIDTHS = ("2", "4", "8", "16")
CALIBRATION = "calibration"
"""The array of an .npz file that calibration reads; `x` where there is none."""

MEASURES: Mapping[str, Callable[[Candidate], str]] = {
    "MSE": lambda c: f"{c.mse:.3g}",
    "PCC": lambda c: f"{c.pcc:.5f}",
    "JSD": lambda c: f"{c.jsd:.4f}",
    "1 - JSD": lambda c: f"{c.similarity:.4f}",
}
"""What is said of a candidate exponent; the paper prints the similarity 1 - JSD."""


@click.command("quantize")
@click.argument("model", type=click.Path(), metavar="FLOAT.onnx")
@click.option(
    "--calibration",
    required=True,
    metavar="X.npy|DIR",
    help="Reals [N, …], sample inputs; of an .npz its `calibration`, else its `x`. DIR: a folder of images.",
)
@preprocess_option
@click.option("--bits", type=click.Choice(WIDTHS), default="8", show_default=True, help="Of weights, biases and codes.")
@click.option("--momentum", type=float, default=0.1, show_default=True, help="Of the moving averages, 0 to 1.")
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Inputs a batch, in file order.")
@click.option("--output", required=True, type=click.Path(), metavar="Q.onnx", help="The file to write.")
@threads_option
@json_option
def command(
    model: str,
    calibration: str,
    preprocess: str | None,
    bits: str,
    momentum: float,
    batch: int,
    output: str,
    threads: int | None,
    as_json: bool,
) -> int:
    """Quantize a float ONNX model: shared exponents, truncation points, aligned biases; written as QDQ.

    A tensor's exponent is the candidate with the least squared error; a layer's output follows from its truncation
    point (OTP), the moving average over batches. Batch normalisation is folded. What --preprocess says becomes metadata
    of the new file, so that its other commands need not be told.
    """
    from intsim.quantization import quantize_model

    samples, metadata = read_calibration(calibration, model, preprocess)
    with _passes() as advance:
        result = quantize_model(
            model,
            samples,
            bits=int(bits),
            momentum=momentum,
            batch=batch,
            threads=threads,
            progress=advance,
            metadata=metadata,
        )
    files.write_file(output, result.model.SerializeToString(deterministic=True))
    if as_json:
        print_json(
            {
                "model": model,
                "output": output,
                "bits": int(bits),
                "momentum": momentum,
                "batch": batch,
                "images": len(samples),
                "layers": [row.to_dict() for row in result.rows],
            }
        )
        return 0
    heading(f"{Path(model).name}, {bits} bits, {len(samples):,} calibration inputs: the candidate exponents")
    say()
    for row in result.rows:
        if row.candidates:
            show_candidates(row)
    show_rows(result)
    say()
    say("real = code * 2**exponent; * marks the one chosen; OTP: right shift of the sums")
    say("bias: its exponent; bias error: the largest, in units of the accumulator (+ what the limit on it cost)")
    say(f"wrote {output}; next: intsim inspect {output}")
    return 0


def read_calibration(path: str, model: str, preprocess: str | None) -> tuple[Array, dict[str, str]]:
    """The sample inputs of a .npy or .npz file or a folder of images, and the metadata that says how those were read.

    Errors: UnusableInput; for a folder also those of reading the model.
    """
    if Path(path).is_dir():
        from intsim.quantization import float_input

        shape, metadata = float_input(model)
        how = find_preprocess(preprocess, metadata, path)
        return read_image_folder(path, how, shape)[0], {METADATA: how.to_json()}
    refuse_preprocess(preprocess)
    return _read_samples(path), {}


def _read_samples(path: str) -> Array:
    if Path(path).suffix != ".npz":
        return files.read_array(path)
    member = CALIBRATION if CALIBRATION in files.read_arrays(path) else "x"
    return read_images(path, member)[0]


def show_candidates(row: TensorReport) -> None:
    """The candidate exponents of one tensor, a column each; the chosen one is marked."""
    by_exponent = {candidate.exponent: candidate for candidate in row.candidates}
    exponents = sorted({*by_exponent, row.exponent})
    marks = [f"{exponent}*" if exponent == row.exponent else f"{exponent} " for exponent in exponents]
    numbers = [
        (name, *(show(found) if (found := by_exponent.get(exponent)) else "" for exponent in exponents))
        for name, show in MEASURES.items()
    ]
    say(f"{row.tensor}: {_kind(row)}", "bold")
    table(["exponent", *marks], numbers, right=marks)
    say()


def show_rows(result: QuantizationResult) -> None:
    """The overview: a line a tensor."""
    headers = ("tensor", "kind", "exponent", "OTP", "saturated", "zero", "bias", "bias error")
    table(headers, [_overview(row) for row in result.rows], right=headers[2:], fold=("tensor",))


def _overview(row: TensorReport) -> tuple[Any, ...]:
    bias = row.bias
    return (
        row.tensor,
        _kind(row),
        row.exponent,
        row.otp,
        None if row.saturated is None else f"{row.saturated:.3%}",
        None if row.zero is None else f"{row.zero:.2%}",
        None if bias is None else bias.exponent,
        None if bias is None else f"{bias.error:.4g}" + (f" + {bias.limit_error:.4g}" if bias.limit_error else ""),
    )


def _kind(row: TensorReport) -> str:
    if row.kept_from:
        return f"{row.op}, as {row.kept_from}"
    return f"{row.op} {row.kind}" if row.kind == "weight" else (row.op or row.kind)


@contextmanager
def _passes() -> Iterator[Any]:
    """A callback (pass, done, total) for the progress bar."""
    with progress("calibrating") as advance:
        yield lambda name, done, total: advance(done, total)
