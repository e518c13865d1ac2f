from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim.errors import MalformedGraph
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.topology import sorted_nodes, without_identities


def node(name: str, inputs: str, outputs: str, op: str = "Relu") -> OnnxNode:
    return OnnxNode(name, op, "", tuple(inputs.split()), tuple(outputs.split()), {}, {})


@given(st.lists(st.sets(st.integers(0, 30), max_size=3), min_size=1, max_size=15), st.randoms(use_true_random=False))
def test_every_tensor_is_made_before_it_is_read(edges: list[set[int]], random: Random) -> None:
    """A random graph without cycles (each node reads earlier ones), shuffled."""
    nodes = []
    for i, sources in enumerate(edges):
        reads = " ".join(f"t{s % i}" for s in sources) if i else ""
        nodes.append(node(f"n{i}", f"x {reads}", f"t{i}"))
    random.shuffle(nodes)
    known = {"x"}
    for item in sorted_nodes(nodes, ["x"]):
        assert known >= set(item.inputs)
        known.update(item.outputs)
    assert len(known) == len(nodes) + 1


def test_the_order_of_the_file_is_kept_where_it_is_free() -> None:
    nodes = [node("b", "x", "b"), node("a", "x", "a"), node("c", "a b", "c")]
    assert [n.name for n in sorted_nodes(nodes, ["x"])] == ["b", "a", "c"]


def test_the_cycle_is_spelled_out() -> None:
    nodes = [node("in", "x z", "y"), node("a", "y c", "a"), node("b", "a", "b"), node("c", "b", "c")]
    with pytest.raises(MalformedGraph, match="the graph has a cycle: 'a' -> 'b' -> 'c' -> 'a'"):
        sorted_nodes(nodes, ["x", "z"])
    with pytest.raises(MalformedGraph, match="the graph has a cycle: 'me' -> 'me'"):
        sorted_nodes([node("me", "x me", "me")], ["x"])


def test_identities_vanish_in_chains() -> None:
    nodes = [
        node("1", "x", "a"),
        node("2", "a", "b", "Identity"),
        node("3", "b", "c", "Identity"),
        node("4", "c", "d"),
        node("5", "d", "y", "Identity"),
    ]
    kept = without_identities(nodes, ["y"], frozenset())
    assert [(n.name, n.inputs, n.outputs) for n in kept] == [("1", ("x",), ("a",)), ("4", ("a",), ("y",))]


def test_an_identity_that_makes_a_second_output_stays() -> None:
    nodes = [node("1", "x", "y"), node("2", "y", "z", "Identity"), node("3", "x", "w", "Identity")]
    assert [n.name for n in without_identities(nodes, ["y", "z", "w"], frozenset())] == ["1", "2", "3"]


def test_a_dropout_that_trains_or_whose_mask_is_read_stays() -> None:
    inference = node("1", "x ratio no", "a", "Dropout")
    training = node("2", "a ratio yes", "b", "Dropout")
    masked = node("3", "b", "c mask", "Dropout")
    unread = node("4", "c", "d other", "Dropout")
    kept = without_identities([inference, training, masked, unread], ["d", "mask"], frozenset({"no"}))
    assert [n.name for n in kept] == ["2", "3"]
    assert kept[0].inputs[0] == "x"
