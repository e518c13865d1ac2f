from __future__ import annotations

import json

import numpy as np
import pytest

from intsim.comparison import Comparison, TensorDifference
from intsim.errors import UnusableInput


def difference(name: str, *ours: int) -> TensorDifference:
    """A tensor whose peer has zeros."""
    made = TensorDifference(name, "Conv")
    made.add(np.zeros((1, len(ours)), np.int8), np.array([ours], np.int8), 0, 1)
    return made


def comparison(*layers: TensorDifference, **changes: object) -> Comparison:
    arguments = {"model": "net", "target": "diffquant", "against": "spec", "images": 1, "isolated": False}
    return Comparison(**{**arguments, "layers": layers, **changes})  # type: ignore[arg-type]


EQUAL = comparison(difference("a", 0, 0), difference("b", 0))


def different() -> Comparison:
    b = difference("b", 0, 1, 0, -2)
    b.local, b.causes["tie"] = 1, 1
    c = difference("c", 0, 0, 5)
    c.local = 0
    accuracy = {"top1": 0.75, "peer_top1": 0.5, "agreement": 0.875, "cd": 0.125}
    return comparison(difference("a", 0, 0), b, c, unmatched=("d",), resumed=("e", "f"), accuracy=accuracy)


def test_equal() -> None:
    assert EQUAL.equal
    assert EQUAL.first is None
    assert (EQUAL.compared, EQUAL.elements, EQUAL.mismatches) == (2, 3, 0)
    assert EQUAL.summary() == "net (diffquant) against spec: equal, 2 of 2 tensors, 3 codes, 1 image"
    assert EQUAL.remarks() == []


def test_different() -> None:
    found = different()
    assert not found.equal
    assert found.first == "b"
    assert (found.compared, found.elements, found.mismatches) == (3, 9, 3)
    assert found.causes == {"tie": 1}
    assert found.summary() == (
        "net (diffquant) against spec: 3 of 9 codes differ (33.333%), 3 of 6 tensors, 1 image, first in b"
    )
    assert found.remarks() == [
        "not in spec: d",
        "taken from spec after float arithmetic that is not exact: e, f",
        "top-1 75.00%, peer's top-1 50.00%, agreement 87.50%, CD 12.50%",
    ]


def test_the_rows_of_the_table() -> None:
    rows = different().rows()
    assert rows[1] == ("b", "Conv", "4", "2", "1", "2", "-2: 1, +1: 1", "[0, 1]: 0 -> 1", "tie 1")
    assert rows[0] == ("a", "Conv", "2", "0", "", "0", "", "", "")
    assert [row[0] for row in different().rows(all_layers=False)] == ["b", "c"]
    assert all(len(row) == len(Comparison.HEADERS) for row in rows)


def test_a_long_histogram_shows_the_commonest() -> None:
    (row,) = comparison(difference("a", 1, 1, 2, 3, 3, 4, 5, -6, -6)).rows()
    assert row[6] == "-6: 2, +1: 2, +2: 1, +3: 2, +4: 1, …"


def test_the_table_as_text() -> None:
    lines = different().table().splitlines()
    assert lines[0] == different().summary()
    assert lines[1].split()[:3] == ["tensor", "op", "elements"]
    assert len(lines) == 1 + 1 + 3 + 3


def test_a_long_table_is_shorter_than_a_screen() -> None:
    layers = [difference(f"t{i}", int(i % 2)) for i in range(90)]
    found = comparison(*layers, unmatched=("d",))
    lines = found.table().splitlines()
    assert len(lines) == 24
    assert lines[-2] == "… and 25 that differ and 45 equal; table(all_layers=True) shows every layer"
    assert [line.split()[0] for line in lines[2:-2]] == [f"t{i}" for i in range(1, 40, 2)]
    assert len(found.table(all_layers=True).splitlines()) == 2 + 90 + 1
    assert found._repr_html_().count("<tr>") == 1 + 20


def test_what_a_notebook_shows_is_escaped() -> None:
    shown = comparison(difference("<script>", 1), model="a&b")._repr_html_()
    assert "&lt;script&gt;" in shown and "<script>" not in shown and "a&amp;b" in shown


def test_the_repr_is_one_line() -> None:
    assert repr(EQUAL) == f"Comparison({EQUAL.summary()})"


def test_the_document() -> None:
    document = json.loads(json.dumps(different().to_dict()))
    assert set(document) == {
        *("model", "target", "against", "images", "isolated", "equal", "compared", "elements", "mismatches"),
        *("unmatched", "resumed", "first", "causes", "accuracy", "layers"),
    }
    assert (document["equal"], document["compared"], document["first"]) == (False, 3, "b")
    assert document["unmatched"] == ["d"]
    assert [(entry["name"], entry["mismatches"]) for entry in document["layers"]] == [("a", 0), ("b", 2), ("c", 1)]
    assert {"name", "elements", "mismatches", "max_difference"} <= set(document["layers"][0])
    assert EQUAL.to_dict()["first"] is None


@pytest.mark.parametrize("layers", [(), (TensorDifference("a"),)])
def test_nothing_compared_is_not_equal(layers: tuple[TensorDifference, ...]) -> None:
    with pytest.raises(UnusableInput, match=r"nothing to compare: spec has none .* \(b, c\)$") as error:
        comparison(*layers, unmatched=("b", "c"))
    assert error.value.exit_code == 2
