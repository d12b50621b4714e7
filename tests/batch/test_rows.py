"""Rows of JSONL, CSV, Parquet and streams: read lazily, named when they are bad, the same when they come again."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from decider.batch.rows import Ids, Row, Rows
from decider.batch.scan import scan
from decider.errors import DataError
from decider.task import Task


class Route(BaseModel):
    team: Literal["billing", "login"]


class Customer(BaseModel):
    name: str
    vip: bool | None = None


class Ticket(BaseModel):
    subject: str
    customer: Customer
    tier: int | None = None
    tags: list[Literal["a", "b"]] | None = None


class Note(BaseModel):
    title: str | None = None
    body: str


def task(given: type[BaseModel] | None = None, **columns: Any) -> Task[Route]:
    return Task(Route, name="t", input=given, data={"columns": columns})


def rows(path: Path, one: Task[Any] | None = None, **more: Any) -> Rows:
    return Rows(one or task(), path, path.parent, **more)


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(path: Path, columns: Mapping[str, Any]) -> Path:
    pq.write_table(pa.table(dict(columns)), path, row_group_size=2)
    return path


def test_jsonl_rows_are_wrapped_flat_or_bare_texts(tmp_path: Path) -> None:
    lines = [
        '\ufeff{"input": "a", "id": 7, "output": {"team": "login"}, "split": "test"}',
        "",
        '{"text": "b", "customer": "x"}\r',
        '"c"',
        '{"body": "d"}',
        '{"id": "", "body": "e"}',
    ]
    found = list(rows(written(tmp_path, "in.jsonl", "\n".join(lines))))
    assert [(row.n, row.id, row.input) for row in found] == [
        (1, "7", "a"), (2, "2", "b"), (3, "3", "c"), (4, "4", "d"), (5, "5", "e"),
    ]  # fmt: skip
    assert found[1].columns == {"text": "b", "customer": "x"}
    assert found[2].columns == {}
    assert all(row.problem is None for row in found)


def test_a_mark_tells_whether_a_row_is_the_same(tmp_path: Path) -> None:
    def marks(content: str) -> list[int]:
        return [row.mark for row in rows(written(tmp_path, "in.jsonl", content))]

    first, second = marks('{"text": "a", "more": 1}\n"b"\n')
    assert marks('{"text": "a", "more": 2}\n"b"') == [first, second]
    assert marks('"x"\n{"input": "a", "id": 1}') != [first, second]
    assert len({first, second, *marks('{"text": "a", "id": 9}\n"c"')}) == 4


BAD_LINES = [
    ('{"input": ', "is not JSON: EOF while parsing"),
    ('{"input": "a\x00b"}', "is not JSON: control character"),
    ('{"input": "\\ud800"}', "is not JSON"),
    ('{"input": NaN}', "is not JSON"),
    ("[" * 5000, "is not JSON: recursion limit"),
    ('{"a": 1, "b": 2}', "has no column 'text'; its columns: a, b"),
    ('{"input": "a", "id": true}', "its id is neither a text nor a number"),
    ('{"input": "a", "id": [1]}', "its id is neither a text nor a number"),
]


@pytest.mark.parametrize(("line", "says"), BAD_LINES, ids=[says for _, says in BAD_LINES])
def test_a_bad_line_is_a_row_with_a_problem(tmp_path: Path, line: str, says: str) -> None:
    good, bad, after = rows(written(tmp_path, "in.jsonl", f'"good"\n{line}\n"after"\n'))
    assert (good.problem, after.problem) == (None, None)
    assert says in (bad.problem or "")
    assert (bad.n, bad.id, after.n) == (2, "2", 3)


def test_what_is_no_input_at_all_is_left_to_the_task(tmp_path: Path) -> None:
    found = list(rows(written(tmp_path, "in.jsonl", "[1]\nnull\n3\n{}\n")))
    assert [(row.input, row.problem) for row in found] == [([1], None), (None, None), (3, None), ({}, None)]


def test_the_spec_names_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "in.csv", "nr,body,text\n5,a,no\n,b,no\n")
    named = task(input="body", id="nr")
    assert [(row.id, row.input) for row in rows(path, named)] == [("5", "a"), ("2", "b")]
    by_field = task(input={"text": "body"})
    assert [row.input for row in rows(path, by_field)] == ["a", "b"]
    (bad, _) = rows(path, task(id="number"))
    assert bad.problem == "has no column 'number', which data.columns.id names; its columns: nr, body, text"


def test_csv_cells_become_what_their_fields_are(tmp_path: Path) -> None:
    head = "subject,customer.name,customer.vip,tier,tags\n"
    path = written(tmp_path, "in.csv", head + '"a\r\nb",Ann,TRUE,3,"a, b"\n\nc,Bob,,,\nd,Cy,maybe,x,\n')
    one, two, three = rows(path, task(Ticket))
    assert one.input == {"subject": "a\r\nb", "customer": {"name": "Ann", "vip": True}, "tier": 3, "tags": ["a", "b"]}
    assert two.input == {"subject": "c", "customer": {"name": "Bob", "vip": None}, "tier": None, "tags": None}
    assert three.input["tier"] == "x"


def test_fields_may_be_missing_where_they_are_optional(tmp_path: Path) -> None:
    path = written(tmp_path, "in.jsonl", '{"subject": "a", "customer": {"name": "Ann"}}\n{"subject": "b"}\n')
    one, two = rows(path, task(Ticket))
    assert one.input == {"subject": "a", "customer": {"name": "Ann"}}
    assert two.problem == "has no column 'customer.name'; its columns: subject"


def test_a_column_is_named_for_the_only_text_of_an_input(tmp_path: Path) -> None:
    path = written(tmp_path, "in.csv", "message,input\nhello,x\n")
    assert [row.input for row in rows(path, task(Note, input="message"))] == [{"body": "hello"}]
    (row,) = rows(path, task(Ticket, input="message"))
    assert row.problem == "has no column 'customer.name'; its columns: message, input"
    wrapped = written(tmp_path, "in.jsonl", '{"input": {"body": "b"}}\n{"message": "m", "input": "x"}\n')
    assert [row.input for row in rows(wrapped, task(Note, input="message"))] == [{"body": "b"}, {"body": "m"}]


def test_parquet_is_read_in_batches_with_its_types(tmp_path: Path) -> None:
    path = parquet(tmp_path / "in.parquet", {"id": [1, None, 3], "text": ["a", None, "c"], "raw": [b"\xff", b"", None]})
    found = list(rows(path))
    assert [(row.id, row.input) for row in found] == [("1", "a"), ("2", None), ("3", "c")]
    wrapped = parquet(tmp_path / "wrapped.parquet", {"input": [{"title": "t", "body": "b"}]})
    assert [row.input for row in rows(wrapped, task(Note))] == [{"title": "t", "body": "b"}]
    odd = parquet(tmp_path / "odd.parquet", {"text": [b"\xff"]})
    (row,) = rows(odd)
    assert row.mark == next(iter(rows(odd))).mark


def test_parquet_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "in.parquet", {"text": ["a"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'decider-sdk\[parquet\]'"):
        list(rows(path))


WRONG_FILES = [
    ("nowhere.jsonl", None, "nowhere.jsonl: there is no such file"),
    ("in.xlsx", b"x", "cannot read .xlsx; use .jsonl, .csv or .parquet"),
    (
        "in.jsonl",
        "\ufeff".encode("utf-16-le") + "{".encode("utf-16-le"),
        "in.jsonl:1: is not UTF-8: it is perhaps UTF-16",
    ),
    ("in.jsonl", '{"text": "a"}\n'.encode("utf-16-le"), "it is perhaps UTF-16; convert it:  iconv -f UTF-16"),
    ("in.jsonl", b'"a"\n"caf\xe9"\n', "in.jsonl:2: is not UTF-8 (byte 5 of the line is 0xe9): it is perhaps CP1252"),
    ("in.csv", b"text\na\ncaf\xe9\n", "in.csv:3: is not UTF-8 (byte 4 of the line is 0xe9)"),
    ("in.csv", b"text\na\n\xe9\x00\n", "it is perhaps UTF-16"),
    ("in.csv", b"", "in.csv: has no header"),
    ("in.csv", b"a;b\n1;2\n", "in.csv:1: has its cells between ';'; save it with commas"),
    ("in.csv", b"a,b,a\n", "in.csv:1: has two columns 'a'; rename one"),
    ("in.csv", b'text\n"never closed\n\n', "in.csv:2: is not CSV: unexpected end of data"),
    ("in.csv", b"text\ra\rb\r", "is not CSV"),
    ("in.parquet", b"PAR1 it is not", "in.parquet: is not Parquet"),
]


@pytest.mark.parametrize(("name", "content", "says"), WRONG_FILES)
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(rows(path))
    assert says in str(caught.value)


def test_a_folder_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        rows(tmp_path)


def test_a_ragged_row_is_named_and_a_long_cell_is_none(tmp_path: Path) -> None:
    long = "x" * 300_000
    path = written(tmp_path, "in.csv", f'id,text\n1,a\n2\n3,"{long}"\n4,"two\nlines",more\n5,b\0c\n')
    found = list(rows(path))
    assert [row.problem for row in found] == [
        None,
        "has more or fewer cells than the header: 1, not 2, up to line 3",
        None,
        "has more or fewer cells than the header: 3, not 2, up to line 6",
        None,
    ]
    assert found[1].input == ["2"]
    assert (found[2].input, found[4].input) == (long, "b\0c")


def test_the_format_can_be_said(tmp_path: Path) -> None:
    path = written(tmp_path, "in.txt", "text\na\n")
    with rows(path, format="csv") as found:
        assert [row.input for row in found] == ["a"]


def test_a_stream_is_kept_so_that_it_can_be_read_again_and_leaves_nothing(tmp_path: Path) -> None:
    with Rows(task(), io.BytesIO(b'"a"\n"b"\n'), tmp_path) as found:
        assert found.name == "-"
        reading = iter(found)
        assert next(reading).input == "a"
        assert [row.input for row in found] == ["a", "b"]
        assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_a_stream(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=lambda: pipe.write_text("text\na\n"))
    writing.start()
    with rows(pipe, format="csv") as found:
        writing.join()
        assert [row.input for row in found] == ["a"]
        assert [row.input for row in found] == ["a"]


def test_rows_are_taken_lazily(tmp_path: Path) -> None:
    path = written(tmp_path, "in.jsonl", b'"a"\n"b"\n"caf\xe9"\n')
    reading = iter(rows(path))
    assert [next(reading).input, next(reading).input] == ["a", "b"]


def test_two_rows_of_one_id_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "in.jsonl", '{"id": "b", "text": "1"}\n"2"\n{"id": 2, "text": "3"}\n')
    with pytest.raises(DataError, match="has the id '2' in row 2 and in row 3; give each row an id of its own"):
        scan(rows(path))


def test_ids_that_only_look_alike_are_let_through() -> None:
    ids = Ids()
    ids.add("a")
    ids.add("a")
    ids.refuse_doubled([Row(1, "a", "", 0, {}), Row(2, "b", "", 0, {})], "in.jsonl")


def test_a_scan_counts_marks_and_samples(tmp_path: Path) -> None:
    path = written(tmp_path, "in.jsonl", "".join(f'{{"text": "{n}", "c": {n}}}\n' for n in range(1, 1001)) + "x\n")
    found = scan(rows(path), ["c"])
    assert found.rows == 1001
    assert found.marks[7] == [row.mark for row in rows(path)][6]
    numbers = [int(x) for x in found.sample]
    assert 100 <= len(numbers) < 200
    assert {after - before for before, after in pairwise(numbers)} == {8}


@pytest.mark.parametrize(
    ("content", "keep", "says"),
    [
        ("no json\nat all\n", [], "none of its rows can be read; row 1 is not JSON"),
        ('{"a": 1, "b": 2}\n' * 2, [], "none of its rows can be read; row 1 has no column 'text'; its columns: a, b"),
        ('{"text": "a"}\n"b"\n', ["customer"], "has no column 'customer' to keep; its columns: text"),
    ],
)
def test_a_scan_refuses_what_cannot_be_decided_at_all(tmp_path: Path, content: str, keep: list[str], says: str) -> None:
    with pytest.raises(DataError) as caught:
        scan(rows(written(tmp_path, "in.jsonl", content)), keep)
    assert says in str(caught.value)


def test_no_rows_are_no_mistake(tmp_path: Path) -> None:
    assert scan(rows(written(tmp_path, "in.jsonl", "\n")), ["customer"]).rows == 0
    assert json.dumps(list(rows(written(tmp_path, "in.csv", "text\n")))) == "[]"
