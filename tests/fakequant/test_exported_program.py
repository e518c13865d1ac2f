"""Exported PyTorch programs are data: a pickle in one is never run."""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intsim.errors import UnusableInput
from intsim.fakequant.exported_program import load_program

torch = pytest.importorskip("torch")


class Evil:
    """Unpickling it makes a folder: a sign that code in the file was run."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.sign),)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "program.pt2"
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU()).eval()
    torch.export.save(torch.export.export(module, (torch.zeros(1, 1, 5, 5),)), path)
    return path


def test_a_program_runs(exported: Path) -> None:
    program = load_program(exported)
    assert np.asarray(program(torch.ones(1, 1, 5, 5)).detach()).shape == (1, 2, 3, 3)


def test_torch_is_as_before_after_loading(exported: Path) -> None:
    before = torch.load
    load_program(exported)
    assert torch.load is before


def test_no_pickle_in_any_entry_is_run(exported: Path, tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    payload = io.BytesIO()
    torch.save(Evil(sign), payload)
    torch.load(io.BytesIO(payload.getvalue()), weights_only=False)
    assert sign.exists(), "control: the payload works"
    sign.rmdir()
    entries = [n for n in zipfile.ZipFile(exported).namelist() if n.endswith(".pt") or "weight" in n or "constant" in n]
    assert entries
    for entry in entries:
        changed = tmp_path / "changed.pt2"
        with zipfile.ZipFile(exported) as source, zipfile.ZipFile(changed, "w") as target:
            for name in source.namelist():
                target.writestr(name, payload.getvalue() if name == entry else source.read(name))
        with contextlib.suppress(UnusableInput):
            load_program(changed)
        assert not sign.exists(), entry


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04broken"])
def test_other_files_are_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.pt2"
    path.write_bytes(content)
    with pytest.raises(UnusableInput, match="not an exported PyTorch program") as caught:
        load_program(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"no such file; write it with torch\.export\.save"):
        load_program(tmp_path / "missing.pt2")
