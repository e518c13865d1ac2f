"""Tables for a notebook: small HTML of escaped text, without any package."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape
from typing import Any


def table_html(heading: str, headers: Sequence[str], rows: Sequence[Sequence[Any]], below: Collection[str] = ()) -> str:
    """An HTML fragment: the heading, a table, a line each of `below`; every text in it is escaped."""
    head = "".join(f"<th>{escape(text)}</th>" for text in headers)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    lines = "".join(f"<div>{escape(line)}</div>" for line in below)
    return f"<div><b>{escape(heading)}</b></div><table><tr>{head}</tr>{body}</table>{lines}"
