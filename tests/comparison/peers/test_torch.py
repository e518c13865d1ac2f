from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from intsim.comparison import compare
from intsim.comparison.peers import open_peer
from intsim.errors import UnusableInput
from tests.comparison.networks import NAMES, X, classifier, stimulus

MODEL = classifier()


def test_the_twin_differs_by_ties_and_float_roundings_only() -> None:
    found = compare(MODEL, "torch", stimulus(40), isolated=True)
    assert [layer.name for layer in found.layers] == NAMES
    assert found.against == "torch fake-quant"
    assert set(found.causes) == {"tie"}
    assert max(layer.max_difference for layer in found.layers) == 1
    assert 0 < found.mismatches < 0.05 * found.elements


def test_it_gives_the_codes_of_every_tensor() -> None:
    x = stimulus()
    tensors = open_peer("torch", MODEL).tensors({"x": x}, 0)
    np.testing.assert_array_equal(tensors["x"], x, strict=True)
    assert set(tensors) == set(NAMES)
    assert {array.dtype for array in tensors.values()} == {np.dtype(np.int8)}


class Doubled(torch.nn.Module):
    """Scores that the classifier does not give."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) * 2


def exported(folder: Path, module: torch.nn.Module) -> Path:
    x = torch.zeros(4, *stimulus().shape[1:])
    path = folder / "program.pt2"
    torch.export.save(torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)), path)
    return path


def test_the_outputs_of_an_exported_program_become_codes(tmp_path: Path) -> None:
    x = stimulus(6)
    found = compare(MODEL, f"torch:{exported(tmp_path, Doubled())}", x)
    assert found.against == "program.pt2"
    assert [layer.name for layer in found.layers] == ["scores"]
    assert found.unmatched == ("x", "first", "second", "mean")
    reals = X.real(x).mean((2, 3), dtype=np.float32) * np.float32(2)
    codes = np.clip(np.rint(reals * 2.0**5), -128, 127)
    ours = MODEL.run(x).outputs["scores"].codes
    assert ours is not None
    assert found.mismatches == np.count_nonzero(codes != ours)
    assert found.accuracy["agreement"] < 1


class TwoOutputs(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.mean((2, 3)), x.mean((1, 2, 3))


class Infinite(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) / 0.0


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (TwoOutputs(), "program.pt2: 2 outputs, but the model has 1"),
        (Infinite(), "program.pt2: output 'scores' is not finite"),
    ],
)
def test_a_program_that_does_not_fit_is_refused(module: torch.nn.Module, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=message):
        compare(MODEL, f"torch:{exported(tmp_path, module)}", stimulus())
