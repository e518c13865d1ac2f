from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim import spec
from intsim.errors import AccumulatorOverflow, OutOfDomain
from intsim.spec.accumulate import carrier
from tests.spec.judges import onnx_reference
from tests.spec.second import Array, accumulate, conv_addends, output_length

PLAIN: dict[str, Any] = {
    "strides": (1, 1),
    "pads": (0, 0, 0, 0),
    "dilations": (1, 1),
    "groups": 1,
    "accumulator_bits": 32,
    "overflow": "wrap",
}


def draw(seed: int, shape: tuple[int, ...], low: int = -128, high: int = 127) -> Array:
    return np.random.default_rng(seed).integers(low, high, shape, endpoint=True)


def second(x: Array, w: Array, accumulator_bits: int, overflow: str, **parameters: Any) -> tuple[Array, Array]:
    """Convolution by scalar loops on Python's integers."""
    strides, pads, dilations = parameters["strides"], parameters["pads"], parameters["dilations"]
    rank = x.ndim - 2
    lengths = [
        output_length(x.shape[2 + i], w.shape[2 + i], strides[i], dilations[i], pads[i], pads[rank + i], False)
        for i in range(rank)
    ]
    acc = np.zeros((x.shape[0], w.shape[0], *lengths), object)
    overflowed = np.zeros(acc.shape, bool)
    for at in np.ndindex(acc.shape):
        acc[at], overflowed[at] = accumulate(conv_addends(x, w, at, **parameters), accumulator_bits, overflow)
    return acc, overflowed


def mismatches(conv: Callable[..., tuple[Array, Array]], overflow: str = "wrap", bits: int = 16) -> int:
    """How many sums and overflow marks of one crooked convolution differ from the scalar loops."""
    x, w = draw(1, (2, 4, 6, 7)), draw(2, (6, 2, 3, 2))
    parameters: dict[str, Any] = {
        "strides": (2, 1),
        "pads": (2, 0, 1, 3),
        "dilations": (1, 2),
        "groups": 2,
        "x_zero": -5,
        "w_zero": [0, 3, -1, 0, 2, 9],
        "bias": [0, 1000, -1000, 5, 6, -7],
        "accumulator_bits": bits,
        "overflow": overflow,
    }
    got, expected = conv(x, w, **parameters), second(x, w, **parameters)
    return int((got[0] != expected[0]).sum() + (got[1] != expected[1]).sum())


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("bits", [12, 16, 32])
def test_crooked_convolution(overflow: str, bits: int) -> None:
    assert mismatches(spec.conv, overflow, bits) == 0


def test_mutants_are_caught() -> None:
    def shifted_pad(x: Array, w: Array, **parameters: Any) -> Any:
        top, left, bottom, right = parameters["pads"]
        return spec.conv(x, w, **{**parameters, "pads": (top - 1, left, bottom + 1, right)})

    def swapped_pads(x: Array, w: Array, **parameters: Any) -> Any:
        top, left, bottom, right = parameters["pads"]
        return spec.conv(x, w, **{**parameters, "pads": (bottom, left, top, right)})

    def swapped_axis(x: Array, w: Array, **parameters: Any) -> Any:
        return spec.conv(x, w.swapaxes(0, 1).reshape(w.shape), **parameters)

    def flipped_kernel(x: Array, w: Array, **parameters: Any) -> Any:
        return spec.conv(x, w[..., ::-1], **parameters)

    def zero_padding(x: Array, w: Array, **parameters: Any) -> Any:
        top, left, bottom, right = parameters["pads"]
        around = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        return spec.conv(around, w, **{**parameters, "pads": (0, 0, 0, 0)})

    def wrapping(x: Array, w: Array, **parameters: Any) -> Any:
        return spec.conv(x, w, **{**parameters, "overflow": "wrap"})

    for mutant in (shifted_pad, swapped_pads, swapped_axis, flipped_kernel, zero_padding):
        assert mismatches(mutant) > 0, mutant.__name__
    assert mismatches(wrapping, "saturate", 12) > 0


def test_saturation_follows_the_mac_order() -> None:
    """Channel by channel, row by row, column by column, the bias last: 7 + 7 clips, and what follows starts at 7."""
    x = np.ones((1, 2, 2, 2), int)
    orders = [
        # w[channel, row, column], bias: the sum in 4 bits (-8 to 7)
        ([[[7, 7], [0, 0]], [[-7, 0], [0, 0]]], 0, 0),  # the columns of a row before the next channel
        ([[[7, -7], [7, 0]], [[0, 0], [0, 0]]], 0, 7),  # no clip: columns before rows
        ([[[7, 0], [7, 0]], [[-7, 0], [0, 0]]], 0, 0),  # rows before channels
        ([[[7, 0], [-7, 0]], [[7, 0], [0, 0]]], 0, 7),  # no clip: rows before channels
        ([[[7, 0], [0, 0]], [[-7, 0], [0, 0]]], 7, 7),  # the bias is last: no clip
        ([[[-7, 0], [0, 0]], [[-7, 0], [0, 0]]], 7, -1),  # the bias is last: -8 + 7
    ]
    for w, bias, expected in orders:
        parameters = {**PLAIN, "accumulator_bits": 4, "overflow": "saturate"}
        acc, overflowed = spec.conv(x, np.array([w]), bias=bias, **parameters)
        exact = sum(np.ravel(w)) + bias
        assert acc.ravel().tolist() == [expected]
        assert overflowed.ravel().tolist() == [expected != exact]


shapes = st.fixed_dictionaries(
    {
        "rank": st.integers(1, 2),
        "groups": st.integers(1, 3),
        "depth": st.integers(1, 2),
        "filters": st.integers(1, 2),
        "image": st.tuples(st.integers(3, 7), st.integers(3, 7)),
        "kernel": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "strides": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "dilations": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "pads": st.tuples(*[st.integers(0, 3)] * 4),
        "images": st.integers(0, 2),
        "x_zero": st.integers(-9, 9),
        "w_zero": st.booleans(),
        "bias": st.booleans(),
        "seed": st.integers(0, 10**6),
    }
)


def arrange(s: dict[str, Any]) -> tuple[Array, Array, dict[str, Any]]:
    rank, groups = s["rank"], s["groups"]
    rng = np.random.default_rng(s["seed"])
    kernel = s["kernel"][:rank]
    image = tuple(max(n, d * (k - 1) + 1) for n, d, k in zip(s["image"], s["dilations"], kernel, strict=False))
    x = draw(s["seed"], (s["images"], groups * s["depth"], *image))
    w = draw(s["seed"] + 1, (groups * s["filters"], s["depth"], *kernel))
    parameters: dict[str, Any] = {
        "strides": s["strides"][:rank],
        "dilations": s["dilations"][:rank],
        "pads": s["pads"][:rank] + s["pads"][2 : 2 + rank],
        "groups": groups,
        "x_zero": s["x_zero"],
        "w_zero": rng.integers(-5, 5, len(w)).tolist() if s["w_zero"] else 3,
        "bias": rng.integers(-500, 500, len(w)).tolist() if s["bias"] else None,
    }
    return x, w, parameters


@settings(max_examples=60)
@given(shapes, st.sampled_from(["wrap", "saturate"]), st.sampled_from([8, 14, 17, 32, 64]))
def test_any_shape_by_scalar_loops(s: dict[str, Any], overflow: str, bits: int) -> None:
    x, w, parameters = arrange(s)
    x, w = x[:1], w
    acc, overflowed = spec.conv(x, w, **parameters, accumulator_bits=bits, overflow=overflow)
    expected = second(x, w, bits, overflow, **parameters)
    assert acc.dtype == np.int64
    assert acc.tolist() == expected[0].tolist()
    assert overflowed.tolist() == expected[1].tolist()


@given(shapes)
def test_any_shape_by_torch_in_float64(s: dict[str, Any]) -> None:
    x, w, p = arrange(s)
    rank = s["rank"]
    tensors = [torch.tensor(a.astype(np.float64)) for a in (x - p["x_zero"], w)]
    zero = torch.tensor(np.broadcast_to(np.float64(p["w_zero"]), len(w)).reshape(-1, *[1] * (w.ndim - 1)))
    # torch pads from the last axis on
    sides = [side for axis in reversed(range(rank)) for side in (p["pads"][axis], p["pads"][rank + axis])]
    convolve = (torch.nn.functional.conv1d, torch.nn.functional.conv2d)[rank - 1]
    if len(x) == 0:
        return
    expected = convolve(
        torch.nn.functional.pad(tensors[0], sides),
        tensors[1] - zero,
        None if p["bias"] is None else torch.tensor(p["bias"], dtype=torch.float64),
        p["strides"],
        0,
        p["dilations"],
        p["groups"],
    )
    acc, overflowed = spec.conv(x, w, **p, accumulator_bits=32, overflow="trap")
    assert np.array_equal(acc, expected.numpy())
    assert not overflowed.any()


@settings(max_examples=40)
@given(shapes)
def test_any_shape_by_onnx_conv_integer(s: dict[str, Any]) -> None:
    x, w, p = arrange({**s, "w_zero": False, "bias": False})
    if len(x) == 0:
        return
    expected = onnx_reference(
        "ConvInteger",
        [x.astype(np.int8), w.astype(np.int8), np.int8(p["x_zero"]), np.int8(p["w_zero"])],
        strides=p["strides"],
        pads=p["pads"],
        dilations=p["dilations"],
        group=p["groups"],
    )
    acc, _ = spec.conv(x, w, **p, accumulator_bits=32, overflow="wrap")
    assert acc.shape == expected.shape
    assert np.array_equal(acc, expected)


def test_carriers() -> None:
    assert carrier(2**53 - 1) == np.float64  # every integer up to 2**53 is a float64
    assert carrier(2**53) == np.int64  # 2**53 + 1 is none
    assert carrier(2**63 - 1) == np.int64
    assert carrier(2**63).kind == "O"


@pytest.mark.parametrize("largest", [2**18, 2**22, 2**26, 2**28, 2**30, 2**70])
def test_the_sum_is_exact_in_every_carrier(largest: int) -> None:
    rng = np.random.default_rng(3)
    x = np.array([largest - int(v) for v in rng.integers(0, 99, 64 * 25)], object).reshape(1, 64, 5, 5)
    w = np.array([largest - int(v) for v in rng.integers(0, 99, 2 * 64 * 9)], object).reshape(2, 64, 3, 3)
    w[:, ::2] *= -1
    acc, overflowed = spec.conv(x, w, **{**PLAIN, "accumulator_bits": 64})
    for at in np.ndindex(acc.shape):
        total = sum(conv_addends(x, w, at, **{k: PLAIN[k] for k in ("strides", "pads", "dilations", "groups")}))
        assert int(acc[at]) == (total + 2**63) % 2**64 - 2**63
        assert bool(overflowed[at]) == (not -(2**63) <= total < 2**63)


def test_trap_names_the_first_coordinate_and_the_sum() -> None:
    x = np.zeros((2, 1, 3, 3), int)
    x[1, 0, 2, 1] = 20
    message = r"accumulator must be within -128 to 127 \(8 bits\), not 200 at \(1, 0, 2, 1\)"
    with pytest.raises(AccumulatorOverflow, match=message):
        spec.conv(x, np.full((1, 1, 1, 1), 10), **{**PLAIN, "accumulator_bits": 8, "overflow": "trap"})


def test_trap_looks_at_the_exact_sum() -> None:
    """A partial sum outside the range that comes back is no overflow: in two's complement the sum is right."""
    x, w = np.full((1, 3, 1, 1), 100), np.array([1, 1, -1]).reshape(1, 3, 1, 1)
    acc, overflowed = spec.conv(x, w, **{**PLAIN, "accumulator_bits": 8, "overflow": "trap"})
    assert acc.ravel().tolist() == [100]
    assert not overflowed.any()


GOOD: dict[str, Any] = {"x": np.ones((1, 4, 5, 5), int), "w": np.ones((2, 2, 3, 3), int), **PLAIN, "groups": 2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.ones((1, 4, 5, 5))}, "x must hold integers, not float64"),
        ({"w": np.ones((2, 2, 3), int)}, "x and w must have the same rank of at least 3, not shapes"),
        ({"groups": 1}, r"groups must split x \(1, 4, 5, 5\) and w \(2, 2, 3, 3\) evenly, not 1"),
        ({"w": np.ones((3, 2, 3, 3), int)}, "groups must split .* evenly, not 2"),
        ({"groups": 0}, "groups must be an integer within 1 to"),
        ({"strides": (1,)}, r"strides must be 2 integers, not \(1,\)"),
        ({"strides": (0, 1)}, "strides must be an integer within 1 to 2147483647, not 0"),
        ({"pads": (0, 0)}, r"pads must be 4 integers, not \(0, 0\)"),
        ({"pads": (0, 0, 0, -1)}, "pads must be an integer within 0 to 2147483647, not -1"),
        ({"dilations": (3, 1)}, "kernel must fit in the padded length 5, not span 7"),
        ({"dilations": 1}, "dilations must be 2 integers, not 1"),
        ({"bias": [1, 2, 3]}, "bias must have 1 or 2 elements, not 3"),
        ({"bias": [0.5, 1]}, "bias must hold integers, not 0.5"),
        ({"w_zero": [1, 2, 3]}, "w_zero must have 1 or 2 elements, not 3"),
        ({"x_zero": 0.0}, "x_zero must be an integer within .*, not 0.0"),
        ({"accumulator_bits": 65}, "bits must be an integer within 1 to 64, not 65"),
        ({"overflow": "clip"}, "overflow must be one of wrap, saturate, trap, not 'clip'"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfDomain, match=message):
        spec.conv(**{**GOOD, **changes})
