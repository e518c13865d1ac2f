from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import intsim
from tests.cli.conftest import IMAGES, Cli, Files
from tests.cli.small_model import small_images


def test_declared_worst_case_and_proved(cli: Cli, files: Files) -> None:
    done = cli("ranges", files.model)
    assert (done.code, done.err) == (0, "")
    assert " ".join(done.out.splitlines()[1].split()) == "tensor op declared worst case proved smallest safe"
    assert "no input can overflow any of them" in done.out


def test_observed(cli: Cli, files: Files) -> None:
    layers = cli("ranges", files.model, "--input", files.codes, "--json").json["layers"]
    taps = intsim.load(files.model).run(small_images(IMAGES), taps=["accumulator"]).taps
    assert [layer["name"] for layer in layers] == list(taps) == ["conv1_q", "conv2_q", "fc_q"]
    for layer, tap in zip(layers, taps.values(), strict=True):
        assert tap.accumulator is not None
        assert (layer["low"], layer["high"]) == (tap.accumulator.min(), tap.accumulator.max())
        assert -(2 ** (layer["observed"] - 1)) <= layer["low"] <= layer["high"] < 2 ** (layer["observed"] - 1)
        assert layer["observed"] <= layer["proved"] <= layer["worst_case"] <= layer["declared"]
        assert layer["proved_low"] <= layer["low"] and layer["high"] <= layer["proved_high"]


def test_the_worst_case_is_that_of_the_formats(cli: Cli, files: Files) -> None:
    layer = cli("ranges", files.model, "--json").json["layers"][1]
    # 4 channels of 3 x 3 products of two int8 codes, and a bias of at most 2000
    largest = 4 * 3 * 3 * 128 * 128 + 2000
    assert layer["worst_case"] == largest.bit_length() + 1 == 21


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_what_can_overflow(cli: Cli, files: Files, tmp_path: Path, overflow: str) -> None:
    (tmp_path / "narrow.toml").write_text(f'accumulator_bits = 13\noverflow = "{overflow}"\n')
    done = cli("ranges", files.model, "--input", files.codes, "--target", "narrow.toml")
    assert done.code == 0 and f"can overflow ({overflow}): conv1_q, conv2_q, fc_q" in done.out
    layers = cli("ranges", files.model, "--input", files.codes, "--target", "narrow.toml", "--json").json["layers"]
    result = intsim.load(files.model, tmp_path / "narrow.toml").run(small_images(IMAGES))
    assert {layer["name"]: layer["overflows"] for layer in layers if layer["overflows"]} == dict(result.overflows)
    assert np.sum([layer["overflows"] for layer in layers]) > 0


def test_tree_spill_and_bias(cli: Cli, files: Files, tmp_path: Path) -> None:
    """Each adder's bits, and what a bias of few bits costs in LSB of the accumulator."""
    (tmp_path / "tree.toml").write_text(
        'lanes = 2\ntree_bits = 12\ntree_overflow = "saturate"\nchannels_per_pass = 1\nspill_bits = 24\n'
    )
    done = cli("ranges", files.model, "--target", "tree.toml")
    assert "tree, bits proved and declared: conv1_q " in done.out and "/12" in done.out
    assert "spill, bits proved and declared: conv1_q " in done.out and "/24" in done.out
    assert "can overflow" in done.out
    for layer in cli("ranges", files.model, "--target", "tree.toml", "--json").json["layers"]:
        assert layer["tree"]["declared"] == 12 < layer["tree"]["proved"] <= layer["proved"]
        assert layer["spill"] == {"declared": 24, "proved": layer["spill"]["proved"]}
        assert not layer["cannot_overflow"]
        assert layer["smallest_safe"] == layer["proved"] == max(layer["proved_by_channel"])
        assert layer["proved"] <= layer["worst_case"]
        assert layer["bias_error"] >= 0
