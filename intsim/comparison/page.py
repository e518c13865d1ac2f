"""The HTML report of comparisons: of each the verdict, two plots by layer, the whole table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from intsim.report import Bars, Page, Section, Table, bars, plotting, write_page

if TYPE_CHECKING:
    from intsim.comparison.comparison import Comparison

NUMBERS = (2, 3, 4, 5)
"""The columns of numbers in a comparison's table."""


def write_comparison(comparison: Comparison, path: str | Path) -> None:
    """Write the report at once. Errors: MissingDependency without jinja2 or matplotlib; UnusableInput on writing."""
    title = f"intsim: {comparison.model} against {comparison.against}"
    heading = f"{comparison.model}, target {comparison.target}, against {comparison.against}"
    write_page(path, Page(title, heading, [make_section(comparison)]))


def write_comparisons(
    title: str, facts: Sequence[tuple[str, str]], comparisons: Mapping[str, Comparison], path: str | Path
) -> None:
    """Write a report of several comparisons, each under its heading; facts: what stands above. Errors: the same."""
    sections = [make_section(comparison, heading) for heading, comparison in comparisons.items()]
    write_page(path, Page(f"intsim: {title}", title, sections, facts))


def make_section(comparison: Comparison, heading: str = "") -> Section:
    """A comparison as a part of a page. Errors: MissingDependency without matplotlib."""
    remarks = comparison.remarks()
    if comparison.isolated:
        remarks.insert(0, "Isolated: each layer was fed the peer's own inputs, so every difference is local.")
    if comparison.causes:
        causes = ", ".join(f"{cause} {count:,}" for cause, count in comparison.causes.most_common())
        remarks.append(f"Causes of the local differences: {causes}.")
    with plotting():
        plots = [] if comparison.equal else [_shares(comparison), _differences(comparison)]
    marked = {i for i, layer in enumerate(comparison.layers) if layer.mismatches}
    table = Table(comparison.HEADERS, comparison.rows(), NUMBERS, marked)
    return Section(heading, comparison.summary(), comparison.equal, remarks, plots, table)


def _shares(comparison: Comparison) -> str:
    """The share of codes that differ, by layer, local and propagated."""
    layers = comparison.layers
    rows = [Bars([layer.mismatches / max(layer.elements, 1) for layer in layers], "#c9b458", "differs")]
    if any(layer.local is not None for layer in layers):
        local = [(layer.local or 0) / max(layer.elements, 1) for layer in layers]
        rows.append(Bars(local, "#b03a2e", "differs on equal inputs (local)"))
    return bars([layer.name for layer in layers], rows, "share of codes", 1e-6)


def _differences(comparison: Comparison) -> str:
    """The largest difference in codes, by layer."""
    heights = [layer.max_difference for layer in comparison.layers]
    row = Bars(heights, "#34618d", "largest difference")
    return bars([layer.name for layer in comparison.layers], [row], "LSB", 1)
