"""intsim histogram: exact integer histograms of every quantized tensor, in one .npz file."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from intsim import files
from intsim.cli.arrays import Array, read_inputs
from intsim.cli.options import (
    input_option,
    json_option,
    model_argument,
    preprocess_option,
    print_json,
    target_option,
    threads_option,
    title,
)
from intsim.cli.terminal import heading, progress, say, table

if TYPE_CHECKING:
    from intsim.run.result import Result

MOST_BINS = 1 << 16


@click.command("histogram")
@model_argument
@input_option
@preprocess_option
@target_option
@click.option("--bins", type=click.IntRange(1, MOST_BINS), default=256, show_default=True, help="Bins of a histogram.")
@click.option("--per-image", is_flag=True, help="One histogram for each image.")
@click.option("--output", required=True, type=click.Path(), metavar="H.npz", help="The file to write.")
@threads_option
@json_option
def command(
    model: str,
    inputs: tuple[str, ...],
    preprocess: str | None,
    target: str,
    bins: int,
    per_image: bool,
    output: str,
    threads: int | None,
    as_json: bool,
) -> int:
    """Exact histograms of the codes of every quantized tensor of MODEL.

    H.npz holds counts int64[layers, bins] (or [images, layers, bins]), names, low, bits and images. A code's bin is
    (code - low) * bins // 2**bits, one bin a code where there are fewer codes; the bins after those stay empty.
    """
    from intsim.cli.records import warn_of_overflows
    from intsim.model import load
    from intsim.taps.tap import TapSpec

    loaded = load(model, target)
    arrays, _ = read_inputs(inputs, loaded.graph, preprocess)
    with progress("counting") as advance:
        tap = TapSpec("histogram", bins=bins, per_image=per_image)
        result = loaded.run(arrays, taps=[tap], threads=threads, progress=advance)
    warn_of_overflows(result)
    content = histogram_arrays(result, bins, per_image)
    write_npz(output, content)
    if as_json:
        print_json(
            {
                "model": Path(model).name,
                "target": loaded.target.name,
                "output": output,
                "images": result.images,
                "bins": bins,
                "per_image": per_image,
                "names": content["names"].tolist(),
                "low": content["low"].tolist(),
                "bits": content["bits"].tolist(),
                "shape": list(content["counts"].shape),
            }
        )
        return 0
    heading(f"{title(model, loaded, target)}, {result.images:,} images")
    _show(content)
    say()
    say(f"wrote {output}: counts int64{list(content['counts'].shape)}, names, low, bits, images")
    return 0


def histogram_arrays(result: Result, bins: int, per_image: bool) -> dict[str, Array]:
    """The arrays of H.npz from a run with the histogram tap. Errors: UnusableInput where images are not rows."""
    taps = [(tap.name, tap.format, tap.histogram) for tap in result.taps.values()]
    shape = (result.images, len(taps), bins) if per_image else (len(taps), bins)
    counts = np.zeros(shape, np.int64)
    for layer, (name, _, histogram) in enumerate(taps):
        assert histogram is not None, "every tensor was asked for its histogram"
        if per_image:
            histogram = _by_image(name, histogram, result.images)
        counts[..., layer, : histogram.shape[-1]] = histogram
    formats = [format for _, format, _ in taps if format is not None]
    return {
        "counts": counts,
        "names": np.array([name for name, _, _ in taps]),
        "low": np.array([format.low for format in formats], np.int64),
        "bits": np.array([format.bits for format in formats], np.int64),
        "images": np.array(result.images, np.int64),
    }


def write_npz(path: str, arrays: dict[str, Array]) -> None:
    """Write a compressed .npz file at once. Errors: UnusableInput."""
    buffer = io.BytesIO()
    saved: dict[str, Any] = dict(arrays)
    np.savez_compressed(buffer, allow_pickle=False, **saved)
    files.write_file(path, buffer.getvalue())


def _by_image(name: str, histogram: Array, images: int) -> Array:
    """The histograms of a tensor's rows summed up by image. Errors: UnusableInput."""
    from intsim.errors import UnusableInput

    if len(histogram) % images:
        raise UnusableInput(
            f"tensor {name!r} has {len(histogram)} rows for {images} images, so its histogram has no parts by image; "
            f"leave --per-image out"
        )
    return histogram.reshape(images, -1, histogram.shape[-1]).sum(axis=1)


def _show(content: dict[str, Array]) -> None:
    counts = content["counts"] if content["counts"].ndim == 2 else content["counts"].sum(axis=0)
    rows = []
    for name, low, bits, row in zip(content["names"], content["low"], content["bits"], counts, strict=True):
        used = np.flatnonzero(row)
        size = min(len(row), 1 << int(bits))
        edge = ((np.array([used[0], used[-1] + 1]) << int(bits)) // size) + low
        rows.append((name, bits, f"{row.sum():,}", f"{len(used)}/{size}", f"{edge[0]}…{edge[1] - 1}", _bar(row[:size])))
    headers = ("tensor", "bits", "codes", "bins used", "from…to", "histogram")
    table(headers, rows, right=("bits", "codes", "bins used"), fold=("tensor",))


def _bar(row: Array, width: int = 32) -> str:
    """The histogram as a line of blocks, each as high as the fullest of its bins."""
    edges = np.linspace(0, len(row), min(width, len(row)) + 1).astype(int)
    heights = np.array([row[a:b].max() for a, b in itertools.pairwise(edges)])
    levels = np.ceil(8 * heights / max(int(heights.max()), 1)).astype(int)
    return "".join(" ▁▂▃▄▅▆▇█"[level] for level in levels)
