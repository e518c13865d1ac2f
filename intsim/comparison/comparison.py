"""Comparison: what `compare` found, as a value, a table, JSON and HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intsim.comparison.differences import TensorDifference
from intsim.errors import UnusableInput
from intsim.run.notebook import table_html

SCREEN = 24
"""Lines of a table unless all layers are asked for."""

if TYPE_CHECKING:
    from intsim.report import Section


@dataclass(frozen=True)
class Comparison:
    """The differences of every tensor that both sides have, in topological order.

    model, target: ours. against: the peer's name. images: how many. isolated: each layer was fed the peer's inputs.
    layers: one TensorDifference a tensor. unmatched: tensors that the model file quantizes and the peer does not
    have. resumed: tensors after inexact float arithmetic, whose codes were taken from the peer and are therefore not
    compared.
    accuracy: top1, peer_top1 (with labels), agreement and cd (share of differing argmax), where there are logits.
    """

    model: str
    target: str
    against: str
    images: int
    isolated: bool
    layers: tuple[TensorDifference, ...]
    unmatched: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()
    accuracy: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not any(layer.elements for layer in self.layers):
            names = [*self.unmatched, *self.resumed][:3]
            raise UnusableInput(
                f"nothing to compare: {self.against} has none of the quantized tensors of {self.model} "
                f"({', '.join(names) or 'it has none'})"
            )

    @property
    def equal(self) -> bool:
        """Whether every compared element is equal."""
        return self.mismatches == 0

    @property
    def mismatches(self) -> int:
        """The number of elements that differ, over all tensors."""
        return sum(layer.mismatches for layer in self.layers)

    @property
    def elements(self) -> int:
        """The number of elements compared."""
        return sum(layer.elements for layer in self.layers)

    @property
    def compared(self) -> int:
        """The number of tensors compared."""
        return len(self.layers)

    @property
    def first(self) -> str | None:
        """The first tensor in topological order that differs, None where all are equal."""
        return next((layer.name for layer in self.layers if layer.mismatches), None)

    @property
    def causes(self) -> Counter[str]:
        """Cause -> count of local mismatches, over all tensors."""
        total: Counter[str] = Counter()
        for layer in self.layers:
            total.update(layer.causes)
        return total

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of `compare --json`."""
        return {
            "model": self.model,
            "target": self.target,
            "against": self.against,
            "images": self.images,
            "isolated": self.isolated,
            "equal": self.equal,
            "compared": self.compared,
            "elements": self.elements,
            "mismatches": self.mismatches,
            "unmatched": list(self.unmatched),
            "resumed": list(self.resumed),
            "first": self.first,
            "causes": dict(self.causes),
            "accuracy": dict(self.accuracy),
            "layers": [layer.to_dict() for layer in self.layers],
        }

    def summary(self) -> str:
        """One line: equal or not, how much was compared, where it first differs."""
        what = f"{self.compared} of {self.compared + len(self.unmatched) + len(self.resumed)} tensors"
        images = f"{self.images} image{'s' if self.images != 1 else ''}"
        head = f"{self.model} ({self.target}) against {self.against}: "
        if self.equal:
            return f"{head}equal, {what}, {self.elements:,} codes, {images}"
        share = self.mismatches / self.elements
        differ = f"{self.mismatches:,} of {self.elements:,} codes differ ({share:.3%})"
        return f"{head}{differ}, {what}, {images}, first in {self.first}"

    def rows(self, *, all_layers: bool = True) -> list[tuple[str, ...]]:
        """The cells of the table: tensor, op, elements, mismatches, local, largest, histogram, first, causes."""
        rows: list[tuple[str, ...]] = []
        for layer in self.layers:
            if not (all_layers or layer.mismatches):
                continue
            first = layer.first
            rows.append(
                (
                    layer.name,
                    layer.op,
                    f"{layer.elements:,}",
                    f"{layer.mismatches:,}",
                    "" if layer.local is None else f"{layer.local:,}",
                    str(layer.max_difference),
                    _histogram_text(layer.histogram),
                    "" if first is None else f"{list(first.coordinate)}: {first.expected} -> {first.actual}",
                    ", ".join(f"{cause} {count:,}" for cause, count in layer.causes.most_common()),
                )
            )
        return rows

    HEADERS = ("tensor", "op", "elements", "differ", "local", "LSB", "differences", "first: theirs -> ours", "causes")

    def __repr__(self) -> str:
        """The summary."""
        return f"Comparison({self.summary()})"

    def _repr_html_(self) -> str:
        """The table in a notebook, no longer than `table()`."""
        rows, left_out = self._shown(all_layers=False)
        return table_html(self.summary(), self.HEADERS, rows, [*left_out, *self.remarks()])

    def table(self, *, all_layers: bool = False) -> str:
        """The table as plain text, the summary above it.

        Of more layers than fit on a screen, the first that differ and how many are left out; all_layers: every one.
        """
        shown, left_out = self._shown(all_layers=all_layers)
        rows = [self.HEADERS, *shown]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.HEADERS))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join((self.summary(), *lines, *left_out, *self.remarks()))

    def _shown(self, *, all_layers: bool) -> tuple[list[tuple[str, ...]], list[str]]:
        """The rows to show, and the line that says what is left out, if anything is."""
        room = SCREEN - len((self.summary(), self.HEADERS, *self.remarks()))
        rows = self.rows()
        if all_layers or len(rows) <= room:
            return rows, []
        differing = self.rows(all_layers=False)
        shown = differing[: room - 1]
        counts = {"that differ": len(differing) - len(shown), "equal": len(rows) - len(differing)}
        text = " and ".join(f"{count} {what}" for what, count in counts.items() if count)
        return shown, [f"… and {text}; table(all_layers=True) shows every layer"]

    def remarks(self) -> list[str]:
        """What the reader must know beside the table: unmatched and resumed tensors, accuracy."""
        remarks = []
        if self.unmatched:
            remarks.append(f"not in {self.against}: {', '.join(self.unmatched)}")
        if self.resumed:
            remarks.append(
                f"taken from {self.against} after float arithmetic that is not exact: {', '.join(self.resumed)}"
            )
        if self.accuracy:
            names = {"top1": "top-1", "peer_top1": "peer's top-1", "agreement": "agreement", "cd": "CD"}
            remarks.append(", ".join(f"{names[k]} {v:.2%}" for k, v in self.accuracy.items()))
        return remarks

    def section(self, heading: str = "") -> Section:
        """It as a part of a page. Errors: MissingDependency without matplotlib."""
        from intsim.comparison.page import make_section

        remarks = self.remarks()
        if self.isolated:
            remarks.insert(0, "Isolated: each layer was fed the peer's own inputs, so every difference is local.")
        if self.causes:
            causes = ", ".join(f"{cause} {count:,}" for cause, count in self.causes.most_common())
            remarks.append(f"Causes of the local differences: {causes}.")
        return make_section(heading, self.summary(), remarks, self.layers, self.HEADERS, self.rows())

    def to_html(self, path: str | Path) -> None:
        """Write the report: one self-contained HTML file.

        Errors: MissingDependency without the extra [report]; UnusableInput where it cannot be written.
        """
        from intsim.report import Page, write_page

        title = f"intsim: {self.model} against {self.against}"
        heading = f"{self.model}, target {self.target}, against {self.against}"
        write_page(path, Page(title, heading, [self.section()]))


def _histogram_text(histogram: Counter[int], most: int = 5) -> str:
    """The commonest differences but zero, e.g. "-1: 12, +1: 9, …"."""
    differing = sorted(((d, n) for d, n in histogram.items() if d), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{d:+d}: {n:,}" for d, n in sorted(differing[:most]))
    return shown + (", …" if len(differing) > most else "")
