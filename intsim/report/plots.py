"""Plots as SVG: the same numbers give the same bytes, and the user's own matplotlib settings stay as they are."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from intsim.errors import printable
from intsim.report.page import missing_package

LONGEST_LABEL = 60


@dataclass(frozen=True)
class Bars:
    """One row of bars: a height for each name, a colour, and what the legend says of them."""

    heights: Sequence[float]
    colour: str
    label: str


@contextlib.contextmanager
def plotting() -> Iterator[None]:
    """While plots are made. Errors: MissingDependency without matplotlib."""
    try:
        import matplotlib
    except ImportError as missing:
        raise missing_package("matplotlib") from missing
    # The ids in an SVG are random unless they are salted: the same numbers give the same file.
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": "intsim", "svg.fonttype": "none"}):
        warnings.simplefilter("ignore")  # of glyphs that its font lacks, though a browser has them; of long names
        yield


def bars(names: Sequence[str], rows: Sequence[Bars], unit: str, least: float) -> str:
    """Bars over names, as SVG; later rows lie over earlier ones. unit: of the heights. least: the axis reaches it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(16, max(5, 1.5 + 0.28 * len(names))), 3.6), layout="constrained")
    axes: Any = figure.subplots()
    for row in rows:
        axes.bar(range(len(names)), row.heights, color=row.colour, label=row.label)
    axes.set_ylabel(unit)
    axes.set_ylim(0, max([*rows[0].heights, least]) * 1.15)
    # Names are data: a $ in one must not start a formula.
    axes.set_xticks(range(len(names)), [_label(name) for name in names], rotation=90, fontsize=6, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _label(name: str) -> str:
    """The name as it fits below a bar; what no document can hold is spelled out."""
    text = printable(name)
    half = LONGEST_LABEL // 2
    return text if len(text) <= LONGEST_LABEL else f"{text[:half]}…{text[-half:]}"
