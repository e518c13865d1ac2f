from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from intsim.report import Bars, Page, Section, Table, bars, plotting, write_page

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

HOSTILE = "</style><script>alert(1)</script><img src=http://example.com/x onerror=alert(1)>"

LOADERS = (
    "script",
    "iframe",
    "object",
    "embed",
    "link",
    "base",
    "form",
    "img",
    "image",
    "foreignobject",
    "audio",
    "video",
)


class Tags(HTMLParser):
    """Every tag and its attributes, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags(path: Path) -> list[tuple[str, dict[str, str | None]]]:
    """The tags of a page of every kind of section, with hostile text wherever text can be."""
    with plotting():
        plot = bars([HOSTILE, "b"], [Bars([1.0, 2.0], "#333333", HOSTILE)], "unit", 1.0)
    table = Table([HOSTILE], [[HOSTILE]], numbers=[0], marked=[0])
    section = Section(HOSTILE, HOSTILE, False, [HOSTILE], [plot], table)
    write_page(path, Page(HOSTILE, HOSTILE, [section], [(HOSTILE, HOSTILE)]))
    parser = Tags()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser.found


def test_a_policy_allows_styles_and_nothing_else(tmp_path: Path) -> None:
    found = tags(tmp_path / "page.html")
    names = [name for name, _ in found]
    at = next(i for i, (_, has) in enumerate(found) if has.get("http-equiv") == "Content-Security-Policy")
    assert found[at][0] == "meta"
    # What comes before it in the page is not under it.
    assert set(names[:at]) == {"html", "head", "meta"} and names.index("style") > at
    policy = dict(str(part).strip().partition(" ")[::2] for part in str(found[at][1]["content"]).split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_page_needs_no_more_than_its_policy_allows(tmp_path: Path) -> None:
    """No script, no handler, nothing to load, links within the page alone: also without the policy."""
    for name, attributes in tags(tmp_path / "page.html"):
        assert name not in (
            "script",
            "iframe",
            "object",
            "embed",
            "link",
            "base",
            "form",
            "img",
            "image",
            "foreignobject",
        )
        for key, value in attributes.items():
            assert not key.startswith("on")
            if key in ("src", "href", "xlink:href", "action", "srcset", "data"):
                assert str(value).startswith("#")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"url\((?!#)|@import", text.replace(HOSTILE, ""))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [HOSTILE * 100, "字" * 30, "\x1b[31m\0", "a" * 100_000, "$\\frac{"])
def test_no_name_makes_matplotlib_warn_or_fail(name: str) -> None:
    """Its warnings of missing glyphs and crowded axes have source paths and help nobody."""
    with plotting():
        plot = bars([name, "b"], [Bars([1.0, 2.0], "#333333", "label")], "unit", 1.0)
    assert plot.rstrip().endswith("</svg>") and "\x1b" not in plot and "\0" not in plot
    assert len(plot) < 100_000
