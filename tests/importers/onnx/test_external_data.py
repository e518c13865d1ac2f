from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from intsim.errors import MalformedGraph
from intsim.importers import load_graph
from tests.importers.onnx.models import small_cnn

WEIGHTS = 3 * 2 * 3 * 3


def saved(folder: Path, location: str, **entries: Any) -> Path:
    """The small network with its int8 weights (54 bytes) in another file."""
    model = small_cnn()
    tensor = next(t for t in model.graph.initializer if t.name == "w")
    values = onnx.numpy_helper.to_array(tensor)
    tensor.ClearField("int32_data")
    tensor.ClearField("raw_data")
    outside(tensor, {"location": location, **entries})
    (folder / "w.bin").write_bytes(b"PAD!" + values.tobytes() + b"rest")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


def outside(tensor: TensorProto, entries: Mapping[str, Any]) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))


@pytest.mark.parametrize("entries", [{"offset": 4, "length": WEIGHTS}, {"offset": 4}])
def test_data_beside_the_model(tmp_path: Path, entries: dict[str, Any]) -> None:
    expected = load_graph(small_cnn()).constants["w"]
    np.testing.assert_array_equal(load_graph(saved(tmp_path, "w.bin", **entries)).constants["w"], expected)


def test_data_in_a_folder_below_the_model(tmp_path: Path) -> None:
    path = saved(tmp_path, "data/w.bin", offset=4, length=WEIGHTS)
    (tmp_path / "data").mkdir()
    (tmp_path / "w.bin").rename(tmp_path / "data" / "w.bin")
    assert load_graph(path).constants["w"].shape == (3, 2, 3, 3)


def test_the_model_itself_may_be_a_link(tmp_path: Path) -> None:
    """Only the way from the model's folder to its data is checked."""
    (tmp_path / "real").mkdir()
    saved(tmp_path / "real", "w.bin", offset=4)
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    assert load_graph(tmp_path / "linked" / "model.onnx").nodes


@pytest.mark.parametrize(
    "location",
    [
        "../w.bin",
        "data/../../w.bin",
        "/etc/passwd",
        "C:\\w.bin",
        "C:w.bin",
        "..\\w.bin",
        "\\\\host\\w.bin",
        "",
        ".",
        "a\0b",
    ],
)
def test_places_outside_the_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(99))
    (tmp_path / "model").mkdir()
    with pytest.raises(MalformedGraph, match="must be a relative path below the model's folder"):
        load_graph(saved(tmp_path / "model", location))


def test_an_absolute_path_into_the_folder_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(MalformedGraph, match="must be a relative path"):
        load_graph(saved(tmp_path, str(tmp_path / "w.bin"), offset=4))


def test_links(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "w.bin").write_bytes(bytes(99))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(secret / "w.bin")
    (folder / "link").symlink_to(secret)
    (folder / "inside.bin").symlink_to(folder / "w.bin")
    for location in ("link.bin", "link/w.bin", "inside.bin"):
        with pytest.raises(MalformedGraph, match=f"'w': external data at '{location}' is reached through a link"):
            load_graph(saved(folder, location, offset=4))


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "data").mkdir()
    for location in ("pipe", "data"):
        with pytest.raises(MalformedGraph, match="is not a regular file"):
            load_graph(saved(tmp_path, location))
    with pytest.raises(MalformedGraph, match="cannot be read: No such file"):
        load_graph(saved(tmp_path, "nothing.bin"))


@pytest.mark.parametrize(
    "entries,message",
    [
        ({"offset": 40}, "bytes 40 to 94 of 'w.bin', which has only 62"),
        ({"offset": 10**15}, "which has only 62"),
        ({"length": 10**15}, "external length is 1000000000000000 bytes, but its shape needs 54"),
        ({"length": 53}, "external length is 53 bytes, but its shape needs 54"),
        ({"offset": -4}, "external offset must be a whole number of bytes, not '-4'"),
        ({"offset": "4.0"}, "external offset must be a whole number"),
        ({"offset": "9" * 5000}, "external offset must be a whole number"),
        ({"length": "²"}, "external length must be a whole number"),
    ],
)
def test_regions_that_do_not_fit(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedGraph, match=f"initializer 'w': .*{message}"):
        load_graph(saved(tmp_path, "w.bin", **entries))


def test_a_shape_that_claims_terabytes(tmp_path: Path) -> None:
    path = saved(tmp_path, "w.bin")
    model = onnx.load(path, load_external_data=False)
    next(t for t in model.graph.initializer if t.name == "w").dims[:] = [2**40, 2**20, 1, 1]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(MalformedGraph, match="which has only 62"):
        load_graph(path)


def test_tensors_may_share_a_region_but_not_overlap(tmp_path: Path) -> None:
    path = saved(tmp_path, "w.bin", offset=4)
    model = onnx.load(path, load_external_data=False)
    for name, offset in (("same", 4), ("shifted", 5)):
        tensor = model.graph.initializer.add(name=name, dims=[WEIGHTS], data_type=TensorProto.INT8)
        outside(tensor, {"location": "w.bin", "offset": offset})
        path.write_bytes(model.SerializeToString())
        if name == "same":
            assert load_graph(path).nodes
    with pytest.raises(MalformedGraph, match="initializer 'shifted': overlaps with other tensors"):
        load_graph(path)


def test_a_model_given_as_bytes_has_no_folder(tmp_path: Path) -> None:
    path = saved(tmp_path, "w.bin", offset=4)
    for source in (path.read_bytes(), onnx.load(path, load_external_data=False)):
        with pytest.raises(MalformedGraph, match="the model was given as bytes: give its path"):
            load_graph(source)
