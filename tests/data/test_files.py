"""Cells of text as values, and texts as cells that are safe to open."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decider.data.files import read_rows, spelled, typed
from decider.schema import Field, Option


def field(kind: Any, *labels: Any, optional: bool = False) -> Field:
    return Field(path="x", kind=kind, options=tuple(Option(value=one) for one in labels), optional=optional)


@pytest.mark.parametrize(
    ("one", "cell", "value"),
    [
        (field("choice", 1, 2), "2", 2),
        (field("choice", 1, 2), "3", "3"),
        (field("choice", "a", optional=True), "", None),
        (field("choice", "a"), "", ""),
        (field("scale", 1, 2), "9", 9),
        (field("bool", True, False), "TRUE", True),
        (field("number"), "1.5", 1.5),
        (field("integer"), "many", "many"),
        (field("tags", "a", "b"), '["a", "b"]', ["a", "b"]),
        (field("tags", 1, 2), "1, 2,", [1, 2]),
        (field("other"), '{"a": 1}', {"a": 1}),
        (field("other"), "{broken", "{broken"),
        (field("other"), "12", "12"),
        (field("text"), "12", "12"),
        (field("text"), 12, 12),
    ],
)
def test_a_cell_becomes_what_its_field_has(one: Field, cell: Any, value: Any) -> None:
    assert typed(one, cell) == value
    assert type(typed(one, cell)) is type(value)


@given(st.text(alphabet="'=+-@\t ab1.e"))
def test_every_text_is_read_back_as_it_was_and_none_is_a_formula(text: str) -> None:
    cell = spelled(text)
    file = io.StringIO()
    csv.writer(file).writerows([["x", "y"], [cell, "end"]])
    (row,) = read_rows(io.BytesIO(file.getvalue().encode()), "csv", "rows.csv")
    assert row.value["x"] == text
    assert not cell.startswith(("=", "@", "\t"))
