from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim import spec
from intsim.errors import AccumulatorOverflow, OutOfDomain
from tests.spec.judges import onnx_reference
from tests.spec.second import Array, accumulate

WIDE: dict[str, Any] = {"accumulator_bits": 32, "overflow": "wrap"}


def draw(seed: int, shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(seed).integers(-128, 127, shape, endpoint=True)


def second(
    a: Array, b: Array, a_zero: int, b_zero: list[int], bias: list[int], accumulator_bits: int, overflow: str
) -> tuple[Array, Array]:
    """The product of two matrices by scalar loops on Python's integers."""
    acc = np.zeros((a.shape[0], b.shape[1]), object)
    overflowed = np.zeros(acc.shape, bool)
    for i, j in np.ndindex(acc.shape):
        terms = [(int(a[i, k]) - a_zero) * (int(b[k, j]) - b_zero[j]) for k in range(a.shape[1])]
        acc[i, j], overflowed[i, j] = accumulate([*terms, bias[j]], accumulator_bits, overflow)
    return acc, overflowed


def mismatches(matmul: Callable[..., tuple[Array, Array]], overflow: str, bits: int, seed: int = 0) -> int:
    a, b = draw(seed, (5, 9)), draw(seed + 1, (9, 5))
    parameters: dict[str, Any] = {
        "a_zero": -3,
        "b_zero": [0, 1, -7, 12, 2],
        "bias": [0, 5000, -5000, 1, 30000],
        "accumulator_bits": bits,
        "overflow": overflow,
    }
    got, expected = matmul(a, b, **parameters), second(a, b, **parameters)
    return int((got[0] != expected[0]).sum() + (got[1] != expected[1]).sum())


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("bits", [8, 15, 16, 17, 32, 64])
def test_by_scalar_loops(overflow: str, bits: int) -> None:
    for seed in range(20):
        assert mismatches(spec.matmul, overflow, bits, seed) == 0


def test_mutants_are_caught() -> None:
    def swapped_axis(a: Array, b: Array, **parameters: Any) -> Any:
        acc, overflowed = spec.matmul(a, b, **parameters)
        return acc.T, overflowed.T

    def wrapping(a: Array, b: Array, **parameters: Any) -> Any:
        return spec.matmul(a, b, **{**parameters, "overflow": "wrap"})

    def backwards(a: Array, b: Array, **parameters: Any) -> Any:
        return spec.matmul(a[:, ::-1], b[::-1], **parameters)

    def zero_of_the_wrong_operand(a: Array, b: Array, **parameters: Any) -> Any:
        return spec.matmul(a, b, **{**parameters, "a_zero": 0, "b_zero": np.array(parameters["b_zero"]) - 3})

    assert mismatches(swapped_axis, "wrap", 32) > 0
    assert mismatches(wrapping, "saturate", 16) > 0
    assert mismatches(backwards, "saturate", 16) > 0
    assert mismatches(backwards, "wrap", 16) == 0  # modular sums know no order
    assert mismatches(zero_of_the_wrong_operand, "wrap", 32) > 0


SHAPES = [
    # a, b: what numpy.matmul makes of their axes
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((5, 2, 3), (3, 4)),
    ((5, 1, 2, 3), (6, 3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 4)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 3)),
]


@pytest.mark.parametrize(("a_shape", "b_shape"), SHAPES)
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_broadcasting_is_that_of_numpy(a_shape: tuple[int, ...], b_shape: tuple[int, ...], overflow: str) -> None:
    a, b = draw(1, a_shape), draw(2, b_shape)
    acc, overflowed = spec.matmul(a, b, a_zero=5, b_zero=-2, bias=7, accumulator_bits=40, overflow=overflow)
    expected = np.matmul(a - 5, b + 2) + 7
    assert acc.shape == overflowed.shape == expected.shape
    assert np.array_equal(acc, expected)
    # 8 bits saturate: the same shapes by the ordered sums
    narrow, marks = spec.matmul(a, b, a_zero=5, b_zero=-2, bias=7, accumulator_bits=8, overflow=overflow)
    assert narrow.shape == marks.shape == expected.shape


@settings(max_examples=50)
@given(
    rows=st.integers(1, 4),
    inner=st.integers(1, 6),
    columns=st.integers(1, 4),
    a_zero=st.integers(-128, 127),
    seed=st.integers(0, 10**6),
)
def test_as_onnx_matmul_integer(rows: int, inner: int, columns: int, a_zero: int, seed: int) -> None:
    a, b = draw(seed, (2, rows, inner)), draw(seed + 1, (inner, columns))
    zeros = draw(seed + 2, (columns,))
    operands = [v.astype(np.int8) for v in (a, b, np.array(a_zero), zeros)]
    acc, _ = spec.matmul(a, b, a_zero=a_zero, b_zero=zeros, **WIDE)
    assert np.array_equal(acc, onnx_reference("MatMulInteger", [*operands]))


def test_large_operands_are_exact() -> None:
    a = np.array([[2**62, -(2**62), 3]], object)
    b = np.array([[4], [-4], [2**60]], object)
    acc, overflowed = spec.matmul(a, b, accumulator_bits=64, overflow="wrap")
    total = 2**65 + 3 * 2**60
    assert int(acc[0, 0]) == (total + 2**63) % 2**64 - 2**63
    assert bool(overflowed[0, 0])
    acc, overflowed = spec.matmul(a, b, accumulator_bits=64, overflow="saturate")
    assert (int(acc[0, 0]), bool(overflowed[0, 0])) == (2**63 - 1, True)


def test_trap() -> None:
    message = r"accumulator must be within -8 to 7 \(4 bits\), not 8 at \(1, 0\)"
    with pytest.raises(AccumulatorOverflow, match=message):
        spec.matmul([[7], [8]], [[1]], accumulator_bits=4, overflow="trap")
    acc, _ = spec.matmul([[7], [-8]], [[1]], accumulator_bits=4, overflow="trap")
    assert acc.tolist() == [[7], [-8]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": np.ones((2, 4), int)}, r"a and b must agree in their inner length, not shapes \(2, 4\) and \(3, 5\)"),
        ({"a": 3}, r"a and b must agree in their inner length, not shapes \(\) and \(3, 5\)"),
        ({"a": np.ones((2, 2, 3), int), "b": np.ones((4, 3, 5), int)}, "a and b must broadcast, not shapes"),
        ({"a": np.ones((2, 3))}, "a must hold integers, not float64"),
        ({"a_zero": [1, 2]}, r"a_zero must be an integer within .*, not \[1, 2\]"),
        ({"b_zero": [1, 2]}, "b_zero must have 1 or 5 elements, not 2"),
        ({"bias": np.ones(4, int)}, "bias must have 1 or 5 elements, not 4"),
        ({"accumulator_bits": 0}, "bits must be an integer within 1 to 64, not 0"),
        ({"overflow": None}, "overflow must be one of wrap, saturate, trap, not None"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"a": np.ones((2, 3), int), "b": np.ones((3, 5), int), **WIDE}
    with pytest.raises(OutOfDomain, match=message):
        spec.matmul(**{**good, **changes})
