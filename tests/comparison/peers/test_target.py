from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from intsim.comparison import compare
from intsim.errors import UnusableInput
from intsim.target import Target
from tests.comparison.networks import classifier, stimulus, tensors_of

MODEL = classifier()


def test_the_same_target_is_equal() -> None:
    found = compare(MODEL, "target:diffquant", stimulus())
    assert found.equal
    assert found.against == "target diffquant"
    assert found.accuracy["agreement"] == 1.0


def test_another_targets_arithmetic_differs_where_its_own_run_does() -> None:
    x = stimulus()
    found = compare(MODEL, "target:onnxruntime", x)
    other = tensors_of(MODEL.with_target("onnxruntime"), x)
    ours = tensors_of(MODEL, x)
    assert {layer.name: layer.mismatches for layer in found.layers} == {
        name: int(np.count_nonzero(ours[name] != other[name])) for name in ours
    }
    assert not found.equal
    assert found.causes["tie"] > 0


def test_a_target_file(tmp_path: Path) -> None:
    path = tmp_path / "even.toml"
    path.write_text('rounding = "half_even"\n')
    found = compare(MODEL, f"target:{path}", stimulus())
    assert found.against == "target even"
    assert set(found.causes) == {"tie"}
    expected = compare(MODEL.with_target(Target("even", rounding="half_even")), "spec", stimulus())
    assert expected.equal


def test_an_unknown_target_is_an_error() -> None:
    with pytest.raises(UnusableInput, match="unknown target 'nothing'"):
        compare(MODEL, "target:nothing", stimulus())
