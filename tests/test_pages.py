"""The pages for users: their files, commands and Python run in order, and give what the pages show.

A page's fenced blocks run from top to bottom in a folder of their own, each by its language:
toml is a file, whose name stands in its first line;
console has commands, which exit with 0 or with what `echo $?` shows next;
python is a script, and text after it what it prints;
pycon is a doctest.
In what is shown, `...` stands for any text.
"""

from __future__ import annotations

import doctest
import re
import runpy
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import intsim
from intsim.cli import run_line
from intsim.taps.tap import TAPS

DOCS = Path(__file__).parents[1] / "docs"
RULES = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = ["api", "ten-minutes-deployment", "ten-minutes-rtl", "ten-minutes-research"]


@dataclass
class Reader:
    """One who follows a page in the current folder and compares what is shown with what comes."""

    capture: pytest.CaptureFixture[str]
    names: dict[str, Any] = field(default_factory=dict)
    code: int = 0
    printed: str = ""

    def toml(self, text: str) -> None:
        name = text.splitlines()[0].removeprefix("# ")
        assert re.fullmatch(r"\w+\.toml", name), "the first line of a file is its name"
        Path(name).write_text(text)

    def python(self, text: str) -> None:
        Path("block.py").write_text(text)
        self.names = runpy.run_path("block.py", self.names)
        self.printed = self.capture.readouterr().out

    def text(self, text: str) -> None:
        self._same(text, self.printed)

    def pycon(self, text: str) -> None:
        example = doctest.DocTestParser().get_doctest(text, self.names, "a page", None, 0)
        wrong: list[str] = []
        doctest.DocTestRunner(optionflags=RULES, verbose=False).run(example, out=wrong.append, clear_globs=False)
        self.names = example.globs
        assert not wrong, "".join(wrong)

    def console(self, text: str) -> None:
        for line, shown in _commands(text):
            if line == "echo $?":
                self._same(shown, f"{self.code}\n")
                self.code = 0
                continue
            assert self.code == 0, f"exit code {self.code}, which the page does not show, before `{line}`"
            name, *arguments = shlex.split(line)
            assert name == "intsim", line
            self.code = run_line(arguments)
            printed = self.capture.readouterr()
            assert self.code in (0, 1), printed.err
            self._same(shown, printed.out)

    def _same(self, shown: str, printed: str) -> None:
        if shown.strip() and not doctest.OutputChecker().check_output(shown, printed, RULES):
            pytest.fail(f"the page shows\n{shown}\nand there came\n{printed}")


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and the lines that the page shows after it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        yield line, shown


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=pytest.mark.onnxruntime if "deployment" in p else ()) for p in PAGES]
)
def test_the_page_runs_and_shows_what_comes(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    reader = Reader(capsys)
    for block in BLOCK.finditer((DOCS / f"{page}.md").read_text()):
        getattr(reader, block["kind"])(block["text"])
    assert reader.code == 0, "the last command's exit code is not shown"


@pytest.mark.parametrize(
    "page", [*sorted(p.relative_to(DOCS.parent).as_posix() for p in DOCS.glob("*.md")), "README.md"]
)
def test_links_lead_to_what_is_there(page: str) -> None:
    file = DOCS.parent / page
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", file.read_text()):
        name, _, anchor = link.partition("#")
        target = file.parent / name if name else file
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [
            re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
        ], link


def test_every_public_name_is_on_the_page_of_calls() -> None:
    text = (DOCS / "api.md").read_text()
    assert [n for n in intsim.__all__ if not re.search(rf"(intsim\.|\b){n}\b", text)] == []
    assert [n for n in (*intsim.spec.__all__, *TAPS) if f"`{n}`" not in text] == []
    called = {*re.findall(r"\w+", "".join(b["text"] for b in BLOCK.finditer(text)))}
    assert {*intsim.__all__} - {"Model", "Result"} <= called, "each call has an example"
