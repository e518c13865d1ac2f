from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intsim.errors import IntsimError, OutOfDomain, UnusableInput
from intsim.files import read_array
from intsim.formats import Format
from intsim.lowering.lowered import Lowered
from intsim.run.batches import Batch, cut, divide
from intsim.run.inputs import check_inputs, values_of
from tests.networks import X, random_codes, residual, single_mac

Array = np.ndarray[Any, Any]

IMAGE = (3, 8, 8)


def two_inputs(first: int | None, second: int | None) -> Lowered:
    parameters = {"a_zero": 0, "b_zero": 0, "bias": None, "accumulator_bits": 32, "overflow": "wrap"}
    return single_mac("matmul", (first, 4), parameters, second=("b", (second, 6), X))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_reals_become_float32(dtype: Any) -> None:
    x = np.linspace(-3, 3, 2 * 192).reshape(2, *IMAGE).astype(dtype)
    checked = check_inputs(residual(), x)
    assert list(checked) == ["x"] and checked["x"].dtype == np.float32
    assert np.array_equal(checked["x"], x.astype(np.float32))
    assert list(values_of(residual(), checked)) == ["x"]


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, ">i2"])
def test_integers_are_codes(dtype: Any) -> None:
    x = np.abs(random_codes(0, (2, *IMAGE)).astype(np.int64) // 2).astype(dtype)
    checked = check_inputs(residual(), {"x": x})
    assert checked["x"].dtype == np.int8 and np.array_equal(checked["x"], x)
    assert list(values_of(residual(), checked)) == ["x_q"]


def test_a_float32_file_is_not_copied(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((100, *IMAGE), np.float32))
    x = read_array(tmp_path / "x.npy")
    assert np.shares_memory(check_inputs(residual(), x)["x"], x)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros(IMAGE), UnusableInput, r"input 'x': expected 4 axes, \[N, 3, 8, 8\], got shape \[3, 8, 8\]"),
        (np.zeros((2, 3, 8, 9)), UnusableInput, r"expected shape \[N, 3, 8, 8\], got shape \[2, 3, 8, 9\]$"),
        (np.zeros((2, 8, 8, 3)), UnusableInput, r"channels are last here.*transpose to \(0, 3, 1, 2\)"),
        (np.zeros((0, *IMAGE)), UnusableInput, "an empty batch"),
        (np.zeros((2, 0, 8, 8)), UnusableInput, "an empty array"),
        (np.zeros((2, *IMAGE), bool), UnusableInput, r"give floats \(reals\) or integers \(codes\), not bool"),
        (np.zeros((2, *IMAGE), complex), UnusableInput, "not complex128"),
        (np.zeros((2, *IMAGE), "U1"), UnusableInput, "not <U1"),
        (np.zeros((2, *IMAGE), np.longdouble), UnusableInput, "not float"),
        (np.full((2, *IMAGE), 128), OutOfDomain, r"tensor 'x': code 128 at \(0, 0, 0, 0\) is outside i8"),
        (np.full((2, *IMAGE), 2**63, np.uint64), OutOfDomain, "code 9223372036854775808"),
        ({}, UnusableInput, r"no array for input 'x'; give one of shape \[N, 3, 8, 8\]"),
        ({"x": np.zeros((1, *IMAGE)), "y": np.zeros(1)}, UnusableInput, "no input 'y'; it has x"),
    ],
)
def test_unusable_arrays(x: Any, error: type[IntsimError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        check_inputs(residual(), x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_reals_that_are_not_finite_are_located(value: float) -> None:
    x = np.zeros((150, *IMAGE))
    x[130, 2, 5, 7] = value
    with pytest.raises(UnusableInput, match=r"at \(130, 2, 5, 7\) is not a finite float32"):
        check_inputs(residual(), x)


def test_codes_outside_the_format_are_located() -> None:
    x = np.zeros((150, *IMAGE), np.int16)
    x[130, 2, 5, 7] = -129
    with pytest.raises(OutOfDomain, match=r"code -129 at \(130, 2, 5, 7\)"):
        check_inputs(residual(), x)


def test_a_fixed_batch_takes_multiples() -> None:
    lowered = residual(batch=4)
    for images in (4, 12):
        check_inputs(lowered, np.zeros((images, *IMAGE)))
    with pytest.raises(UnusableInput, match=r"expected shape \[4\*N, 3, 8, 8\], got shape \[6, 3, 8, 8\]"):
        check_inputs(lowered, np.zeros((6, *IMAGE)))


def test_inputs_are_named_where_there_are_several() -> None:
    lowered = two_inputs(None, 4)
    with pytest.raises(UnusableInput, match=r"the model has 2 inputs; give a dict of arrays for x, b"):
        check_inputs(lowered, np.zeros((2, 4), np.int8))
    # Beside an open batch, a fixed first axis is no batch.
    check_inputs(lowered, {"x": np.zeros((9, 4), np.int8), "b": np.zeros((4, 6), np.int8)})
    with pytest.raises(UnusableInput, match=r"input 'b': expected shape"):
        check_inputs(lowered, {"x": np.zeros((9, 4), np.int8), "b": np.zeros((8, 6), np.int8)})


def test_an_input_without_a_format_takes_reals_only() -> None:
    lowered = residual()
    real_only = Lowered(
        lowered.graph, lowered.target, lowered.layers, lowered.values, {"x": "x"}, lowered.outputs, lowered.accumulators
    )
    with pytest.raises(UnusableInput, match="input 'x' takes reals"):
        check_inputs(real_only, np.zeros((1, *IMAGE), np.int8))


def batches(lowered: Lowered, inputs: dict[str, Array], size: int, **override: Array) -> list[Batch]:
    return list(cut(divide(lowered, inputs), inputs, override, size))


def test_an_open_batch_is_cut_into_images() -> None:
    lowered = two_inputs(None, 4)
    x, b, given = np.arange(40).reshape(10, 4), np.zeros((4, 6)), np.arange(60).reshape(20, 3)
    parts = batches(lowered, {"x": x, "b": b}, 4, y=given)
    assert [(p.before, p.count) for p in parts] == [(0, 4), (4, 4), (8, 2)]
    assert np.array_equal(np.concatenate([p.inputs["x"] for p in parts]), x)
    assert all(p.inputs["b"] is b for p in parts)
    assert np.array_equal(np.concatenate([p.override["y"] for p in parts]), given)
    assert [p.rows_before(p.count * 2) for p in parts] == [0, 8, 16]


def test_a_fixed_batch_is_cut_into_batches() -> None:
    lowered = two_inputs(2, 4)
    x, b = np.arange(24).reshape(6, 4), np.arange(72).reshape(12, 6)
    parts = batches(lowered, {"x": x, "b": b}, 16)
    assert [(p.before, p.count) for p in parts] == [(0, 1), (1, 1), (2, 1)]
    assert np.array_equal(parts[1].inputs["x"], x[2:4]) and np.array_equal(parts[1].inputs["b"], b[4:8])
    assert divide(lowered, {"x": x, "b": b}).total == 6


def test_inputs_of_different_length_are_refused() -> None:
    for lowered, rows in ((two_inputs(None, None), (3, 4)), (two_inputs(2, 4), (4, 12))):
        inputs = {"x": np.zeros((rows[0], 4), np.int8), "b": np.zeros((rows[1], 6), np.int8)}
        with pytest.raises(UnusableInput, match="the inputs differ in their number of images"):
            divide(lowered, check_inputs(lowered, inputs))


def test_scalars_are_never_cut() -> None:
    lowered = single_mac("conv", (), {"accumulator_bits": 8}, x_format=Format(8))
    assert batches(lowered, check_inputs(lowered, np.array(3)), 16)[0].count == 1
