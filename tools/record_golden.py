"""Record golden vectors: from the spec, on unbounded integers, never from the kernels that they judge."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import intsim
from intsim import demo
from intsim.demo.digests import BLOCK, block_digests
from intsim.files import read_arrays, write_array
from intsim.vectors import Recorded, write_manifest

WHOLE = 2
"""The first images of the demo, whose codes are recorded in full."""


@click.group()
def cli() -> None:
    """Record golden vectors from the spec."""


@cli.command("demo")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("intsim/demo"),
    show_default=True,
    help="Folder in which golden/ and float_logits.npy are written.",
)
def record_demo(output: Path) -> None:
    """Of the demo's model: the codes of every tensor, whole for two images and as digests for all."""
    model = intsim.load(demo.quantized_model())
    images = read_arrays(demo.images())["x"]
    whole: dict[str, Recorded] = {}
    digests: defaultdict[str, list[str]] = defaultdict(list)
    with click.progressbar(range(0, len(images), BLOCK), label="running the spec") as blocks:
        for first in blocks:
            result = model.run(images[first : first + BLOCK], taps=["codes"], engine="spec")
            for name, tap in result.taps.items():
                assert tap.codes is not None, "the tap asks for them"
                digests[name] += block_digests(tap.codes, result.images)
                if first == 0:
                    role = "input" if name in model.lowered.inputs.values() else "tap"
                    rows = len(tap.codes) // result.images * WHOLE
                    whole[name] = Recorded(tap.codes[:rows], tap.format, role)
    write_manifest(
        output / "golden",
        whole,
        model=model.graph.name,
        digest=model.graph.digest,
        target=model.target,
        images=WHOLE,
        taps={name: {"images": len(images), "block": BLOCK, "sha256": values} for name, values in digests.items()},
        name="manifest.json",
    )
    write_array(output / "float_logits.npy", float_logits(images))


def float_logits(codes: NDArray[np.int8]) -> NDArray[np.float32]:
    """What the float model gives in ONNX Runtime, f32[N, 10], for images as codes at the exponent -7."""
    import onnxruntime

    session = onnxruntime.InferenceSession(demo.float_model(), providers=["CPUExecutionProvider"])
    [made] = session.run(None, {session.get_inputs()[0].name: codes.astype(np.float32) / np.float32(128)})
    logits: NDArray[Any] = made
    return logits.astype(np.float32, copy=False)


if __name__ == "__main__":
    cli()
