from __future__ import annotations

import ctypes
import errno
from pathlib import Path

import pytest

from intsim.files import swap


def test_two_paths_are_exchanged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inner").touch()
    (tmp_path / "b").write_text("b")
    assert swap.exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_text() == "b" and (tmp_path / "b" / "inner").exists()


def test_a_system_without_exchange_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="No such file") as caught:
        swap.exchange(tmp_path / "a", tmp_path / "b")
    assert caught.value.errno == errno.ENOENT
    (tmp_path / "a").mkdir()
    monkeypatch.setattr(swap, "RENAME_EXCHANGE", 1 << 20)  # a flag that no kernel knows
    assert not swap.exchange(tmp_path / "a", tmp_path / "a")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    assert not swap.exchange(tmp_path / "a", tmp_path / "a")
