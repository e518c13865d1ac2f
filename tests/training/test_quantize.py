from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import intsim
from intsim import training
from intsim.errors import IntsimError, OutOfDomain, UnsupportedOp, UnusableInput
from intsim.quantization.post_training import quantize_model
from intsim.training import proof
from intsim.training.modules.average import Average
from intsim.training.trace import trace
from tests.training.networks import Branches, calibrated, images, mismatches


def linear(x: Tensor) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 4))


class Calls(nn.Module):
    """A network with one function of one's own in it."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Any:
        return self.function(self.conv(x))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (torch.exp, r"module Calls, exp\.default: cannot be converted; supported: "),
        (lambda x: x if x.sum() > 0 else -x, r"Calls: torch\.export cannot follow it: .*control flow"),
        (lambda x: torch.add(x, x, alpha=2), r"module Calls, add\.Tensor: with alpha 2; supported: alpha 1"),
        (lambda x: functional.pad(x, (1, 1, 1, 1), "reflect"), r"pad\.default: mode 'reflect'; supported: constant"),
        (lambda x: x.mean(), "cannot be converted|over the batch"),
        (
            lambda x: functional.adaptive_avg_pool2d(x, 5),
            r"from \[14, 14\] to \[5, 5\]; supported: lengths that divide",
        ),
        (lambda x: torch.softmax(x.flatten(1), 1), "cannot be converted"),
    ],
)
def test_what_cannot_be_converted_is_named(function: Any, message: str) -> None:
    with pytest.raises(UnsupportedOp, match=message) as error:
        training.quantize(Calls(function), calibration=images(2))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scheme": "lsq"}, "scheme must be one of diffquant, not 'lsq'"),
        ({"bits": 1}, "weights: bits must be 2 to 16, not 1"),
        ({"weights": {"*": 17}}, "weights: bits must be 2 to 16, not 17"),
        ({"weights": {"9": 8}}, "weights: no pattern of 9 matches layer|pattern '9' matches no layer"),
        ({"bias": {"*": 8, "cnov": 4}}, "bias: pattern 'cnov' matches no layer; layers: input, 0, 1"),
        ({"momentum": 0.0}, "momentum must be above 0"),
        ({"calibration": []}, "calibration data is empty"),
        ({"calibration": torch.empty(0, 3, 16, 16)}, "calibration data is empty"),
        ({"calibration": [torch.zeros(2, 3, 16, 16, dtype=torch.int32)]}, "batch 0 must be a tensor of reals"),
        ({"calibration": [images(2), images(2, size=8)]}, "batch 1 has the shape"),
        ({"calibration": [images(2), images(2) * torch.nan]}, "batch 1 holds NaN or infinity"),
    ],
)
def test_options_and_data_of_no_use(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UnusableInput, match=message):
        training.quantize(linear(images(1)), **{"calibration": images(2), **arguments})


def test_bad_weights_and_inputs() -> None:
    network = linear(images(1))
    q = training.quantize(network, calibration=images(2))
    with pytest.raises(OutOfDomain, match="the input holds NaN or infinity"):
        q(images(2) * torch.inf)
    with torch.no_grad():
        next(network.parameters())[0, 0] = torch.nan
    with pytest.raises(UnusableInput, match=r"1\.weight: holds NaN or infinity; weights must be finite"):
        training.quantize(network, calibration=images(2))


def test_data_that_is_constant_zero_still_gives_exponents() -> None:
    x = torch.zeros(4, 3, 16, 16)
    q = training.quantize(linear(x), calibration=x)
    assert not any(mismatches(q, x).values())


def test_autocast_is_refused() -> None:
    q = training.quantize(linear(images(1)), calibration=images(2))
    with torch.autocast("cpu"), pytest.raises(UnusableInput, match="autocast rounds codes to 16 bits"):
        q(images(2))


def test_a_build_that_is_not_exact_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    convolve = functional.conv2d
    # What NNPACK and bfloat16 do: operands that are transformed or rounded first.
    monkeypatch.setattr(functional, "conv2d", lambda x, w, *rest, **more: convolve(x * (1 / 3), w * 3, *rest, **more))
    with pytest.raises(UnusableInput, match=r"this build of PyTorch \(.*\) is not exact: conv2d of 16 channels"):
        proof.check_build.__wrapped__()


def test_a_carrier_is_as_wide_as_the_sum_needs() -> None:
    assert proof.carrier(2**24, "x") == torch.float32
    assert proof.carrier(2**24 + 1, "x") == torch.float64
    with pytest.raises(OutOfDomain, match="layer 'x': its accumulator may reach"):
        proof.carrier(2.0**54, "x")
    weights = torch.tensor([[3.0, -4.0], [0.0, 5.0]])
    assert proof.sum_bound(weights, 8) == 7 * 128


def test_names_are_those_of_the_users_modules() -> None:
    x = images(2)
    graph = trace(calibrated(Branches(), x), x).graph
    names = [node.name for node in graph.nodes]
    assert names[:6] == ["conv1", "relu", "conv2", "bn2", "relu_1", "add"]
    assert {"conv3", "swish", "fc", "cat", "leaky_relu", "sigmoid", "sub"} <= set(names)
    assert {"conv1.weight", "bn2.running_var", "fc.bias"} <= set(graph.constants)


def test_the_module_itself_is_not_changed() -> None:
    x = images(4)
    network = Branches()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    q = training.quantize(network, calibration=x)
    assert network.training and q.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_state_dict_holds_all_that_training_changes() -> None:
    x = images(8)
    network = calibrated(Branches(), x)
    q, other = (training.quantize(network, calibration=x) for _ in range(2))
    q.train()
    torch.autograd.backward(q(x * 3).square().mean())
    with torch.no_grad():
        for parameter in q.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.01 * parameter.grad)
    assert any((q.codes(x)[name] != codes).any() for name, codes in other.codes(x).items())
    other.load_state_dict(q.state_dict())
    assert all((q.codes(x)[name] == codes).all() for name, codes in other.codes(x).items())
    assert {"layers.conv1.weight", "layers.conv1.output.average.average"} <= set(q.state_dict())


def test_exponents_are_those_of_intsim_quantize(tmp_path: Path) -> None:
    x = images(70)
    network = calibrated(Branches(), x)
    q = training.quantize(network, calibration=x)
    graph = trace(network, x).graph
    rows = quantize_model(graph.to_model(), x.numpy()).rows
    theirs = {row.tensor: row.exponent for row in rows if row.kind != "weight"}
    ours = {{"conv2": "bn2"}.get(name, name): e for name, e in q.exponents().items()}
    assert theirs == ours


def test_gradients_pass_straight_through_inside_and_are_zero_outside() -> None:
    x = images(4)
    q = training.quantize(linear(x), calibration=x).eval()
    real = x.clone().requires_grad_()
    y = q(real)
    torch.autograd.backward(y.sum())
    layer = q.get_submodule("layers.1")
    weight = layer.get_parameter("weight")
    assert weight.grad is not None and real.grad is not None
    inside = torch.from_numpy(q.codes(x)["1"]).abs() < 127
    flat = torch.from_numpy(q.codes(x)["0"]).float() * 2.0 ** q.exponents()["0"]
    assert torch.allclose(weight.grad, inside.float().T @ flat, rtol=1e-5)
    assert float(real.grad.abs().max()) > 0
    outside = (x * 1e3).requires_grad_()
    torch.autograd.backward(q(outside).sum())
    assert outside.grad is not None and float(outside.grad[(x * 1e3).abs() > 100].abs().max()) == 0


def test_an_average_takes_in_one_batch_after_the_other() -> None:
    average = Average(3.0, 0.25)
    average.observe(7)
    assert float(average.average) == 4.0 and average.value == 4
    average.observe(6)
    assert float(average.average) == 4.5 and average.value == 5  # ties to +inf


def test_in_training_the_truncation_point_follows_the_data() -> None:
    x = images(16)
    q = training.quantize(linear(x), calibration=x, momentum=0.5)
    with torch.no_grad():
        q.get_submodule("layers.1").get_parameter("bias").mul_(256.0)
    before = q.exponents()["1"]
    q.train()
    for _ in range(30):
        q(x)
    assert q.exponents()["1"] > before
    q.eval()
    after = q.exponents()["1"]
    q(x)
    assert q.exponents()["1"] == after


def test_the_file_is_written_at_once_and_runs_everywhere(tmp_path: Path) -> None:
    x = images(4)
    q = training.quantize(calibrated(Branches(), x), calibration=x)
    q.to_onnx(tmp_path / "m.onnx")
    model = intsim.load(tmp_path / "m.onnx")
    assert model.target.name == "diffquant" and list(model.graph.outputs) == ["output"]
    for n in (1, 3):
        assert model.run(x[:n].numpy()).outputs["output"].real.shape == (n, 5)


def test_errors_are_of_this_project() -> None:
    assert (
        issubclass(UnusableInput, IntsimError)
        and np.dtype(np.int8) == training.quantize(linear(images(1)), calibration=images(2)).codes(images(1))["1"].dtype
    )
