"""TOML and JSON files: tables whose values are still to be judged."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from intsim.errors import UnusableInput
from intsim.files.opening import read_bytes

LARGEST_TOML = 1 << 18
LARGEST_JSON = 1 << 30
"""Bytes; a manifest holds counts of every tapped tensor."""

MOST_DOTS = 100
"""In a line of TOML: the time that tomllib takes for a key grows with the square of its parts."""


def read_toml(path: str | Path, what: str) -> dict[str, Any]:
    """The table of a TOML file; messages begin with what it is. Errors: UnusableInput."""
    where = f"{what} {path}"
    try:
        text = read_bytes(path, LARGEST_TOML).decode()
        if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
            raise UnusableInput(f"a line has more than {MOST_DOTS} dots; write shorter lines")
        return tomllib.loads(text)
    except UnusableInput as error:
        raise UnusableInput(f"{where}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise UnusableInput(f"{where}: not TOML: {error}") from error


def read_json(path: str | Path) -> Any:
    """The value of a JSON file; NaN and infinities, which JSON lacks, are errors. Errors: UnusableInput."""
    content = read_bytes(path, LARGEST_JSON)
    try:
        return json.loads(content.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise UnusableInput(f"{path}: not JSON ({error}); write it again") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
