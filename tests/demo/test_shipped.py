"""The files that the demo ships fit together."""

from __future__ import annotations

import numpy as np
import pytest

import intsim
from intsim import demo
from intsim.demo.digests import BLOCK, block_digests
from intsim.files import read_array, read_arrays
from intsim.quantization import quantize_model
from intsim.vectors import Manifest, read_manifest

IMAGES = 512


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return read_manifest(demo.golden())


def test_the_images() -> None:
    images = read_arrays(demo.images())
    assert (images["x"].shape, images["x"].dtype) == ((IMAGES, 1, 28, 28), np.int8)
    assert (images["y"].shape, set(images["y"].tolist())) == ((IMAGES,), set(range(10)))
    assert (images["calibration"].shape, images["calibration"].dtype) == ((256, 1, 28, 28), np.float16)
    codes = images["calibration"].astype(np.float64) * 128
    assert np.array_equal(codes, np.round(codes)) and codes.min() == -128


def test_the_model_is_what_intsim_quantize_makes() -> None:
    made = quantize_model(demo.float_model(), read_arrays(demo.images())["calibration"])
    assert made.model.SerializeToString(deterministic=True) == demo.quantized_model().read_bytes()


def test_the_model_only_shifts() -> None:
    model = intsim.load(demo.quantized_model())
    assert model.target.name == "diffquant"
    assert all(layer.exact for layer in model.lowered.layers)


def test_the_golden_vectors_belong_to_the_model(manifest: Manifest) -> None:
    model = intsim.load(demo.quantized_model())
    assert (manifest.digest, manifest.target) == (model.graph.digest, model.target)
    assert set(manifest.tensors) == set(manifest.taps) == set(model.run(np.zeros((1, 1, 28, 28)), ["codes"]).taps)
    for record in manifest.taps.values():
        assert (record["images"], record["block"], len(record["sha256"])) == (IMAGES, BLOCK, IMAGES // BLOCK)


def test_the_golden_vectors_are_the_spec_s(manifest: Manifest) -> None:
    x = read_arrays(demo.images())["x"]
    last = IMAGES - BLOCK
    for first, block in ((0, 0), (last, last // BLOCK)):
        result = intsim.load(demo.quantized_model()).run(x[first : first + BLOCK], taps=["codes"], engine="spec")
        for name, tap in result.taps.items():
            assert tap.codes is not None
            assert block_digests(tap.codes, BLOCK) == [manifest.taps[name]["sha256"][block]]
            if first == 0:
                assert np.array_equal(manifest.read(name), tap.codes[: manifest.images])


def test_the_float_logits_are_the_float_model_s() -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(demo.float_model(), providers=["CPUExecutionProvider"])
    x = read_arrays(demo.images())["x"][:64].astype(np.float32) / 128
    [logits] = session.run(None, {"image": x})
    recorded = read_array(demo.float_logits())
    assert recorded.shape == (IMAGES, 10)
    assert np.allclose(recorded[:64], logits, atol=1e-3)  # another CPU sums in another order


def test_what_is_shipped_is_small() -> None:
    assert sum(path.stat().st_size for path in demo.golden().iterdir()) < 400_000
