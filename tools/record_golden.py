"""Record golden vectors: from the spec, on unbounded integers, never from the kernels that they judge."""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

import intsim
from intsim import demo, spec
from intsim.demo.digests import BLOCK, block_digests
from intsim.files import read_arrays, write_array
from intsim.formats import Format
from intsim.vectors import Recorded, write_case, write_manifest

if TYPE_CHECKING:
    from tools.golden_ops import OpCall

ROOT = Path(__file__).resolve().parents[1]
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


@cli.command("ops")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("golden"),
    show_default=True,
    help="Folder in which OP/CASE/ is written.",
)
@click.option("--check", is_flag=True, help="Write nothing; say what recording again would change, and exit with 1.")
def record_ops(output: Path, check: bool) -> None:
    """Of single ops: the cases of golden_ops.py."""
    sys.path.insert(0, str(ROOT))  # `tools` is a folder of scripts, not an installed package
    from tools.golden_ops import cases

    if not check:
        for case in cases():
            record_case(case, output)
        return
    with tempfile.TemporaryDirectory() as fresh:
        for case in cases():
            record_case(case, Path(fresh))
        differing = differences(output, Path(fresh))
    for line in differing:
        click.echo(line)
    sys.exit(1 if differing else 0)


def record_case(case: OpCall, output: Path) -> None:
    """Write output/OP/CASE/: the arguments, and what the spec makes of them."""
    arrays = {name: operand.array for name, operand in case.arrays.items()}
    scalars = {name: np.float32(v) if isinstance(v, float) else v for name, v in case.parameters.items()}
    operands = [operand.array for operand in case.operands.values()]
    made = getattr(spec, case.op)(*operands, **scalars, **arrays)
    tensors = {name: Recorded(o.array, o.format, "input") for name, o in case.operands.items()}
    tensors |= {name: Recorded(o.array, o.format, "parameter") for name, o in case.arrays.items()}
    if isinstance(made, tuple):
        accumulators, events = made
        tensors["accumulator"] = result(accumulators, case.result)
        tensors["overflowed"] = result(np.asarray(events) != 0, Format(1, signed=False))
    else:
        tensors["y"] = result(made, case.result)
    write_case(output / case.op / case.name, tensors, op=case.op, parameters=case.parameters)


def result(values: NDArray[Any], format: Format | None) -> Recorded:
    """What the spec made, as it is recorded."""
    if format is not None:
        format.check(np.asarray(values, np.int64), "y")
    return Recorded(np.asarray(values), format, "output")


def differences(old: Path, new: Path) -> list[str]:
    """What differs between two folders of cases, one line a file."""
    lines = []
    for path in sorted({p.relative_to(root) for root in (old, new) for p in root.glob("*/*/*")}):
        if not (old / path).exists():
            lines.append(f"{old / path}: not recorded")
        elif not (new / path).exists():
            lines.append(f"{old / path}: belongs to no case")
        elif (old / path).read_bytes() != (new / path).read_bytes():
            lines.append(f"{old / path}: differs")
    return lines


if __name__ == "__main__":
    cli()
