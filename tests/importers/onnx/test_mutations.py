"""Files and graphs with something random wrong only ever raise our errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from onnx import ModelProto

from intsim.errors import IntsimError
from intsim.importers import load_graph
from tests.mutations import NETWORKS, changed, mutated


def outcomes(models: Sequence[bytes]) -> dict[str, int]:
    """How many load and how many are refused; any other error ends the test."""
    result = {"loads": 0, "refused": 0}
    for data in models:
        try:
            load_graph(data)
            result["loads"] += 1
        except IntsimError as error:
            assert "\n" not in str(error)
            result["refused"] += 1
    return result


@pytest.mark.parametrize("make", NETWORKS)
def test_mutated_files(make: Callable[[], ModelProto]) -> None:
    data = make().SerializeToString()
    found = outcomes([mutated(data, seed) for seed in range(300)])
    assert found["refused"] > 150
    assert found["loads"] > 5


@pytest.mark.parametrize("make", NETWORKS)
def test_mutated_graphs(make: Callable[[], ModelProto]) -> None:
    """The file parses, but one or more of its fields make no sense: deeper checks must hold."""
    found = outcomes([changed(make, seed).SerializeToString() for seed in range(400)])
    assert found["refused"] > 100
    assert found["loads"] > 20
