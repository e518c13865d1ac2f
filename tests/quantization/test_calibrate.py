from __future__ import annotations

import math
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from intsim.errors import IntsimError, MissingDependency, OutOfDomain, UnusableInput
from intsim.quantization import calibrate
from intsim.quantization.calibrate import Calibration, Measured, count_shares
from intsim.quantization.candidates import try_tensor
from intsim.quantization.float_graph import FloatGraph
from intsim.quantization.prepare import prepare
from tests.quantization.networks import images, residual, run, single

Array = np.ndarray[Any, Any]

TENSORS = ("image", "bn1", "relu1", "pool", "logits")


def graph() -> FloatGraph:
    return prepare(residual(), 8)


def by_hand(x: Array, batch: int, bits: int) -> dict[str, Measured]:
    """The same from whole arrays: each batch's best exponent, and the candidates of all the numbers."""
    values = dict(zip(TENSORS, (x, *run(graph().to_model(TENSORS[1:]), x, level="ORT_ENABLE_ALL")), strict=True))
    return {
        name: Measured(
            try_tensor(v, bits).reference,
            tuple(try_tensor(v[i : i + batch], bits).best() for i in range(0, len(v), batch)),
            try_tensor(v, bits).candidates(),
        )
        for name, v in values.items()
    }


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("count", "batch"), [(10, 4), (8, 4), (3, 32), (5, 1)])
def test_measured_batch_by_batch_in_file_order(count: int, batch: int, bits: int) -> None:
    x = images(count)
    found = Calibration(graph(), x, batch).measure(TENSORS, bits)
    for name, expected in by_hand(x, batch, bits).items():
        assert found[name].reference == expected.reference
        assert found[name].batches == expected.batches
        assert len(found[name].batches) == math.ceil(count / batch)
        for one, other in zip(found[name].candidates, expected.candidates, strict=True):
            assert one.exponent == other.exponent
            # float64 sums in another order, and convolutions of another batch size
            assert one.mse == pytest.approx(other.mse, rel=1e-5)
            assert one.pcc == pytest.approx(other.pcc, rel=1e-5)


def test_the_inputs_differ_enough_that_batches_do() -> None:
    """Else the test above would pass for one batch of everything."""
    measured = by_hand(images(10), 4, 8)
    assert any(len(set(m.batches)) > 1 for m in measured.values())


def test_a_batch_run_in_parts_is_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    x = images(9)
    expected = by_hand(x, 5, 8)
    monkeypatch.setattr(calibrate, "BUDGET", 1)
    found = Calibration(graph(), x, 5).measure(TENSORS, 8)
    assert {n: m.batches for n, m in found.items()} == {n: m.batches for n, m in expected.items()}


def test_a_batch_of_zeros_beside_others() -> None:
    x = images(4)
    x[:2] = 0
    found = Calibration(graph(), x, 2).measure(("image",), 8)["image"]
    assert found.batches == (-3, try_tensor(x[2:], 8).best())
    assert found.candidates == try_tensor(x, 8).candidates()


def test_a_fixed_batch_size_is_run_as_it_is() -> None:
    model = single("Relu", [2, 3])
    x = images(8, shape=(3,))
    found = Calibration(prepare(model, 8), x, 4).measure(("x", "y"), 8)
    assert found["x"].batches == (try_tensor(x[:4], 8).best(), try_tensor(x[4:], 8).best())
    with pytest.raises(UnusableInput, match=r"takes 2 inputs at a time: batch \(3\)"):
        Calibration(prepare(model, 8), x, 3)
    with pytest.raises(UnusableInput, match=r"the number of calibration inputs \(7\)"):
        Calibration(prepare(model, 8), x[:7], 2)


def test_shares_at_their_edges() -> None:
    """Codes of 4 bits at e = -1: r / 2**-1 from 7.5 on and below -8.5 is clipped, from -0.5 to below 0.5 zero."""
    doubled = np.array([7.5, 7.4375, -8.5, -8.5625, 0.5, 0.4375, -0.5, -0.5625, 3.0, 100.0])
    assert count_shares((doubled / 2).astype(np.float32), -1, 4).tolist() == [10, 3, 2]


def test_shares_of_random_numbers_in_exact_arithmetic() -> None:
    x = images(6)
    found = Calibration(graph(), x, 4).shares({"image": -2, "relu1": -1}, 4)
    values = dict(zip(("image", "relu1"), (x, run(graph().to_model(["relu1"]), x)[0]), strict=True))
    for name, exponent in (("image", -2), ("relu1", -1)):
        codes = [
            math.floor(Fraction(float(r)) / Fraction(2) ** exponent + Fraction(1, 2)) for r in values[name].ravel()
        ]
        assert found[name].saturated == sum(not -8 <= c <= 7 for c in codes) / len(codes) > 0
        assert found[name].zero == sum(c == 0 for c in codes) / len(codes) > 0


def test_progress_counts_every_pass() -> None:
    calls: list[tuple[str, int, int]] = []
    Calibration(graph(), images(5), 2, progress=lambda *call: calls.append(call)).measure(("logits",), 8)
    assert calls == [(what, done, 5) for what in ("ranges", "errors") for done in (2, 4, 5)]


def test_a_memory_map_is_read_a_slice_at_a_time(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", images(6))
    calibration = Calibration(graph(), np.load(tmp_path / "x.npy", mmap_mode="r"), 2)
    longest = [0]
    original = np.ascontiguousarray

    def watched(array: Array, *rest: Any) -> Array:
        longest.append(len(array))
        return original(array, *rest)

    monkeypatch.setattr(np, "ascontiguousarray", watched)
    calibration.measure(("image",), 8)
    assert max(longest) <= 2 * 2 * 8 * 8  # a flat slice of two inputs


def spoiled(value: float) -> Array:
    x = images(5)
    x[3, 1, 2, 4] = value
    return x


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (spoiled(math.nan), r"calibration data: nan at \(3, 1, 2, 4\)"),
        (spoiled(-math.inf), r"calibration data: -inf at \(3, 1, 2, 4\)"),
        (images(4).astype(np.int8), "must be reals .* not int8"),
        (images(0), "calibration data is empty"),
        (images(4, shape=(3, 8, 8)), r"must have the shape \[N, 2, 8, 8\], not \[4, 3, 8, 8\]"),
        (images(4, shape=(2, 8)), r"must have the shape \[N, 2, 8, 8\], not \[4, 2, 8\]"),
    ],
)
def test_unusable_calibration_data(x: Array, message: str) -> None:
    with pytest.raises(UnusableInput, match=message):
        Calibration(graph(), x, 4).measure(("logits",), 8)


def test_a_batch_must_hold_something() -> None:
    with pytest.raises(UnusableInput, match="batch must be 1 or more, not 0"):
        Calibration(graph(), images(4), 0)


def test_a_network_that_overflows_names_the_tensor() -> None:
    huge = np.full((2, 2, 1, 1), 3e38, np.float32)
    model = prepare(single("Conv", ["n", 2, 8, 8], {"w": huge}, ["x", "w"]), 8)
    with pytest.raises(OutOfDomain, match="tensor 'y': the float model gives"):
        Calibration(model, 10 * images(4), 2).measure(("y",), 8)


def test_without_onnxruntime_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match=r"pip install 'intsim\[ort\]'") as caught:
        Calibration(graph(), images(2), 2).measure(("logits",), 8)
    assert isinstance(caught.value, IntsimError)
