"""A model and inputs as files, and the command line called as a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from intsim.cli import run_line
from tests.cli.small_model import small_images, small_model, small_reals

IMAGES = 5


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code, what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on stdout, which holds nothing else."""
        return json.loads(self.out)


Cli = Callable[..., Outcome]


@dataclass(frozen=True)
class Files:
    """Paths of a model, of one whose scales are no powers of two, of reals, codes, and codes with labels."""

    model: str
    odd: str
    reals: str
    codes: str
    labelled: str


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("cli")
    onnx.save(small_model(), folder / "small.onnx")
    onnx.save(small_model(0.03), folder / "odd.onnx")
    np.save(folder / "reals.npy", small_reals(IMAGES))
    np.save(folder / "codes.npy", small_images(IMAGES))
    np.savez(folder / "labelled.npz", x=small_images(IMAGES), y=np.arange(IMAGES) % 4)
    names = ("small.onnx", "odd.onnx", "reals.npy", "codes.npy", "labelled.npz")
    return Files(*(str(folder / name) for name in names))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Calls the command line in an empty folder; the arguments may be anything that str() makes one of."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: Any) -> Outcome:
        code = run_line([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call
