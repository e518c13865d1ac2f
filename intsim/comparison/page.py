"""Comparisons as parts of an HTML page: the verdict, two plots by layer, the whole table."""

from __future__ import annotations

from collections.abc import Sequence

from intsim.comparison.differences import TensorDifference
from intsim.report import Bars, Section, Table, bars, plotting

NUMBERS = (2, 3, 4, 5)
"""The columns of numbers in a comparison's table."""


def make_section(
    heading: str,
    verdict: str,
    remarks: Sequence[str],
    layers: Sequence[TensorDifference],
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> Section:
    """The Section of a comparison; layers and rows: one a tensor. Errors: MissingDependency without matplotlib."""
    marked = {i for i, layer in enumerate(layers) if layer.mismatches}
    with plotting():
        plots = [_shares(layers), _differences(layers)] if marked else []
    return Section(heading, verdict, not marked, remarks, plots, Table(headers, rows, NUMBERS, marked))


def _shares(layers: Sequence[TensorDifference]) -> str:
    """The share of codes that differ, by layer, local and propagated."""
    rows = [Bars([layer.mismatches / max(layer.elements, 1) for layer in layers], "#c9b458", "differs")]
    if any(layer.local is not None for layer in layers):
        local = [(layer.local or 0) / max(layer.elements, 1) for layer in layers]
        rows.append(Bars(local, "#b03a2e", "differs on equal inputs (local)"))
    return bars([layer.name for layer in layers], rows, "share of codes", 1e-6)


def _differences(layers: Sequence[TensorDifference]) -> str:
    """The largest difference in codes, by layer."""
    row = Bars([layer.max_difference for layer in layers], "#34618d", "largest difference")
    return bars([layer.name for layer in layers], [row], "LSB", 1)
