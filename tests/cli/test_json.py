"""docs/json.md says what every --json document and file holds: no key more, no key less, and of that type."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import intsim.benchmark
from intsim.cli import COMMANDS
from intsim.target import TARGETS, Target
from tests.cli.conftest import Cli, Files
from tests.models.small import small, small_input

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/json.md").read_text()
FILES = {"index.json", "manifest.json", "H.npz"}
SHARED = {"Format", "Tensor", "Counts", "Target"}

NARROW = """base = "diffquant"
accumulator_bits = 12
overflow = "saturate"
lanes = 2
tree_bits = 12
channels_per_pass = 1
spill_bits = 12
"""
FLOOR = """base = "diffquant"
rounding = "floor"
overrides = [{node = "nothing", rounding = "ceil"}]
"""
EVERY_FIELD = Target(
    "every",
    accumulator_bits=16,
    wide_accumulator_bits=32,
    fully_connected="max7800x",
    table_rounding="floor",
    lanes=2,
    tree_bits=16,
    channels_per_pass=1,
    spill_bits=16,
    bias_bits=16,
    overrides=(("conv*", "rounding", "floor"),),
)


@dataclass
class Documented:
    """The tables of docs/json.md, what they do not say of the documents shown to it, and what was seen of them."""

    tables: dict[str, dict[str, str]]
    seen: set[tuple[str, str]] = field(default_factory=set)

    def faults(self, value: Any, section: str, part: bool = False) -> list[str]:
        """Each key that is missing, that is not documented, or that has a value of another type."""
        return list(self._object(value, section, "", section, part))

    def check(self, section: str, *documents: Any, also: tuple[str, ...] = ()) -> None:
        """Fail unless all documents are as the section says, and together have all that it, and `also`, documents."""
        for document in documents:
            assert self.faults(document, section) == []
        assert [f"{s}: {path}" for s in (section, *also) for path in self.tables[s] if (s, path) not in self.seen] == []

    def _object(self, value: Any, section: str, path: str, where: str, part: bool = False) -> Iterator[str]:
        prefix = f"{path}." if path else ""
        rows = {p[len(prefix) :]: t for p, t in self.tables[section].items() if p.startswith(prefix)}
        fields = {p: t for p, t in rows.items() if not set(p) & set(".[*")}
        yield from (f"{where}: {key} is not documented" for key in value if key not in fields)
        for key, types in fields.items():
            kinds = _alternatives(types)
            if key in value:
                self.seen.add((section, prefix + key))
                yield from self._value(value[key], kinds, section, prefix + key, f"{where}.{key}")
            elif "absent" not in kinds and not part:
                yield f"{where}: {key} is missing"

    def _value(self, value: Any, kinds: list[str], section: str, path: str, where: str) -> Iterator[str]:
        kind = next((kind for kind in kinds if _fits(value, kind)), None)
        if kind is None:
            yield f"{where}: {value!r:.60} is no {' or '.join(kinds)}"
        elif kind == "object":
            yield from self._object(value, section, path, where)
        elif link := re.fullmatch(r"(part of )?\[(.+)\]\(#.+\)", kind):
            named = next(s for s in self.tables if s.lower() == link[2].lower())
            yield from self._object(value, named, "", where, bool(link[1]))
        elif kind.startswith(("list of ", "map of ")):
            inner, mark = _alternatives(kind.partition(" of ")[2]), "[]" if kind.startswith("list") else ".*"
            for each in value if mark == "[]" else value.values():
                yield from self._value(each, inner, section, path + mark, where + mark)


SIMPLE: dict[str, Any] = {"string": str, "boolean": bool, "null": type(None), "any": object, "object": dict}


def _fits(value: Any, kind: str) -> bool:
    if kind in ("integer", "number"):
        return not isinstance(value, bool) and isinstance(value, int if kind == "integer" else int | float)
    if kind in SIMPLE:
        return isinstance(value, SIMPLE[kind])
    return isinstance(value, list if kind.startswith("list of ") else dict) and kind != "absent"


def _alternatives(types: str) -> list[str]:
    """The parts of "A or B", but of an "or" in round brackets; these are taken off where they are outermost."""
    if types.startswith("(") and types.endswith(")"):
        types = types[1:-1]
    return re.split(r" or (?![^()]*\))", types)


def tables(text: str) -> dict[str, dict[str, str]]:
    """Heading -> field or array -> type."""
    found: dict[str, dict[str, str]] = {}
    for section in text.split("\n## ")[1:]:
        heading, _, body = section.partition("\n")
        found[heading] = dict(re.findall(r"^\| `(.+?)` \| (.*?) \|", body, re.MULTILINE))
    return found


@pytest.fixture
def documented() -> Documented:
    return Documented(tables(TEXT))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The folder that commands run in, with two targets."""
    (tmp_path / "narrow.toml").write_text(NARROW)
    (tmp_path / "floor.toml").write_text(FLOOR)
    return tmp_path


def test_every_command_has_a_section(documented: Documented) -> None:
    assert documented.tables.keys() == {f"intsim {name}" for name in COMMANDS} | FILES | SHARED | {"Errors"}


def test_a_key_more_and_a_key_less_and_another_type_are_found(documented: Documented) -> None:
    good = _read_back(TARGETS["nvdla"].to_dict())
    assert documented.faults(good, "Target") == []
    bad = {**{k: v for k, v in good.items() if k != "rounding"}, "ties": "half_up", "headroom": "16"}
    assert documented.faults(bad, "Target") == [
        "Target: ties is not documented",
        "Target: rounding is missing",
        "Target.headroom: '16' is no integer",
    ]
    with pytest.raises(AssertionError, match="Target: fully_connected"):
        documented.check("Target", good)


def test_errors(cli: Cli, documented: Documented) -> None:
    outcomes = [cli("inspect", "none.onnx", "--json"), cli("inspect", "--json")]
    documented.check("Errors", *(done.json for done in outcomes))
    assert [done.code for done in outcomes] == [done.json["error"]["exit_code"] for done in outcomes] == [2, 2]


def test_bench(cli: Cli, files: Files, documented: Documented, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = functools.partial(intsim.benchmark.interleave, window=0, patience=0)
    monkeypatch.setattr(intsim.benchmark, "interleave", quick)
    monkeypatch.setattr(intsim.benchmark, "peak_call", lambda threads: (lambda: None, 10**9))
    documented.check("intsim bench", cli("bench", files.model, "--rounds", 1, "--threads", 1, "--json").json)


def test_compare(cli: Cli, files: Files, here: Path, documented: Documented) -> None:
    done = cli("compare", files.model, "--input", files.labelled, "--against", "target:floor.toml", "--json")
    assert done.code == 1
    documented.check("intsim compare", done.json)


def test_demo(cli: Cli, documented: Documented, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intsim.cli.demo.PEERS", {})
    monkeypatch.setattr("intsim.cli.demo.write_report", lambda *_: None)
    document = cli("demo", "--images", 1, "--spec-images", 1, "--json").json
    document["golden"]["wrong"].append({"tensor": "logits", "first_image": 0})  # of the golden vectors none is wrong
    documented.check("intsim demo", document)


def test_explain(cli: Cli, files: Files, documented: Documented) -> None:
    elements = {"conv1_q": "0,0,0,0", "add1_q": "0,0,0,0", "fc_q": "0,1", "image_q": "0,0,0,0"}
    asked = (("--tensor", tensor, "--index", index) for tensor, index in elements.items())
    outcomes = [cli("explain", files.model, "--input", files.reals, *options, "--json").json for options in asked]
    documented.check("intsim explain", *outcomes)


@pytest.mark.parametrize("options", [(), ("--per-image",)])
def test_histogram_and_its_file(cli: Cli, files: Files, here: Path, documented: Documented, options: Any) -> None:
    done = cli("histogram", files.model, "--input", files.codes, "--output", "H.npz", "--json", *options)
    documented.check("intsim histogram", done.json)
    said = documented.tables["H.npz"]
    with np.load(here / "H.npz") as arrays:
        assert list(arrays) == list(said)
        for name, types in said.items():
            shapes = [kind.partition("[")[2].rstrip("]") for kind in types.split(" or ")]
            assert arrays[name].ndim in [len([axis for axis in shape.split(", ") if axis]) for shape in shapes]
            assert types.startswith("str" if arrays[name].dtype.kind == "U" else arrays[name].dtype.name)


def test_inspect(cli: Cli, files: Files, here: Path, documented: Documented) -> None:
    asked = ((files.model, "floor.toml"), (files.odd, "onnxruntime"))
    outcomes = [cli("inspect", model, "--target", target, "--json").json for model, target in asked]
    documented.check("intsim inspect", *outcomes)


def test_quantize(cli: Cli, here: Path, documented: Documented) -> None:
    onnx.save(small("residual"), here / "float.onnx")
    np.save(here / "x.npy", small_input("residual", 4))
    done = cli("quantize", "float.onnx", "--calibration", "x.npy", "--output", "q.onnx", "--json")
    documented.check("intsim quantize", done.json)


def test_ranges(cli: Cli, files: Files, here: Path, documented: Documented) -> None:
    asked = ((), ("--input", files.codes, "--target", "narrow.toml"))
    documented.check("intsim ranges", *[cli("ranges", files.model, *options, "--json").json for options in asked])


def test_run_and_its_index(cli: Cli, files: Files, here: Path, documented: Documented) -> None:
    taps = [f"--tap={kind}" for kind in ("codes", "accumulator", "histogram", "extremes", "saturation", "overflow")]
    options = ("--target", "narrow.toml", *taps, "--output", "run", "--json")
    document = cli("run", files.model, "--input", files.labelled, *options).json
    documented.check("intsim run", document, also=("Tensor", "Counts"))
    documented.check("index.json", json.loads((here / "run/index.json").read_text()))


def test_manifests(documented: Documented) -> None:
    paths = sorted((ROOT / "golden").glob("*/*/manifest.json"))
    documented.check("manifest.json", *(json.loads(path.read_text()) for path in paths), also=("Format",))


def test_targets(documented: Documented) -> None:
    documented.check("Target", *(_read_back(target.to_dict()) for target in (*TARGETS.values(), EVERY_FIELD)))


def _read_back(document: Any) -> Any:
    return json.loads(json.dumps(document))
