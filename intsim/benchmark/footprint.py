"""Footprint: the most memory that a runtime ever held while it ran a model, each in a process of its own.

    python -m intsim.benchmark.footprint RUNTIME MODEL TARGET THREADS BATCH

is that process; it prints a Footprint as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intsim.errors import IntsimError, UnusableInput

Array = np.ndarray[Any, Any]

RUNTIMES = ("intsim", "onnxruntime")
STATUS = Path("/proc/self/status")
RUNS = 2


@dataclass(frozen=True)
class Footprint:
    """Mebibytes of the process: at the most, and once its libraries were imported, before it read the model."""

    peak_mib: float
    imported_mib: float

    @property
    def model_mib(self) -> float:
        """What the model, its weights, tensors and inputs added."""
        return self.peak_mib - self.imported_mib


def peak_memory(runtime: str, file: Path, target: str, threads: int, batch: int) -> Footprint:
    """The Footprint of a fresh process that loads the model and runs images of zeros twice.

    runtime: one of RUNTIMES. target: a target's name, for intsim. Errors: UnusableInput where the process failed.
    """
    if runtime not in RUNTIMES:
        raise UnusableInput(f"runtime must be one of {', '.join(RUNTIMES)}, not {runtime!r}")
    command = [sys.executable, "-m", __name__, runtime, str(file), target, str(threads), str(batch)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise UnusableInput(f"the process that measures {runtime}'s memory failed: {last}")
    return Footprint(**json.loads(done.stdout))


def measure(runtime: str, file: Path, target: str, threads: int, batch: int) -> Footprint:
    """The Footprint of this process, which is to do nothing else."""
    run = _intsim if runtime == "intsim" else _onnxruntime
    imported = run(file, target, threads, batch)
    return Footprint(round(_peak_mib(), 1), round(imported, 1))


def _intsim(file: Path, target: str, threads: int, batch: int) -> float:
    import numba  # noqa: F401  # what is loaded at first use counts as imported
    import onnx  # noqa: F401

    from intsim.benchmark.calls import intsim_call
    from intsim.model import load

    imported = _peak_mib()
    model = load(file, target)
    values = [model.graph.values[name] for name in model.graph.inputs]
    inputs = {v.name: _zeros(v.shape, "float32" if v.format is None else v.format.dtype, batch) for v in values}
    call = intsim_call(model, inputs, threads)
    for _ in range(RUNS):
        call()
    return imported


def _onnxruntime(file: Path, target: str, threads: int, batch: int) -> float:
    import onnxruntime  # noqa: F401

    from intsim.comparison.ort_session import deployed_session, run_session

    imported = _peak_mib()
    session = deployed_session(file, threads=threads)
    feeds = {i.name: _zeros(i.shape, _dtype(i.type), batch) for i in session.get_inputs()}
    for _ in range(RUNS):
        run_session(session, feeds)
    return imported


def _dtype(name: str) -> str:
    """NumPy's name of a session's type, which reads like tensor(uint8)."""
    name = name.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)


def _zeros(shape: Sequence[Any], dtype: Any, batch: int) -> Array:
    """An input array, the same for each runtime and made without others; open lengths are the batch's."""
    return np.zeros([n if isinstance(n, int) else batch for n in shape], dtype)


def _peak_mib() -> float:
    """The most memory that this process has held, in MiB.

    Linux's VmHWM; elsewhere ru_maxrss, which may hold the peak of the process that started this one.
    """
    try:
        lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        import resource

        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20)


def main(arguments: list[str]) -> int:
    """Measure and print; an error of the user's is one line."""
    runtime, file, target, threads, batch = arguments
    try:
        print(json.dumps(asdict(measure(runtime, Path(file), target, int(threads), int(batch)))))
    except IntsimError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
