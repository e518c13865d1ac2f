from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import intsim
from intsim import training
from intsim.errors import OutOfDomain, UnusableInput
from intsim.images import Preprocess
from intsim.training.data import Batches, Samples, shift_and_flip
from intsim.training.losses import Loss, loss_of
from intsim.training.recipe import Recipe

pytest.importorskip("safetensors")

PREPROCESS = Preprocess("gray", scale=(255.0,), mean=(0.5,), std=(0.25,))


def flip(pixels: Any, random: np.random.Generator) -> Any:
    return shift_and_flip(pixels, random, 0)


def samples(count: int = 48, labelled: bool = True) -> Samples:
    random = np.random.default_rng(4)
    labels = random.integers(0, 3, count)
    pixels = random.integers(0, 90, (count, 1, 8, 8), np.uint8)
    pixels[np.arange(count), 0, 2 * labels, :] += 150  # a bright line says the class
    return Samples(pixels, PREPROCESS, labels if labelled else None)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3)).eval()


def quantized(bits: int = 3) -> tuple[training.QuantizedModule, nn.Module]:
    teacher = network()
    return training.quantize(teacher, bits=bits, activations=8, calibration=samples().reals()), teacher


def batches(labelled: bool = False) -> Batches:
    return Batches(samples(labelled=labelled), 16, 7, flip)


def test_losses() -> None:
    y, z = torch.randn(5, 3), torch.randn(5, 3)
    labels = torch.tensor([0, 1, 2, 0, 1])
    mcl, ce = ((y - z) ** 2).mean(), functional.cross_entropy(z, labels)
    assert torch.equal(loss_of("mcl")(z, y, None), mcl)
    assert torch.equal(loss_of("ce")(z, y, labels), ce)
    assert torch.allclose(loss_of({"mcl": 2, "ce": 0.5})(z, y, labels), 2 * mcl + 0.5 * ce)
    assert torch.allclose(Loss(normalized=True)(8 * z, 8 * y, None), Loss(normalized=True)(z, y, None))
    assert not loss_of("mcl").needs_labels and loss_of("ce").needs_labels
    for bad, message in (
        ("mse", "not 'mse'"),
        ({"mcl": -1}, "0 or more, not -1"),
        ({"ce": 0}, "must be above 0"),
    ):
        with pytest.raises(UnusableInput, match=message):
            loss_of(bad)


def test_recipes() -> None:
    recipe = Recipe.from_dict({"epochs": 3, "rate": 0.5})
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert [recipe.rate_at(s) for s in (0, 1)] == [0.5, 0.0] and recipe.rate_at(0.5) == pytest.approx(0.25)
    assert Recipe(schedule="constant").rate_at(0.9) == Recipe().rate
    for data, message in (
        ({"epoch": 3}, "unknown key 'epoch'; one of epochs"),
        ({"epochs": 0}, "epochs must be an integer of 1 or more, not 0"),
        ({"rate": float("nan")}, "rate must be a number from 0"),
        ({"rate": "fast"}, "rate must be a number from 0"),
        ({"momentum": 1}, "momentum must be a number from 0 to below 1"),
        ({"schedule": "step"}, "schedule must be one of cosine, constant, not 'step'"),
    ):
        with pytest.raises(UnusableInput, match=message):
            Recipe.from_dict(data)


def test_training_without_labels_comes_nearer_to_the_float_network(tmp_path: Path) -> None:
    q, teacher = quantized()
    weights = [p.clone() for p in teacher.parameters()]
    told: list[Any] = []
    rows = training.fit(
        q, teacher, batches(), recipe=Recipe(epochs=4, rate=1e-2), test=samples(), output=tmp_path, progress=told.append
    )
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4] and told == rows
    assert rows[-1]["test"]["mcl"] < 0.7 * rows[0]["test"]["mcl"]
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == rows
    assert all(torch.equal(a, b) for a, b in zip(weights, teacher.parameters(), strict=True))


def test_training_with_labels_learns_them() -> None:
    q, teacher = quantized(8)
    rows = training.fit(q, teacher, batches(True), "ce", Recipe(epochs=8, rate=0.05), test=samples())
    assert rows[-1]["test"]["accuracy"] > max(0.6, rows[0]["test"]["accuracy"])
    with pytest.raises(UnusableInput, match="the data set has no labels"):
        training.fit(q, teacher, batches(False), "ce")


def test_what_is_printed_is_the_deployed_integers(tmp_path: Path) -> None:
    q, teacher = quantized()
    outputs = training.float_outputs(teacher, samples())
    found = training.evaluate(q, samples(), outputs)
    q.to_onnx(tmp_path / "m.onnx")
    codes = intsim.load(tmp_path / "m.onnx").run(samples().reals(), engine="spec").outputs["output"].real
    assert found.accuracy == np.mean(codes.argmax(1) == samples().labels)
    assert found.cd == np.mean(codes.argmax(1) != outputs.argmax(1))
    assert found.mcl == pytest.approx(np.mean((codes.astype(np.float64) - outputs) ** 2))
    assert training.evaluate(q, samples(labelled=False), outputs).accuracy is None


def test_ties_are_counted() -> None:
    q, teacher = quantized(8)
    with torch.no_grad():
        for parameter in q.get_submodule("layers.3").parameters():
            parameter.zero_()
    assert training.evaluate(q, samples(), training.float_outputs(teacher, samples())).ties == 1.0


class Killed(Exception):
    """Stands for kill -9: nothing is done after it."""


@pytest.mark.parametrize("after", [4, 6])
def test_a_run_that_was_killed_goes_on_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    recipe = Recipe(epochs=3, rate=1e-2, checkpoint=0.0)
    q, teacher = quantized()
    whole = training.fit(q, teacher, batches(), recipe=recipe, test=samples())
    wanted = q.state_dict()
    other, _ = quantized()
    saves = 0
    module = sys.modules[training.fit.__module__]
    save = vars(module)["save_checkpoint"]

    def dying(*arguments: Any) -> None:
        nonlocal saves
        save(*arguments)
        saves += 1
        if saves == after:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "save_checkpoint", dying)
        training.fit(other, teacher, batches(), recipe=recipe, test=samples(), output=tmp_path)
    fresh, _ = quantized()
    rows = training.fit(fresh, teacher, batches(), recipe=recipe, test=samples(), output=tmp_path, resume=True)
    assert all(torch.equal(value, wanted[name]) for name, value in fresh.state_dict().items())
    assert [{**row, "seconds": 0} for row in rows] == [{**row, "seconds": 0} for row in whole]


def test_a_state_of_another_run_is_refused(tmp_path: Path) -> None:
    q, teacher = quantized()
    training.fit(q, teacher, batches(), recipe=Recipe(epochs=1), output=tmp_path)
    with pytest.raises(UnusableInput, match="is of a run with another recipe"):
        training.fit(q, teacher, batches(), recipe=Recipe(epochs=2), output=tmp_path, resume=True)
    with pytest.raises(UnusableInput, match="to resume, give the output folder"):
        training.fit(q, teacher, batches(), resume=True)
    small = training.quantize(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), calibration=samples().reals())
    with pytest.raises(UnusableInput, match=r"is of another network: .* differs"):
        training.fit(small, teacher, batches(), recipe=Recipe(epochs=1), output=tmp_path, resume=True)
    (tmp_path / "state.safetensors").write_bytes(b"pickle?")
    with pytest.raises(UnusableInput, match="not a readable safetensors file"):
        training.fit(q, teacher, batches(), recipe=Recipe(epochs=1), output=tmp_path, resume=True)


def test_data_and_rates_of_no_use() -> None:
    q, teacher = quantized()
    with pytest.raises(UnusableInput, match="4 images are less than a batch of 16"):
        training.fit(q, teacher, Batches(samples(4), 16, 1, drop_last=True))
    with pytest.raises(OutOfDomain, match=r"the loss is .* lower the rate"):
        training.fit(q, teacher, batches(), recipe=Recipe(rate=1e30, epochs=3))
