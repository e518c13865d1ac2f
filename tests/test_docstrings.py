"""English that reads at once: no long sentences in docstrings, one word for one meaning."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "intsim").rglob("*.py"))

LONGEST = 30
"""Words of a sentence. A semicolon ends one; a colon does where it ends a name that is explained."""

INSTEAD = {"behind": "after, or less", "so many": "the number's name", "so much": "the number's name"}
"""Words that said several things, and what says it plainly."""


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each docstring, those of constants too."""
    for node in ast.walk(ast.parse(source)):
        block = getattr(node, "body", None)
        for statement in block if isinstance(block, list) else ():
            text = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield text.lineno, text.value


def sentences(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*[-*|] )|\n(?=\s*[\w, ]+: )", text):
        yield from re.split(r"(?<=[.;:!?])\s+(?=\S)", re.sub(r"`[^`]*`", "X", " ".join(paragraph.split())))


def long_sentences(source: str) -> list[str]:
    words = ((line, s, len(re.findall(r"\S*\w\S*", s))) for line, text in texts(source) for s in sentences(text))
    return [f"line {line}, {count} words: {s[:80]}" for line, s, count in words if count > LONGEST]


def test_no_docstring_has_a_long_sentence() -> None:
    found = {str(file.relative_to(ROOT)): long_sentences(file.read_text(encoding="utf-8")) for file in FILES}
    assert {name: long for name, long in found.items() if long} == {}


@pytest.mark.parametrize("word", INSTEAD)
def test_words_that_say_several_things(word: str) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in [*FILES, *(ROOT / "tools").glob("*.py")]
        for line, text in texts(file.read_text(encoding="utf-8"))
        if re.search(rf"\b{word}\b", text, re.IGNORECASE)
    ]
    assert not found, f"say {INSTEAD[word]}"


def test_a_long_sentence_is_seen() -> None:
    words = " ".join(["word"] * (LONGEST + 1))
    assert long_sentences(f'"""Short. {words}."""') == [f"line 1, 31 words: {words[:80]}"]
    assert long_sentences(f'def f():\n    """A {words}."""\n') != []
    assert long_sentences(f'A = 1\n"""Short; {words[:60]}."""\n') == []
