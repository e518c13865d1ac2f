from __future__ import annotations

import pytest

from intsim import errors
from intsim.errors import IntsimError, printable, shown


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("layer.1", "layer.1"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb", "a\\nb"),
        ("größe…", "größe…"),
        ("\udcff", "\\udcff"),
    ],
)
def test_control_characters_are_spelled_out(text: str, spelled: str) -> None:
    assert printable(text) == spelled
    assert str(IntsimError(text)) == spelled


@pytest.mark.parametrize("text", ["x" * 10_000_000, "\n" * 600, "ab" * 600])
def test_a_message_is_one_line_below_1000_characters(text: str) -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, IntsimError)]
    assert len(kinds) > 5
    for kind in kinds:
        said = str(kind(f"first {text} last"))
        assert len(said) < 1000 - len("intsim: error: ") and said.isprintable()
        assert said.startswith("first ") and said.endswith(" last") and " … " in said


def nested(depth: int) -> object:
    value: object = 0
    for _ in range(depth):
        value = [value]
    return value


def test_a_value_of_any_size_and_depth_is_shown() -> None:
    for value, said in (
        (3, "3"),
        (-(2**63), "-9223372036854775808"),
        (10**5000, "about 2**16609"),
        (-(1 << 20000), "about -2**20000"),
        ([10**5000] * 100, f"[{'about 2**16609, ' * 6}...]"),
        (nested(100_000), "[[[[...]]]]"),
        ({"a": nested(100_000)}, "{'a': [[[...]]]}"),
        (True, "True"),
        (float("nan"), "nan"),
        ("ab", "'ab'"),
    ):
        assert shown(value) == said


def test_a_long_text_is_cut() -> None:
    assert len(shown("x" * 10_000_000)) == 80
    assert len(shown([{"k" * 1000: "v" * 1000}] * 1000)) < 1200
