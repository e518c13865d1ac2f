from __future__ import annotations

import sys
from pathlib import Path

import pytest

from intsim.comparison.peers import PEERS, open_peer
from intsim.errors import MissingDependency, UnusableInput
from tests.comparison.networks import classifier

MODEL = classifier()


@pytest.mark.parametrize("against", ["", "specs", "Spec", "c:/golden", ":x"])
def test_an_unknown_peer_lists_the_known_ones(against: str) -> None:
    with pytest.raises(UnusableInput, match="must be one of spec, target:NAME, onnxruntime, torch") as error:
        open_peer(against, MODEL)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("against", "written"),
    [
        ("target", "target:NAME"),
        ("target:", "target:NAME"),
        ("golden", "golden:DIR"),
        ("dump:", "dump:DIR"),
        ("spec:now", "spec"),
        ("onnxruntime:1.31", "onnxruntime"),
    ],
)
def test_a_missing_or_needless_argument_says_how_it_is_written(against: str, written: str) -> None:
    with pytest.raises(UnusableInput, match=f"must be written {written}$"):
        open_peer(against, MODEL)


def test_every_peer_has_a_name_and_says_whether_it_is_float(tmp_path: Path) -> None:
    assert {open_peer("spec", MODEL).floating, open_peer("target:diffquant", MODEL).floating} == {False}
    assert open_peer("spec", MODEL).name == "spec"
    assert open_peer("target:diffquant", MODEL).name == "target diffquant"
    assert set(PEERS) == {"spec", "target", "onnxruntime", "torch", "golden", "dump"}


@pytest.mark.parametrize(
    ("module", "against", "extra"), [("torch", "torch", "torch"), ("onnxruntime", "onnxruntime", "ort")]
)
def test_without_its_package_the_extra_is_named(
    module: str, against: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    model = classifier()
    model.file = b"a model"
    with pytest.raises(MissingDependency, match=rf"pip install intsim\[{extra}\]"):
        open_peer(against, model)


def test_onnxruntime_needs_the_file() -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(UnusableInput, match="ONNX Runtime runs model files"):
        open_peer("onnxruntime", MODEL)
