"""The gate before a release: whole networks at full size against ONNX Runtime, and every configuration of the tests.

    python tools/conformance.py [--network NAME]... [--configuration NAME]... [--images N] [--size 224] [--json]

ResNet18, MobileNetV2 and EfficientNet-Lite0 are quantized by onnxruntime.quantization.quantize_static and run on
photographs, in every configuration of its quantizer. Every quantized tensor is compared, code by code. Unless networks
or configurations are named, the tests marked `release` run after that: what `make test` does for a pairwise subset.
Exits with 1 if any differs. The target is what ONNX Runtime is on this processor: onnxruntime, or without VNNI
onnxruntime-avx2.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
CALIBRATION_IMAGES = 4
SCHEMA_VERSION = 1
PIPE_WIDTH = 140
LEFT = ("network", "configuration")


@click.command(help=__doc__)
@click.option("--network", "networks", multiple=True, help="only this network; may be repeated")
@click.option("--configuration", "configurations", multiple=True, help="only this configuration; may be repeated")
@click.option("--images", type=click.IntRange(1), default=8, show_default=True, help="photographs, and crops of them")
@click.option("--size", type=click.IntRange(32), default=224, show_default=True, help="height and width of the images")
@click.option("--threads", type=click.IntRange(1), help="threads of either side (default: all cores)")
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout")
def main(
    networks: tuple[str, ...],
    configurations: tuple[str, ...],
    images: int,
    size: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Compare, print the table or the document, and exit with 0 or 1."""
    sys.path.insert(0, str(ROOT))  # `tests` is a package beside `tools`, not an installed one
    logging.disable(logging.WARNING)  # onnxruntime.quantization recommends other settings for each model
    warnings.simplefilter("ignore")  # PyTorch's on its own exporter, NumPy's on ONNX Runtime's quantizer
    from tests.models.networks import NETWORKS
    from tests.models.quantize import CONFIGURATIONS

    chosen_networks = _choose("--network", networks, list(NETWORKS))
    chosen_configurations = _choose("--configuration", configurations, list(CONFIGURATIONS))
    rows = []
    for row in compared(chosen_networks, chosen_configurations, images, size, threads):
        rows.append(row)
        verdict = "equal" if row["equal"] else f"{row['mismatches']:,} codes differ"
        click.echo(f"{row['network']} {row['configuration']}: {verdict}, {row['seconds']:.1f} s", err=True)
    if as_json:
        click.echo(json.dumps({"schema_version": SCHEMA_VERSION, "size": size, "rows": rows}, indent=1))
    else:
        Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table(rows))
    passed = bool(networks or configurations) or release_tests_pass()
    sys.exit(0 if passed and all(row["equal"] for row in rows) else 1)


def release_tests_pass() -> bool:
    """Whether the tests marked `release` pass; what pytest says goes to stderr."""
    command = [sys.executable, "-m", "pytest", "--release", "-m", "release", "-q", "-n", "2", "--dist", "loadfile"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr, check=False).returncode == 0


def compared(
    networks: list[str], configurations: list[str], images: int, size: int, threads: int | None
) -> Iterator[dict[str, Any]]:
    """One row a network and configuration, as it is done. seconds: of loading and comparing, both sides."""
    import intsim
    from tests.models.networks import NETWORKS
    from tests.models.quantize import CONFIGURATIONS, preprocess, quantize
    from tests.processor import ONNXRUNTIME

    for network in networks:
        x = NETWORKS[network].images(size, -(-images // 8))[:images]
        prepared = preprocess(NETWORKS[network].build(size))
        for configuration in configurations:
            quantized = quantize(prepared, CONFIGURATIONS[configuration], x[:CALIBRATION_IMAGES])
            start = time.perf_counter()
            model = intsim.load(quantized, target=ONNXRUNTIME)
            found = intsim.compare(model, "onnxruntime", x, threads=threads)
            yield {
                "network": network,
                "configuration": configuration,
                "target": ONNXRUNTIME,
                "images": found.images,
                "equal": found.equal,
                "compared": found.compared,
                "tensors": found.compared + len(found.unmatched) + len(found.resumed),
                "codes": found.elements,
                "mismatches": found.mismatches,
                "first": found.first,
                "unmatched": list(found.unmatched),
                "resumed": list(found.resumed),
                "seconds": round(time.perf_counter() - start, 2),
            }


def table(rows: list[dict[str, Any]]) -> Table:
    """The rows with their totals."""
    targets = ", ".join(sorted({row["target"] for row in rows}))
    shown = Table(title=f"intsim, target {targets}, against ONNX Runtime")
    for header in ("network", "configuration", "tensors", "codes compared", "mismatches", "resumed", "seconds"):
        shown.add_column(header, justify="left" if header in LEFT else "right", no_wrap=True)
    for row in rows:
        shown.add_row(row["network"], row["configuration"], *_numbers(row, len(row["resumed"])), style=_style(row))
    keys = ("compared", "tensors", "codes", "mismatches", "seconds")
    total = {key: sum(row[key] for row in rows) for key in keys}
    shown.add_section()
    shown.add_row("total", f"{len(rows)} models", *_numbers(total, sum(len(row["resumed"]) for row in rows)))
    return shown


def _numbers(row: Mapping[str, Any], resumed: int) -> tuple[str, ...]:
    tensors = f"{row['compared']} of {row['tensors']}"
    return tensors, f"{row['codes']:,}", f"{row['mismatches']:,}", str(resumed), f"{row['seconds']:.1f}"


def _style(row: Mapping[str, Any]) -> str:
    return "" if row["equal"] else "red"


def _choose(option: str, wanted: tuple[str, ...], known: list[str]) -> list[str]:
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: must be among {', '.join(known)}", param_hint=option)
    return list(wanted) or known


if __name__ == "__main__":
    main()
