from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intsim.comparison import compare
from intsim.errors import UnusableInput
from intsim.formats import Format
from intsim.vectors import Recorded, write_manifest
from tests.comparison.networks import H, classifier, planted, stimulus, tensors_of

MODEL = classifier()
Array = np.ndarray[Any, Any]


def record(folder: Path, tensors: dict[str, Array], images: int, **formats: Format | None) -> Path:
    """A folder as `intsim run` or the hardware's owner writes it."""
    known = {**MODEL.lowered.values, **formats}
    recorded = {name: Recorded(array, known.get(name)) for name, array in tensors.items()}
    write_manifest(folder, recorded, model="classifier", digest=MODEL.graph.digest, target=MODEL.target, images=images)
    return folder


@pytest.mark.parametrize("kind", ["golden", "dump"])
def test_what_was_recorded_is_equal(kind: str, tmp_path: Path) -> None:
    x = stimulus(20)
    folder = record(tmp_path / "recorded", tensors_of(MODEL, x), 20)
    found = compare(MODEL, f"{kind}:{folder}", x)
    assert found.equal
    assert (found.compared, found.unmatched, found.images) == (5, (), 20)
    assert found.against == str(folder)


def test_a_planted_change_is_found_where_it_is(tmp_path: Path) -> None:
    x = stimulus(20)
    tensors = tensors_of(MODEL, x)
    tensors["second"] = planted(tensors["second"], 17, 2, 3, 0, by=-1)
    found = compare(MODEL, f"dump:{record(tmp_path / 'dump', tensors, 20)}", x)
    assert not found.equal
    assert found.first == "second"
    (second,) = [layer for layer in found.layers if layer.mismatches]
    assert (second.mismatches, second.max_difference, second.local) == (1, 1, 1)
    assert second.first is not None
    assert second.first.coordinate == (17, 2, 3, 0)
    assert second.first.actual - second.first.expected == 1
    assert found.causes.total() == 1


def test_the_first_of_the_recorded_images_may_be_given(tmp_path: Path) -> None:
    x = stimulus(20)
    folder = record(tmp_path / "recorded", tensors_of(MODEL, x), 20)
    assert compare(MODEL, f"golden:{folder}", x[:7]).equal


def test_more_images_than_recorded_are_refused(tmp_path: Path) -> None:
    folder = record(tmp_path / "recorded", tensors_of(MODEL, stimulus(3)), 3)
    with pytest.raises(UnusableInput, match="records 3 images, the input has more"):
        compare(MODEL, f"golden:{folder}", stimulus(4))


def test_another_stimulus_is_refused(tmp_path: Path) -> None:
    x = stimulus(3)
    folder = record(tmp_path / "recorded", tensors_of(MODEL, x), 3)
    with pytest.raises(UnusableInput, match="was recorded from another input 'x'"):
        compare(MODEL, f"golden:{folder}", planted(x, 0, 0, 0, 0))


def test_some_tensors_are_enough_the_others_are_named(tmp_path: Path) -> None:
    x = stimulus(3)
    tensors = tensors_of(MODEL, x)
    folder = record(tmp_path / "recorded", {"scores": tensors["scores"]}, 3)
    found = compare(MODEL, f"golden:{folder}", x)
    assert found.equal
    assert found.unmatched == ("x", "first", "second", "mean")


def test_foreign_tensors_alone_are_nothing_to_compare(tmp_path: Path) -> None:
    folder = record(tmp_path / "recorded", {"other": stimulus(3)}, 3, other=H)
    with pytest.raises(UnusableInput, match="nothing to compare"):
        compare(MODEL, f"golden:{folder}", stimulus(3))


def test_codes_of_another_format_are_refused(tmp_path: Path) -> None:
    """Equal codes that mean other reals are not equal."""
    x = stimulus(3)
    folder = record(tmp_path / "recorded", tensors_of(MODEL, x), 3, first=Format(8, scale=(2.0**-2,)))
    with pytest.raises(UnusableInput, match=r"tensor 'first' was recorded as i8 x 2\*\*-2, the model has i8 x 2\*\*-3"):
        compare(MODEL, f"golden:{folder}", x)


def test_rows_that_do_not_divide_among_the_images_are_refused(tmp_path: Path) -> None:
    folder = record(tmp_path / "recorded", {"scores": stimulus(5)[:, :, 0, 0]}, 3)
    with pytest.raises(UnusableInput, match=r"tensor 'scores' of shape \[5, 3\] cannot be that of 3 images"):
        compare(MODEL, f"golden:{folder}", stimulus(3))


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    x = stimulus(3)
    folder = record(tmp_path / "recorded", tensors_of(MODEL, x), 3)
    path = folder / "first.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnusableInput, match="sha256 is not the recorded one"):
        compare(MODEL, f"golden:{folder}", x)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="manifest"):
        compare(MODEL, f"dump:{tmp_path}", stimulus(3))
