from __future__ import annotations

import numpy as np

from intsim.comparison import compare
from intsim.comparison.peers import open_peer
from tests.comparison.networks import NAMES, classifier, stimulus, tensors_of

MODEL = classifier()


def test_the_kernels_are_equal_to_it() -> None:
    found = compare(MODEL, "spec", stimulus(20))
    assert found.equal
    assert [layer.name for layer in found.layers] == NAMES
    assert found.unmatched == ()
    assert found.against == "spec"


def test_it_gives_the_codes_of_every_tensor() -> None:
    x = stimulus()
    tensors = open_peer("spec", MODEL).tensors({"x": x}, 0)
    for name, codes in tensors_of(MODEL, x).items():
        np.testing.assert_array_equal(tensors[name], codes, strict=True)
