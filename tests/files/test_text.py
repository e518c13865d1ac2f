from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from intsim.errors import UnusableInput
from intsim.files import read_json, read_toml
from intsim.files.text import LARGEST_TOML


def test_tables_come_back(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text("a = 1\nb.c = 'ü'\n", encoding="utf-8")
    assert read_toml(tmp_path / "t.toml", "file") == {"a": 1, "b": {"c": "ü"}}
    (tmp_path / "t.json").write_text('{"a": [1, 2.5, null]}')
    assert read_json(tmp_path / "t.json") == {"a": [1, 2.5, None]}


LONG = LARGEST_TOML // 2 - 10


@pytest.mark.parametrize(
    "text",
    [
        "a." * LONG + "a = 1",
        "[" + "a." * LONG + "a]",
        "[[a." + "a." * LONG + "a]]",
        f"{'a.' * 90}a = 1\n" * (LONG // 100),
        "[" * LONG,
        "a = " + "[" * LONG,
        "a = " + "{a = " * (LONG // 3),
        "a = '" + "y" * LONG,
        "[[a]]\n" * (LONG // 4) + "=",
    ],
)
def test_no_file_takes_long(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.toml").write_text(text)
    start = time.process_time()
    with pytest.raises(UnusableInput, match=r"^my file .*t\.toml: ") as caught:
        read_toml(tmp_path / "t.toml", "my file")
    assert time.process_time() - start < 5
    assert len(str(caught.value)) < 1000 and str(caught.value).isprintable()


def test_what_is_no_text_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "t"
    for content in (b"\xff", b"\0", b"a = ", b"{", b"NaN", b"9" * 5000, b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(UnusableInput, match="not TOML"):
            read_toml(path, "file")
        with pytest.raises(UnusableInput, match="not JSON"):
            read_json(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UnusableInput, match="is not a file but a pipe"):
        read_toml(path, "file")
    with pytest.raises(UnusableInput, match="is not a file but a pipe"):
        read_json(path)
