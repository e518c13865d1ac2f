from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import intsim
from intsim.errors import IntsimError, UnknownName
from tests.cli.small_model import small_model, small_reals


@pytest.fixture(scope="module")
def model() -> intsim.Model:
    return intsim.load(small_model())


@pytest.fixture(scope="module")
def result(model: intsim.Model) -> intsim.Result:
    return model.run(small_reals(2), taps=["codes"])


def test_other_names_of_an_output(result: intsim.Result) -> None:
    own = result.outputs["logits"]
    assert result.outputs["node_logits"] is own and result.outputs["fc_q"] is own
    assert list(result.outputs) == ["logits"] and "fc_q" in result.outputs


def test_a_name_that_is_near(result: intsim.Result) -> None:
    with pytest.raises(UnknownName, match=r"^output 'logit': there is none, by tensor or by node; there are logits"):
        result.outputs["logit"]
    with pytest.raises(KeyError, match=r"^tap on 'con1_q'.*conv1_q"):
        result.taps["con1_q"]
    assert "con1_q" not in result.taps and result.taps.get("con1_q") is None


def test_one_line(model: intsim.Model, result: intsim.Result) -> None:
    assert repr(model) == (
        "Model('small', target diffquant, 16 nodes; inputs image [N, 2, 8, 8]; outputs logits [N, 4])"
    )
    assert repr(result) == "Result(2 images, outputs: logits [2, 4] i8 x 2**-5; 14 taps)"
    assert repr(result.taps) == "Taps(14: image_q, conv1_q, pool1_q, conv2_q, …)"
    assert repr(result.outputs["logits"]) == "Output('logits', [2, 4], i8 x 2**-5)"


def test_in_a_notebook(model: intsim.Model, result: intsim.Result) -> None:
    assert model._repr_html_().count("<tr>") == 1 + 16
    assert result._repr_html_().count("<tr>") == 1 + 1 + 14


def test_an_override_by_the_name_of_its_node(model: intsim.Model, result: intsim.Result) -> None:
    codes = result.taps["pool1_q"].codes
    assert codes is not None
    zeros = np.zeros_like(codes)
    by_node = model.run(small_reals(2), override={"node_pool1": zeros})
    by_tensor = model.run(small_reals(2), override={"pool1_q": zeros})
    assert np.array_equal(by_node.outputs["logits"].values, by_tensor.outputs["logits"].values)
    assert not np.array_equal(by_node.outputs["logits"].values, result.outputs["logits"].values)
    with pytest.raises(IntsimError, match="given twice"):
        model.run(small_reals(2), override={"pool1_q": zeros, "node_pool1": zeros})


X = small_reals(2)


def wrong(argument: Any) -> Any:
    """An argument of a kind that the annotations do not allow."""
    return argument


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: intsim.load(wrong(123)), "load takes the path"),
        (lambda m: m.run([[1, 2], [3]]), "must be an array, not list"),
        (lambda m: m.run(X, taps=3), "taps must be a list"),
        (lambda m: m.run(X, taps=[3]), "tap 3: must be KIND"),
        (lambda m: m.run(X, taps=["codse"]), "must be one of codes"),
        (lambda m: m.run(X, taps=["codes@con1_q"]), "there are conv1_q"),
        (lambda m: m.run(X, override=3), "override must be a dict"),
        (lambda m: m.run(X, override={"con1_q": X}), "there are conv1_q"),
        (lambda m: m.run(X, threads="2"), "threads must be an integer"),
        (lambda m: m.run({"imag": X}), "it has image"),
        (lambda m: m.with_target(3), "a target must be a name"),
        (lambda m: m.with_target("difquant"), "diffquant"),
        (lambda m: m.with_formats(4), "give bits by name"),
        (lambda m: m.with_formats({"con1": 4}), "there are conv1"),
        (lambda m: intsim.compare(wrong("m.onnx"), "spec", X), "compare takes a Model"),
        (lambda m: intsim.compare(m, wrong(7), X), "a peer's name"),
        (lambda m: intsim.compare(m, "onnxruntme", X), "onnxruntime"),
    ],
)
def test_mistakes_are_errors_of_intsim(model: intsim.Model, call: Any, message: str) -> None:
    with pytest.raises(IntsimError, match=message):
        call(model)


def test_lists_are_arrays(model: intsim.Model, result: intsim.Result) -> None:
    assert np.array_equal(model.run(X.tolist()).outputs["logits"].values, result.outputs["logits"].values)
