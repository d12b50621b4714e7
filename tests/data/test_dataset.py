"""Datasets from JSONL and CSV: every row checked, every bad one named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from decider.data.dataset import Dataset
from decider.errors import DataError
from decider.task import Task


class Lead(BaseModel):
    job: str
    age: int | None = None


class Scored(BaseModel):
    score: Literal["hot", "cold"]
    vip: bool
    tags: list[Literal["a", "b"]] | None


ROWS = [
    {
        "id": 7,
        "input": {"job": "nurse", "age": 3},
        "output": {"score": "hot", "vip": True, "tags": ["a"]},
        "source": "crm",
    },
    {"input": {"job": "pilot"}, "output": {"score": "cold", "vip": False, "tags": None}, "split": "test"},
]


def scored(**keys: Any) -> Task[Scored]:
    return Task(Scored, name="leads", input=Lead, **keys)


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("\ufeff" + "\n\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def test_jsonl_rows_become_examples_in_order(tmp_path: Path) -> None:
    data = Dataset.load(jsonl(tmp_path / "rows.jsonl", ROWS), scored())
    assert len(data) == 2
    assert [one.id for one in data] == ["7", "2"]
    assert (data[0].source, data[1].split) == ("crm", "test")
    assert data[1].input == {"job": "pilot", "age": None}
    assert isinstance(data[:1], Dataset)
    assert data.fingerprint == Dataset.of(ROWS, scored()).fingerprint
    assert data[:1].fingerprint != data.fingerprint


def test_flat_rows_are_mapped_by_the_columns_of_the_spec(tmp_path: Path) -> None:
    columns = {"input": {"job": "Job"}, "output": {"score": "Score"}, "id": "nr"}
    task = scored(data={"columns": columns, "group": "team"})
    rows = [
        {"nr": 5, "Job": "nurse", "age": 3, "Score": "hot", "vip": True, "tags": ["b", "a"], "team": "x", "more": 1}
    ]
    (one,) = Dataset.load(jsonl(tmp_path / "rows.jsonl", rows), task)
    assert (one.id, one.group) == ("5", "x")
    assert one.input == {"job": "nurse", "age": 3}
    assert one.output == {"score": "hot", "vip": True, "tags": ["b", "a"]}


def test_csv_cells_become_what_their_fields_are(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(
        'job,age,score,vip,tags\n"nurse, night",,hot,TRUE,"a, b"\npilot,44,cold,false,\n'
    )
    data = Dataset.load(tmp_path / "rows.csv", scored())
    assert data[0].input == {"job": "nurse, night", "age": None}
    assert data[0].output == {"score": "hot", "vip": True, "tags": ["a", "b"]}
    assert data[1].input == {"job": "pilot", "age": 44}
    assert data[1].output["tags"] is None


def test_a_csv_of_one_text(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("body,score,vip,tags\nhello,hot,true,a\n")
    task = Task(Scored, name="t", data={"columns": {"input": "body"}})
    assert Dataset.load(tmp_path / "rows.csv", task)[0].input == "hello"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("nowhere.jsonl", None, "there is no such file"),
        ("rows.xlsx", b"x", "cannot read .xlsx; use .jsonl, .csv or .parquet"),
        ("rows", b"x", "cannot read a file without an ending"),
        ("rows.jsonl", b"", "holds no rows"),
        ("rows.jsonl", b"{", "row 1: is not JSON: EOF"),
        ("rows.jsonl", b"[1]", "rows.jsonl:1: 1 of 1 rows do not fit\n  row 1: is not a JSON object"),
        ("rows.jsonl", b"\xff", "is not UTF-8"),
        ("rows.csv", b"job,score\nx\n", "row 1: has more or fewer cells than the header"),
        ("rows.csv", b"job,score\nx,hot\n", "rows.csv:1: has no column 'vip'; columns: job, score"),
        ("rows.csv", b"job,age,score,vip,tags\nx,old,hot,true,\n", "row 1: age: Input should be a valid integer"),
        (
            "rows.jsonl",
            b'{"input": "x", "output": {}, "labels": 1}',
            "row 1: labels: is no key of a row; known are at, by, group, id, input, output",
        ),
        ("rows.jsonl", b'{"input": {"job": "x"}, "output": {}}', "row 1: score: Field required; vip: Field required"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        Dataset.load(tmp_path / name, scored())
    assert says in str(caught.value)
    assert name in str(caught.value)


def test_the_first_bad_rows_are_listed_and_the_rest_counted() -> None:
    bad = {"input": {"job": "x"}, "output": {"score": "warm", "vip": True, "tags": None}}
    with pytest.raises(DataError) as caught:
        Dataset.of([ROWS[0], *[bad] * 7, {**ROWS[0], "input": {"job": 3}}], scored())
    lines = str(caught.value).splitlines()
    assert lines[0] == "2: 8 of 9 rows do not fit"
    assert "  row 2: score: Input should be 'hot' or 'cold' (found 'warm'" in lines[1]
    assert len(lines) == 6


def test_no_rows_are_no_dataset() -> None:
    with pytest.raises(DataError, match="holds no rows"):
        Dataset.of([], scored())
