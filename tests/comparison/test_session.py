from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import intsim
from intsim.comparison import Comparison, compare
from intsim.comparison.peers.peer import coded_tensors
from intsim.comparison.session import inexact_tensors
from intsim.errors import OutOfDomain, UnusableInput
from intsim.formats import Format
from intsim.graph import Graph, Node, Value
from intsim.lowering import lower
from intsim.model import Model
from intsim.run import inputs as inputs_file
from intsim.target import TARGETS, Target
from tests.comparison.networks import NAMES, Written, classifier, planted, stimulus, tensors_of

MODEL = classifier()


def against(peer: Written, x: Any = None, **options: Any) -> Comparison:
    return compare(MODEL, peer, stimulus() if x is None else x, **options)


def found_in(comparison: Comparison, name: str) -> Any:
    return next(layer for layer in comparison.layers if layer.name == name)


def test_the_same_tensors_are_equal() -> None:
    x = stimulus()
    found = against(Written(tensors_of(MODEL, x)), x)
    assert found.equal
    assert [layer.name for layer in found.layers] == NAMES
    assert [layer.op for layer in found.layers] == ["input", "Conv", "Conv", "GlobalAveragePool", "Flatten"]
    assert (found.unmatched, found.resumed, found.images) == ((), (), 5)
    assert found.elements == sum(array.size for array in tensors_of(MODEL, x).values())
    assert found.accuracy == {"agreement": 1.0, "cd": 0.0}
    assert intsim.compare is compare


def test_a_local_difference_is_told_from_what_it_propagates() -> None:
    x = stimulus()
    clean = tensors_of(MODEL, x)
    theirs = tensors_of(MODEL, x, {"first": planted(clean["first"], 3, 1, 2, 2, by=20)})
    found = against(Written(theirs), x)
    assert found.first == "first"
    first, second = found_in(found, "first"), found_in(found, "second")
    assert (first.mismatches, first.local, first.max_difference) == (1, 1, 20)
    assert first.first.coordinate == (3, 1, 2, 2)
    assert first.first.expected == first.first.actual + 20
    assert second.mismatches > 1
    assert second.local == 0, "it differs only because its input does"
    assert found.causes == {"arithmetic": 1}


def test_isolated_leaves_the_local_differences_only() -> None:
    x = stimulus()
    clean = tensors_of(MODEL, x)
    theirs = tensors_of(MODEL, x, {"first": planted(clean["first"], 3, 1, 2, 2, by=20)})
    found = against(Written(theirs), x, isolated=True)
    assert found.isolated
    assert [layer.mismatches for layer in found.layers] == [0, 1, 0, 0, 0]
    assert found_in(found, "first").local == 1
    plain = against(Written(theirs), x)
    assert found.accuracy == plain.accuracy, "the scores are this model's own"


def test_a_tensor_that_the_peer_lacks_is_unmatched() -> None:
    x = stimulus()
    theirs = tensors_of(MODEL, x)
    del theirs["second"]
    found = against(Written({**theirs, "foreign": theirs["first"]}), x)
    assert found.equal
    assert found.unmatched == ("second",)
    assert found.compared == 4


def test_nothing_in_common_is_an_error() -> None:
    with pytest.raises(UnusableInput, match=r"nothing to compare: written down has none .*\(x, first, second\)"):
        against(Written({"foreign": stimulus()}))


def test_reals_of_the_same_name_are_no_codes() -> None:
    x = stimulus()
    theirs = tensors_of(MODEL, x)
    found = against(Written({**theirs, "first": theirs["first"].astype(np.float32)}), x)
    assert found.unmatched == ("first",)


def test_labels_give_the_accuracy_of_both_sides() -> None:
    x = stimulus(8)
    theirs = tensors_of(MODEL, x)
    labels = np.argmax(theirs["scores"], axis=1)
    other = theirs["scores"].copy()
    other[0] = np.roll(other[0], 1)
    other[1] = np.roll(other[1], 1)
    labels[2] = (labels[2] + 1) % 3
    found = compare(MODEL, Written({**theirs, "scores": other}), x, labels=labels)
    assert found.accuracy == {"top1": 7 / 8, "peer_top1": 5 / 8, "agreement": 6 / 8, "cd": 2 / 8}
    assert found.first == "scores"


def test_scores_may_be_real_on_the_other_side() -> None:
    x = stimulus()
    theirs = tensors_of(MODEL, x)
    reals = theirs.pop("scores").astype(np.float32) / np.float32(7)
    found = against(Written({**theirs, "scores": reals}), x, labels=np.zeros(5, np.int64))
    assert found.accuracy["agreement"] == 1.0
    assert found.unmatched == ("scores",)


@pytest.mark.parametrize("labels", [np.zeros(4, np.int64), np.zeros(5), np.zeros((5, 1), np.int64)])
def test_labels_must_be_one_integer_an_image(labels: Any) -> None:
    with pytest.raises(UnusableInput, match=r"labels must be integers \[5\], one an image"):
        against(Written({}), labels=labels)


def test_labels_without_scores_are_refused() -> None:
    x = stimulus()
    theirs = tensors_of(MODEL, x)
    del theirs["scores"]
    with pytest.raises(UnusableInput, match=r"share no first output of shape \[images, classes\]"):
        against(Written(theirs), x, labels=np.zeros(5, np.int64))


def test_many_images_go_in_chunks_and_progress_is_told() -> None:
    x = stimulus(37)
    peer = Written(tensors_of(MODEL, x))
    seen: list[tuple[int, int]] = []
    found = against(peer, x, progress=lambda done, total: seen.append((done, total)))
    assert found.equal
    assert found.images == 37
    assert peer.calls == [(0, 16), (16, 16), (32, 5)]
    assert seen == [(16, 37), (32, 37), (37, 37)]


def test_coordinates_count_all_images() -> None:
    x = stimulus(20)
    theirs = tensors_of(MODEL, x)
    found = against(Written({**theirs, "mean": planted(theirs["mean"], 18, 2, 0, 0)}), x)
    assert found_in(found, "mean").first.coordinate == (18, 2, 0, 0)


def test_a_shape_that_differs_is_an_error() -> None:
    x = stimulus()
    theirs = tensors_of(MODEL, x)
    last = np.ascontiguousarray(theirs["first"].transpose(0, 2, 3, 1))
    with pytest.raises(UnusableInput, match=r"tensor 'first'.*its channels are last"):
        against(Written({**theirs, "first": last}), x)


def test_a_peers_code_outside_the_format_is_an_error() -> None:
    x = stimulus()
    theirs = {n: v.astype(np.int16) for n, v in tensors_of(MODEL, x).items()}
    theirs["first"] = planted(theirs["first"], 0, 0, 0, 0, by=1000)
    with pytest.raises(OutOfDomain, match=r"tensor 'first': code .* is outside"):
        against(Written(theirs), x)


def test_ties_are_named() -> None:
    """A peer that rounds ties down: each difference on equal inputs is a tie."""
    x = stimulus()
    down = classifier(Target("down", rounding="half_down"))
    found = against(Written(tensors_of(down, x)), x)
    assert not found.equal
    assert set(found.causes) == {"tie"}
    assert found.causes.total() == sum(layer.local or 0 for layer in found.layers)


def test_ties_are_named_where_an_override_rounds() -> None:
    """The rule that differs is an override's, not the target's own."""
    x = stimulus()
    even = Target("even", rounding="half_even", overrides=(("conv*", "rounding", "half_up"),))
    found = compare(classifier(even), Written(tensors_of(classifier(Target("down", rounding="half_down")), x)), x)
    assert not found.equal
    assert set(found.causes) == {"tie"}


def test_a_wrapped_accumulator_is_named() -> None:
    """Sums of 27 products of 15 bits do not fit in 15 bits; the peer's accumulator holds them."""
    x = stimulus()
    narrow = classifier(Target("narrow", accumulator_bits=15))
    found = compare(narrow, Written(tensors_of(MODEL, x)), x)
    assert found.first == "first"
    assert found.causes["wrapped accumulator"] > 0
    assert set(found.causes) == {"wrapped accumulator"}


def test_a_layout_is_named() -> None:
    x = stimulus()
    theirs = tensors_of(MODEL, x)
    turned = np.ascontiguousarray(theirs["first"].transpose(0, 1, 3, 2))
    found = against(Written({**theirs, "first": turned}), x, isolated=True)
    assert set(found_in(found, "first").causes) == {"layout"}


def with_softmax(target: str = "onnxruntime") -> Model:
    """x -> Softmax -> y -> Relu -> z: y is after float arithmetic that is not exact."""
    formats = {"x": Format(8, scale=(0.1,)), "y": Format(8, scale=(0.004,)), "z": Format(8, scale=(0.004,))}
    nodes = (
        Node("softmax", "Softmax", ("x",), ("y",), {"axis": 1}),
        Node("relu", "Relu", ("y",), ("z",)),
    )
    values = {name: Value(name, (None, 4), format) for name, format in formats.items()}
    return Model(Graph("tail", ("x",), ("z",), nodes, values, {}, 21), TARGETS[target])


def test_after_inexact_float_the_peers_codes_are_taken() -> None:
    model = with_softmax()
    x = stimulus().reshape(-1, 4)
    theirs = tensors_of(model, x)
    theirs = tensors_of(model, x, {"y": np.minimum(theirs["y"], 100) + np.int8(1)})
    found = compare(model, Written(theirs, floating=True), x)
    assert found.equal, "z follows from the peer's y"
    assert found.resumed == ("y",)
    assert [layer.name for layer in found.layers] == ["x", "z"]
    assert "y" in found.remarks()[0]
    exact = compare(model, Written(theirs), x)
    assert exact.resumed == (), "a peer that computes no float has no float of its own"
    assert exact.first == "y"


def test_where_the_peer_lacks_the_inexact_tensor_the_next_one_is_taken() -> None:
    model = with_softmax()
    x = stimulus().reshape(-1, 4)
    theirs = tensors_of(model, x)
    del theirs["y"]
    found = compare(model, Written(theirs, floating=True), x)
    assert found.resumed == ("z",)
    assert found.unmatched == ("y",)
    assert inexact_tensors(model.lowered, {"x", "z"}) == ["z"]


def test_steps_inside_a_layer_are_no_tensors() -> None:
    lowered = with_softmax().lowered
    assert any("#" in name for name in lowered.values)
    assert coded_tensors(lowered) == ["x", "y", "z"]


def test_a_tensor_with_a_hash_in_its_name_is_compared() -> None:
    format = Format(8, scale=(0.5,))
    node = Node("relu", "Relu", ("a#1",), ("b#2",))
    values = {name: Value(name, (None, 4), format) for name in ("a#1", "b#2")}
    model = Model(Graph("hash", ("a#1",), ("b#2",), (node,), values, {}, 21), TARGETS["diffquant"])
    x = stimulus().reshape(-1, 4)
    for peer in (Written({"a#1": x, "b#2": np.maximum(x, 0)}), "spec"):
        found = compare(model, peer, x)
        assert found.compared == 2
        assert found.equal


def test_the_input_must_have_images() -> None:
    with pytest.raises(UnusableInput):
        against(Written({}), stimulus(0))


def test_lowering_is_not_changed_by_a_comparison() -> None:
    x = stimulus()
    before = tensors_of(MODEL, x)
    against(Written({name: array + np.int8(0) for name, array in before.items()}), x)
    after = tensors_of(MODEL, x)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert lower(MODEL.graph, MODEL.target).layers[0].name == MODEL.lowered.layers[0].name


def test_inputs_are_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not again for each chunk of images, nor for the models that look for a cause."""
    checked = []
    real = inputs_file.check_inputs

    def check_inputs(lowered: Any, x: Any) -> Any:
        checked.append(x)
        return real(lowered, x)

    monkeypatch.setattr("intsim.model.check_inputs", check_inputs)
    x = stimulus(40)
    tensors = tensors_of(MODEL, x)
    checked.clear()
    tensors["first"] = tensors["first"] ^ 1
    assert compare(MODEL, Written(tensors), x).causes
    assert len(checked) == 1


def test_checked_inputs_fit_no_other_format() -> None:
    """A model whose input has fewer bits checks again."""
    inputs = MODEL.named_inputs(stimulus())
    assert MODEL.named_inputs(inputs) is inputs
    narrow = MODEL.with_formats({"x": {"bits": 4}})
    with pytest.raises(OutOfDomain):
        narrow.run(inputs)
