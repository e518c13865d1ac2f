"""The HTML report of comparisons: of each the summary, two plots by layer, the whole table."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intsim import files
from intsim.errors import MissingDependency

if TYPE_CHECKING:
    from intsim.comparison.comparison import Comparison


@dataclass(frozen=True)
class Part:
    """What a page shows of a comparison. rows: the cells of its table, and whether that tensor differs. plots: SVG."""

    comparison: Comparison
    rows: list[tuple[tuple[str, ...], bool]]
    plots: list[str]


def write_comparison(comparison: Comparison, path: str | Path) -> None:
    """Write the report at once. Errors: MissingDependency without jinja2 or matplotlib; UnusableInput on writing."""
    write_page(path, "comparison.html", part=make_part(comparison))


def write_demo(
    title: str, facts: Sequence[tuple[str, str]], comparisons: Mapping[str, Comparison], path: str | Path
) -> None:
    """Write a report of several comparisons, each under its heading; facts: what stands above. Errors: the same."""
    parts = [(heading, make_part(comparison)) for heading, comparison in comparisons.items()]
    write_page(path, "demo.html", title=title, facts=facts, parts=parts)


def write_page(path: str | Path, template: str, **content: Any) -> None:
    """Write a filled template. Errors: MissingDependency without jinja2, UnusableInput on writing."""
    try:
        import jinja2
    except ImportError as missing:
        raise _missing("jinja2") from missing
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("intsim", "report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    files.write_file(path, environment.get_template(template).render(**content).encode())


def make_part(comparison: Comparison) -> Part:
    """The Part of a comparison. Errors: MissingDependency without matplotlib."""
    try:
        import matplotlib
    except ImportError as missing:
        raise _missing("matplotlib") from missing
    # The ids in an SVG are random unless they are salted: the same comparison gives the same file.
    with matplotlib.rc_context({"svg.hashsalt": "intsim", "svg.fonttype": "none"}):
        plots = [] if comparison.equal else [_share_plot(comparison), _difference_plot(comparison)]
    differs = (bool(layer.mismatches) for layer in comparison.layers)
    return Part(comparison, list(zip(comparison.rows(), differs, strict=True)), plots)


def _missing(package: str) -> MissingDependency:
    return MissingDependency(f"{package} is not installed: pip install intsim[report]")


def _share_plot(comparison: Comparison) -> str:
    """Bars: the share of codes that differ, by layer, local and propagated."""
    layers = comparison.layers
    figure, axes = _figure(len(layers))
    total = [layer.mismatches / max(layer.elements, 1) for layer in layers]
    local = [(layer.local or 0) / max(layer.elements, 1) for layer in layers]
    positions = range(len(layers))
    axes.bar(positions, total, color="#c9b458", label="differs")
    if any(layer.local is not None for layer in layers):
        axes.bar(positions, local, color="#b03a2e", label="differs on equal inputs (local)")
    axes.set_ylabel("share of codes")
    axes.set_ylim(0, max([*total, 1e-6]) * 1.15)
    return _svg(figure, axes, [layer.name for layer in layers])


def _difference_plot(comparison: Comparison) -> str:
    """Bars: the largest difference in codes, by layer."""
    figure, axes = _figure(len(comparison.layers))
    axes.bar(
        range(len(comparison.layers)),
        [layer.max_difference for layer in comparison.layers],
        color="#34618d",
        label="largest difference",
    )
    axes.set_ylabel("LSB")
    axes.set_ylim(0, max([layer.max_difference for layer in comparison.layers] + [1]) * 1.15)
    return _svg(figure, axes, [layer.name for layer in comparison.layers])


def _figure(bars: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(16, max(5, 1.5 + 0.28 * bars)), 3.6), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Any, axes: Any, names: list[str]) -> str:
    # Names are data: a $ in one must not start a formula.
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
