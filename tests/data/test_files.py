"""Cells of text as values, and texts as cells that are safe to open."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decider.data.files import read_rows, spelled, typed
from decider.errors import DataError
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
        (field("number"), "NaN", "NaN"),
        (field("tags", "a"), '["\\ud800"]', ['["\\ud800"]']),
        (field("other"), "[" * 100_000, "[" * 100_000),
        (field("tags", "a", "b"), '["a", "b"]', ["a", "b"]),
        (field("tags", 1, 2), "1, 2,", [1, 2]),
        (field("other"), '{"a": 1}', {"a": 1}),
        (field("other"), "{broken", "{broken"),
        (field("other"), "12", "12"),
        (field("text"), "12", "12"),
        (field("text"), 12, 12),
        (field("choice", "a", optional=True), "null", None),
        (field("choice", "null", optional=True), "null", "null"),
        (field("choice", "a"), "null", "null"),
        (field("text", optional=True), "null", "null"),
        (field("date"), "2024-02-29 00:00:00", "2024-02-29"),
        (field("date"), datetime(2024, 2, 29), "2024-02-29"),  # noqa: DTZ001  # as tables have it
        (field("date"), "2024-02-29T00:01", "2024-02-29T00:01"),
        (field("date"), datetime(2024, 2, 29, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)),
        (field("text"), "2024-02-29T00:00:00", "2024-02-29T00:00:00"),
        (field("number"), Decimal("1.50"), 1.5),
        (field("integer"), Decimal("99999999999999999999.0"), 99999999999999999999),
        (field("text"), Decimal("1.50"), Decimal("1.50")),
    ],
)
def test_a_cell_becomes_what_its_field_has(one: Field, cell: Any, value: Any) -> None:
    assert typed(one, cell) == value
    assert type(typed(one, cell)) is type(value)


@given(st.text(alphabet="'=+-@\t\0 ab1.e"))
def test_every_text_is_read_back_as_it_was_and_none_is_a_formula(text: str) -> None:
    cell = spelled(text)
    file = io.StringIO()
    csv.writer(file).writerows([["x", "y"], [cell, "end"]])
    (row,) = read_rows(io.BytesIO(file.getvalue().encode()), "csv", "rows.csv")
    assert row.value["x"] == text
    assert not cell.startswith(("=", "@", "\t", "\0"))


def test_two_columns_of_one_name_are_refused_in_parquet_as_in_csv() -> None:
    file = io.BytesIO()
    pq.write_table(pa.table([pa.array(["a"]), pa.array(["b"])], names=["x", "x"]), file)
    with pytest.raises(DataError, match="rows.parquet: has two columns 'x'; rename one"):
        list(read_rows(file, "parquet", "rows.parquet"))
