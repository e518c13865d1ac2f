from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from intsim.comparison import Comparison, TensorDifference
from intsim.errors import MissingDependency, UnusableInput

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

HOSTILE = "<script>alert('$x$')</script>"
"""A tensor's name is data from a file."""


class Page(HTMLParser):
    """The text of each table cell, row by row, and the tags that must not be there."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self._cell: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.rows[-1].append("".join(self._cell))
            self._cell = None

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._cell is not None:
            self._cell.append(data)


def comparison(name: str = "conv1", mismatches: int = 3) -> Comparison:
    layers = []
    for tensor, count in (("x", 0), (name, mismatches), ("scores", 0)):
        layer = TensorDifference(tensor, "Conv")
        theirs = np.zeros((2, 5000), np.int8)
        ours = theirs.copy()
        ours[1, :count] = 7
        layer.add(theirs, ours, 0, 2)
        if count:
            layer.local, layer.causes["tie"] = 2, 2
        layers.append(layer)
    return Comparison(
        "net", "diffquant", "spec", 2, False, tuple(layers), ("lost",), ("taken",), {"agreement": 0.5, "cd": 0.5}
    )


def test_the_page_holds_the_whole_table_and_the_summary(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    found = comparison()
    found.to_html(path)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.rows == [list(Comparison.HEADERS), *(list(row) for row in found.rows())]
    words = " ".join(page.words)
    assert found.summary() in words
    assert all(remark in words for remark in found.remarks())
    assert "3 of 30,000 codes differ" in words
    assert 'class="marked"' in text
    assert text.count('class="marked"') == 1


def test_it_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    comparison().to_html(str(path))
    text = path.read_text(encoding="utf-8")
    assert not {"script", "link", "img", "iframe"} & set(Page(text).tags)
    addresses = [word for word in text.replace('"', " ").split() if word.startswith(("http:", "https:"))]
    assert all(
        "www.w3.org" in a or "purl.org" in a or "creativecommons.org" in a or "matplotlib" in a for a in addresses
    )
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_names_are_data(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    comparison(HOSTILE).to_html(path)
    page = Page(path.read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert page.rows[2][0] == HOSTILE


def test_the_plots_are_well_formed_and_name_every_tensor(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    comparison("a$b$c_{d").to_html(path)
    text = path.read_text(encoding="utf-8")
    plots = [part[: part.index("</svg>") + 6] for part in text.split("<svg")[1:]]
    assert len(plots) == 2
    for plot in plots:
        words = "".join(ElementTree.fromstring("<svg" + plot).itertext())
        assert "a$b$c_{d" in words
        assert "scores" in words


def test_the_same_comparison_gives_the_same_file(tmp_path: Path) -> None:
    comparison().to_html(tmp_path / "a.html")
    comparison().to_html(tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_equal_tensors_need_no_plots(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    comparison(mismatches=0).to_html(path)
    text = path.read_text(encoding="utf-8")
    assert "<svg" not in text
    assert "equal, 3 of 5 tensors, 30,000 codes, 2 images" in text


def test_the_users_plots_are_left_alone(tmp_path: Path) -> None:
    import matplotlib

    backend, before = matplotlib.get_backend(), dict(matplotlib.rcParams)
    comparison().to_html(tmp_path / "report.html")
    assert (matplotlib.get_backend(), dict(matplotlib.rcParams)) == (backend, before)


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_without_the_extra_it_is_named(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=rf"{package} is not installed: pip install intsim\[report\]"):
        comparison().to_html(tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnusableInput):
        comparison().to_html(tmp_path / "file" / "report.html")
