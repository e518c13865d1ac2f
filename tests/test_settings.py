from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim.errors import UnusableInput
from intsim.formats import Format
from intsim.graph import Graph, Node, Value
from intsim.settings import resized, resized_codes, with_formats
from tests.networks import residual_graph


def half_even(codes: Any, shift: int) -> Any:
    """codes / 2**shift, rounded by NumPy's rint: exact here, the codes are small."""
    return np.rint(codes / 2.0**shift).astype(int)


def real(graph: Graph, name: str) -> Any:
    """The exact reals of a constant, as float64."""
    format = graph.format(name)
    assert format is not None
    return graph.constants[name].astype(np.float64) * np.array(format.scale)


@settings(max_examples=200, deadline=None)
@given(
    old=st.integers(2, 16),
    new=st.integers(2, 16),
    signed=st.booleans(),
    zero=st.floats(0, 1),
    data=st.data(),
)
def test_resized_codes_are_half_even_of_the_exact_quotient(
    old: int, new: int, signed: bool, zero: float, data: st.DataObject
) -> None:
    plain = Format(old, signed, scale=(0.375,))
    before = replace(plain, zero_point=(plain.low + floor(zero * (2**old - 1)),))
    after = resized(before, new)
    factor = Fraction(2) ** (old - new)
    assert after.bits == new and after.signed == signed
    assert Fraction(after.scale[0]) == Fraction(before.scale[0]) * factor

    def half_even(value: int) -> int:
        return round(value / factor)  # of a Fraction: Python's round, ties to even

    def clip(value: int) -> int:
        return min(max(value, after.low), after.high)

    assert after.zero_point == (clip(half_even(before.zero_point[0])),)
    codes = data.draw(st.lists(st.integers(before.low, before.high), min_size=1, max_size=10))
    moved = resized_codes(np.array(codes, before.dtype), before, after)
    expected = [clip(half_even(c - before.zero_point[0]) + after.zero_point[0]) for c in codes]
    assert moved.tolist() == expected and moved.dtype == after.dtype


def test_a_node_gets_narrow_weights_and_output() -> None:
    graph = residual_graph()
    narrow = with_formats(graph, {"conv1": {"bits": 4}})
    assert narrow.format("w1") == Format(4, scale=(2.0**-2,))
    assert narrow.format("y1") == Format(4, scale=(2.0**1,))  # after its Relu
    assert narrow.format("p1") == narrow.format("y1")  # MaxPool keeps the format
    assert narrow.format("x") == graph.format("x")
    assert narrow.format("y2") == graph.format("y2")
    assert np.array_equal(narrow.constants["w1"], np.clip(half_even(graph.constants["w1"], 4), -8, 7))
    assert all(narrow.constants[n] is graph.constants[n] for n in ("w2", "w3", "b3"))
    assert json.loads(narrow.metadata["intsim.formats"]) == {"conv1": {"bits": 4}}
    assert not narrow.constants["w1"].flags.writeable


def test_the_bias_follows_the_scale_of_its_sums() -> None:
    graph = residual_graph()
    narrow = with_formats(graph, {"conv1": {"bits": 4}})
    # b1 has the scale of the sums: it moves with it, rounded half up.
    assert narrow.format("b1") == Format(32, scale=(2.0**-6,))
    assert np.array_equal(narrow.constants["b1"], half_even(graph.constants["b1"], 4))
    # The sums of conv2 get 2**4 times their scale 2**-9 (their input is narrower); b2 has 2**-7, so 2**2 is left.
    assert narrow.format("b2") == Format(12, scale=(2.0**-5,))
    assert np.array_equal(narrow.constants["b2"], half_even(graph.constants["b2"], 2))
    assert narrow.constants["b3"] is graph.constants["b3"]


def test_a_bias_of_large_enough_scale_stays() -> None:
    graph = residual_graph()
    narrow = with_formats(graph, {"w2": {"bits": 6}})
    assert narrow.constants["b2"] is graph.constants["b2"]
    assert narrow.format("b2") == graph.format("b2")


@pytest.mark.parametrize("bits", [4, 6, 7])
def test_narrowing_does_not_move_the_mean(bits: int) -> None:
    """All ties upwards would add 2**-(s + 1) to the mean: 0.25 at one bit fewer, where every odd code is a tie."""
    codes = np.arange(-127, 128, dtype=np.int8)
    before = Format(8)
    moved = resized_codes(codes, before, resized(before, bits)).astype(float) * 2 ** (8 - bits)
    # Only the clipped top codes pull the mean, and downwards.
    assert -0.6 < moved.mean() - codes.mean() <= 0


def test_widening_is_exact() -> None:
    graph = residual_graph()
    wide = with_formats(graph, {"conv1": {"bits": 12}, "conv2": {"bits": 16}, "x": {"bits": 16}})
    for name in ("w1", "w2", "b1", "b2"):
        assert np.array_equal(real(wide, name), real(graph, name)), name
    assert wide.format("x") == Format(16, scale=(2.0**-12,))
    # b1: by 4 bits for w1 and 8 for x; b2: by 8 for w2 and 4 for its input.
    for name, bits in (("b1", 32 + 12), ("b2", 12 + 12)):
        format = wide.format(name)
        assert format is not None and format.bits == bits
        format.check(wide.constants[name], name)


def test_scales_that_are_no_powers_of_two_move_by_powers_of_two() -> None:
    graph = residual_graph(scale=0.7)
    narrow = with_formats(graph, {"conv1": {"bits": 6}})
    before, after = graph.format("b1"), narrow.format("b1")
    assert before is not None and after is not None
    assert after.scale[0] == before.scale[0] * 4
    assert np.array_equal(narrow.constants["b1"], half_even(graph.constants["b1"], 2))


def test_the_same_bits_change_nothing() -> None:
    graph = residual_graph()
    same = with_formats(graph, {"conv1": {"bits": 8}, "fc": {"bits": 8}})
    assert same.values == graph.values
    assert all(np.array_equal(same.constants[n], graph.constants[n]) for n in graph.constants)
    assert same.nodes == graph.nodes


def test_a_shared_bias_is_split() -> None:
    graph = residual_graph()
    nodes = list(graph.nodes)
    conv1 = nodes[1]
    nodes.insert(2, replace(conv1, name="other", outputs=("other_real",), inputs=("x", "w4", "b1")))
    values = {
        **graph.values,
        "other_real": Value("other_real", (None, 4, 8, 8), None),
        "w4": Value("w4", (4, 3, 3, 3), graph.format("w1")),
    }
    graph = replace(
        graph, nodes=tuple(nodes), values=values, constants={**graph.constants, "w4": graph.constants["w1"]}
    )
    narrow = with_formats(graph, {"conv1": {"bits": 4}})
    assert narrow.nodes[2].inputs == ("x", "w4", "b1")
    assert narrow.constants["b1"] is graph.constants["b1"]
    assert narrow.nodes[1].inputs == ("x", "w1", "b1@conv1")
    assert np.array_equal(narrow.constants["b1@conv1"], half_even(graph.constants["b1"], 4))


def test_per_channel_scales_keep_their_axis() -> None:
    graph = residual_graph()
    w = Format(8, scale=(2.0**-6, 2.0**-7, 2.0**-8, 2.0**-6), zero_point=(0,), axis=0)
    b = Format(32, scale=(2.0**-9, 2.0**-10, 2.0**-9, 2.0**-9), zero_point=(0,), axis=0)
    values = {
        **graph.values,
        "w2": Value("w2", (4, 4, 3, 3), w),
        "b2": Value("b2", (4,), b),
    }
    graph = replace(graph, values=values)
    narrow = with_formats(graph, {"w2": {"bits": 7}})
    assert narrow.format("w2") == replace(w, bits=7, scale=tuple(2 * s for s in w.scale))
    # e_t is -9, -10, -11, -9, one more now; b's exponents are -9, -10, -9, -9: the third has room, the others move.
    assert narrow.format("b2") == replace(b, scale=(2.0**-8, 2.0**-9, 2.0**-9, 2.0**-8))
    codes = graph.constants["b2"].astype(int)
    expected = np.where([True, True, False, True], half_even(codes, 1), codes)
    assert np.array_equal(narrow.constants["b2"], expected)


def test_a_clip_in_codes_moves_with_its_codes() -> None:
    graph = residual_graph()
    clip = Node("pool", "CodeClip", ("y1",), ("p1",), {"low": -100, "high": 101})
    nodes = tuple(clip if n.name == "pool" else n for n in graph.nodes)
    narrow = with_formats(replace(graph, nodes=nodes), {"y1": {"bits": 4}})
    changed = next(n for n in narrow.nodes if n.name == "pool")
    assert changed.attributes == {"low": -6, "high": 6}  # half_even(-6.25), half_even(6.3125)


def test_records_add_up() -> None:
    twice = with_formats(with_formats(residual_graph(), {"conv1": {"bits": 4}}), {"fc": {"bits": 6}})
    assert json.loads(twice.metadata["intsim.formats"]) == {"conv1": {"bits": 4}, "fc": {"bits": 6}}
    damaged = replace(residual_graph(), metadata={"intsim.formats": "{"})
    assert json.loads(with_formats(damaged, {"fc": {"bits": 6}}).metadata["intsim.formats"]) == {"fc": {"bits": 6}}


def test_a_number_means_bits() -> None:
    spelled = with_formats(residual_graph(), {"conv1": {"bits": 4}})
    assert with_formats(residual_graph(), {"conv1": 4}).values == spelled.values


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv9": {"bits": 4}}, "no node or tensor 'conv9'; there are conv2, conv1"),
        ({"conv1": {}}, 'give n or {"bits": n}'),
        ({"conv1": {"bits": 4, "signed": 1}}, 'give n or {"bits": n}'),
        ({"conv1": {"bits": 1}}, "bits must be 2 to 16, not 1"),
        ({"conv1": {"bits": 17}}, "bits must be 2 to 16, not 17"),
        ({"conv1": {"bits": 4.0}}, "bits must be 2 to 16, not 4.0"),
        ({"conv1": {"bits": True}}, "bits must be 2 to 16, not True"),
        ({"conv1": 17}, "bits must be 2 to 16, not 17"),
        ({"conv1": "4"}, "bits must be 2 to 16, not '4'"),
        (4, "give bits by name"),
        ({"b1": {"bits": 8}}, "tensor 'b1' has 32 bits, it is a bias or an accumulator"),
        ({"image": {"bits": 4}}, "tensor 'image' holds reals"),
        ({"out": {"bits": 4}}, r"node 'out' \(DequantizeLinear\) works on reals"),
    ],
)
def test_refused_changes(changes: Any, message: str) -> None:
    with pytest.raises(UnusableInput, match=message):
        with_formats(residual_graph(), changes)
