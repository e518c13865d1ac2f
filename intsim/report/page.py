"""Pages: sections of a verdict, sentences, plots and one table, written as one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from intsim import files
from intsim.errors import MissingDependency

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What a browser may do with a page: show it in its own styles and those of its plots; no script, nothing loaded."""


@dataclass(frozen=True)
class Table:
    """The headers and the rows of cells; numbers: the columns of numbers; marked: the rows that stand out."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Collection[int] = ()
    marked: Collection[int] = ()


@dataclass(frozen=True)
class Section:
    """A part of a page under its heading ("" for none).

    verdict: its first line; good: whether that is what one hopes for. remarks: sentences. plots: SVG.
    """

    heading: str
    verdict: str
    good: bool
    remarks: Sequence[str] = ()
    plots: Sequence[str] = ()
    table: Table | None = None


@dataclass(frozen=True)
class Page:
    """A title, a heading, facts as (name, text) below it, and sections."""

    title: str
    heading: str
    sections: Sequence[Section]
    facts: Sequence[tuple[str, str]] = ()


def write_page(path: str | Path, page: Page) -> None:
    """Write a page at once. All its text is escaped but the plots. Errors: MissingDependency, UnusableInput."""
    try:
        import jinja2
    except ImportError as missing:
        raise missing_package("jinja2") from missing
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("intsim", "report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    files.write_file(
        path, environment.get_template("page.html").render(page=page, policy=POLICY).encode(errors="backslashreplace")
    )


def missing_package(package: str) -> MissingDependency:
    """The error for a package of the extra [report] that is not installed."""
    return MissingDependency(f"{package} is not installed: pip install intsim[report]")
