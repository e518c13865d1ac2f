"""Write the quantized networks of the conformance tests, and photographs to run them on, into a folder.

    python tools/conformance_models.py --output DIR [--network NAME]... [--configuration NAME]... [--size 224]

Each network gives DIR/NETWORK.float.onnx, DIR/NETWORK.npy (the photographs, f32[8, 3, size, size]) and one
DIR/NETWORK.CONFIGURATION.onnx a configuration of onnxruntime.quantization.quantize_static.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import numpy as np
import onnx

ROOT = Path(__file__).resolve().parents[1]
CALIBRATION_IMAGES = 4


@click.command(help=__doc__)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="where to write")
@click.option("--network", "networks", multiple=True, help="only this network; may be repeated")
@click.option("--configuration", "configurations", multiple=True, help="only this configuration; may be repeated")
@click.option("--size", default=224, show_default=True, help="height and width of the images")
def main(output: Path, networks: tuple[str, ...], configurations: tuple[str, ...], size: int) -> None:
    """Build, quantize and write what was asked for; say what was written."""
    sys.path.insert(0, str(ROOT))  # `tests` is a package beside `tools`, not an installed one
    from tests.models.networks import NETWORKS
    from tests.models.quantize import CONFIGURATIONS, preprocess, quantize

    chosen_networks = _choose("--network", networks, list(NETWORKS))
    chosen_configurations = _choose("--configuration", configurations, list(CONFIGURATIONS))
    output.mkdir(parents=True, exist_ok=True)
    for name in chosen_networks:
        images = NETWORKS[name].images(size)
        np.save(output / f"{name}.npy", images)
        prepared = preprocess(NETWORKS[name].build(size))
        onnx.save(prepared, output / f"{name}.float.onnx")
        for configuration in chosen_configurations:
            path = output / f"{name}.{configuration}.onnx"
            onnx.save(quantize(prepared, CONFIGURATIONS[configuration], images[:CALIBRATION_IMAGES]), path)
            click.echo(path)


def _choose(option: str, wanted: tuple[str, ...], known: list[str]) -> list[str]:
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: must be among {', '.join(known)}", param_hint=option)
    return list(wanted) or known


if __name__ == "__main__":
    main()
