"""In which form rows stand, by what is in a file and not by what it is called."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from itertools import count, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from decider.data.files import FileRow
from decider.data.importers.forms import LABEL_STUDIO, ROWS, as_rows, form_of, peeked, pieces
from decider.data.rows import Checked, Rejected
from decider.errors import DataError
from decider.spec import Columns
from sources import task

ROW = {"input": {"body": "x"}, "output": {"routing": {"team": "login"}, "vip": None}}
TASK = task()


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(path: Path, form: str | None = None) -> list[FileRow]:
    return [row for piece in pieces(path, form) for row in piece.rows]


def values(path: Path, form: str | None = None) -> list[Any]:
    return [row.value for row in rows_of(path, form)]


LINES = '{"a": 1}\n{"a": 2}\n'
BOTH = [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson", "rows.json", "rows.txt", "rows"])
@pytest.mark.parametrize(
    "text",
    [
        LINES,
        "\ufeff" + LINES,
        json.dumps(BOTH),
        json.dumps(BOTH, indent=2),
        '{\n  "a": 1\n}\n{\n  "a":\n2}',
        "\n" + LINES,
    ],
    ids=["lines", "marked", "list", "indented", "objects", "an empty line"],
)
def test_json_is_read_in_every_way_in_which_it_is_written(tmp_path: Path, name: str, text: str) -> None:
    assert values(write(tmp_path / name, text)) == BOTH


def test_tables_are_known_by_their_first_bytes_or_their_names(tmp_path: Path) -> None:
    parquet.write_table(pa.Table.from_pylist(BOTH), tmp_path / "rows.bin")
    assert values(tmp_path / "rows.bin") == BOTH
    found = pa.Table.from_pylist(BOTH)
    with pa.OSFile(str(tmp_path / "rows.arrow"), "wb") as file, pa.ipc.new_file(file, found.schema) as writer:
        writer.write_table(found)
    assert values(tmp_path / "rows.arrow") == BOTH
    assert values(write(tmp_path / "rows.csv", "[a,{b\n1,2\n")) == [{"[a": "1", "{b": "2"}]
    assert [piece.tabular for piece in pieces(tmp_path / "rows.csv")] == [True]


def test_a_format_that_is_named_is_not_looked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.dat", "a,b\n1,2\n")
    with pytest.raises(
        DataError, match="neither its name nor its content tells; name it with --from: jsonl, json, csv"
    ):
        values(path)
    assert values(path, "csv") == [{"a": "1", "b": "2"}]
    assert values(write(tmp_path / "rows.x", LINES), "label-studio") == BOTH
    assert values(write(tmp_path / "other.jsonl", LINES), "json") == BOTH


def test_what_is_not_there_or_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file or folder"):
        values(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is no folder"):
        values(write(tmp_path / "rows.jsonl", LINES), "datasets")


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ('[{"a": 1},\n {"a": 2},\n {"a": ', 3, "is not JSON: Expecting value; nothing behind it was read"),
        ('[{"a": 1},\n {"a": 2}', 2, "the file ends before its list does; what came before is read"),
        ('[{"a": 1},\n {"a": 2},\n\n NaN]', 4, "is not JSON: NaN is no JSON; nothing behind it was read"),
    ],
)
def test_a_list_that_breaks_off_gives_what_came_before(tmp_path: Path, text: str, line: int, problem: str) -> None:
    *good, bad = rows_of(write(tmp_path / "rows.json", text))
    assert [row.value for row in good] == BOTH
    assert [row.place for row in good] == [1, 2]
    assert (bad.n, bad.place, bad.problem) == (3, line, problem)


def test_a_list_that_is_nested_too_deep_is_a_bad_row(tmp_path: Path) -> None:
    (bad,) = rows_of(write(tmp_path / "rows.json", "[" * 100_000))
    assert bad.problem is not None
    assert bad.problem.startswith("is not JSON: maximum recursion")


@pytest.mark.parametrize(
    ("bad", "problem"),
    [('{"a": "\\ud800"}', "holds half a character"), ('{"a": ' + "[" * 300 + "]" * 300 + "}", "is nested too deeply")],
    ids=["half", "deep"],
)
def test_what_no_file_could_hold_is_a_bad_row_as_it_was_written(tmp_path: Path, bad: str, problem: str) -> None:
    wrong, right = rows_of(write(tmp_path / "rows.json", f'[{bad}, {{"a": 2}}]'))
    assert right == FileRow(2, 1, {"a": 2})
    assert wrong.value == bad
    assert wrong.problem is not None
    assert wrong.problem.startswith(problem)


def test_lists_and_texts_that_are_no_utf_8_are_named(tmp_path: Path) -> None:
    assert values(write(tmp_path / "rows.json", "[]")) == []
    with pytest.raises(DataError, match=r"rows\.json: is not UTF-8: byte 10 is 0xff"):
        values(write(tmp_path / "rows.json", b'[{"a": 1} \xff]'.replace(b" \xff", b"\xff")))


def test_long_and_broken_lines_are_lines(tmp_path: Path) -> None:
    long = json.dumps({"a": "x" * 100_000})
    assert values(write(tmp_path / "rows.jsonl", f"{long}\n{long}\n")) == [json.loads(long)] * 2
    commas = json.dumps({"a": "," * 100_000})
    before, bad, after = rows_of(write(tmp_path / "commas.jsonl", f"{commas}\nno\n{commas}\n"))
    assert [row.problem is None for row in (before, bad, after)] == [True, False, True]
    broken = rows_of(write(tmp_path / "broken.jsonl", '{"a": 1\n{"a": 2}\n'))
    assert [row.problem is None for row in broken] == [False, True]


def test_a_folder_gives_its_files_with_their_splits_and_labels(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", '{"team": 1}\n{"team": 0, "split": "test"}\nnope\n')
    write(tmp_path / "dev.jsonl", '{"team": 1, "split": ""}\n')
    names = "{names: {'0': billing, '1': login}}"
    card = f"---\ndataset_info: {{features: [{{name: team, dtype: {{class_label: {names}}}}}]}}\n---\n"
    write(tmp_path / "README.md", card)
    assert values(tmp_path) == [
        {"team": "login", "split": "validation"},
        {"team": "login", "split": "train"},
        {"team": "billing", "split": "test"},
        "nope",
    ]


def test_parquet_says_the_names_of_its_labels_itself(tmp_path: Path) -> None:
    said = json.dumps({"info": {"features": {"team": {"_type": "ClassLabel", "names": ["billing", "login"]}}}})
    rows = pa.Table.from_pylist([{"team": 1}]).replace_schema_metadata({"huggingface": said})
    parquet.write_table(rows, tmp_path / "a.parquet")
    assert values(tmp_path / "a.parquet") == [{"team": "login"}]


def test_days_and_times_of_typed_columns_are_texts(tmp_path: Path) -> None:
    row = {"day": date(2026, 3, 1), "at": datetime(2026, 3, 1, 10, tzinfo=UTC), "clock": time(9, 30), "none": None}
    parquet.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    assert values(tmp_path / "a.parquet") == [
        {"day": "2026-03-01", "at": "2026-03-01T10:00:00+00:00", "clock": "09:30:00", "none": None}
    ]


def test_what_was_rejected_before_is_read_as_the_row_it_was(tmp_path: Path) -> None:
    kept = {"file": "a.csv", "line": 1, "reason": "r", "row": ROW}
    assert values(write(tmp_path / "rows.rejected.jsonl", json.dumps(kept))) == [ROW]


CHAT = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "{}"}]}


@pytest.mark.parametrize(
    ("row", "form"),
    [
        (ROW, ROWS),
        ({**CHAT, **ROW}, ROWS),
        ({"body": "x", "vip": True, "messages": []}, ROWS),
        (CHAT, "chat"),
        ({"instruction": "x", "input": "", "output": "y"}, "alpaca"),
        ({"prompt": "x", "completion": "y"}, "prompt-completion"),
        ({"data": {}, "annotations": []}, LABEL_STUDIO),
        ({"body": "x", "vip": "true", "annotation_id": 3, "annotator": 1}, LABEL_STUDIO),
        ({"anything": 1}, ROWS),
    ],
)
def test_rows_are_known_by_their_keys(row: dict[str, Any], form: str) -> None:
    assert form_of(row, TASK, Columns()) == form


def test_the_first_object_is_looked_at_and_no_row_is_lost() -> None:
    rows = [FileRow(1, 1, "x", "is bad"), FileRow(2, 2, {"a": 1}), FileRow(3, 3, {"a": 2})]
    first, again = peeked(iter(rows))
    assert (first, list(again)) == ({"a": 1}, rows)
    first, again = peeked(iter(rows[:1]))
    assert (first, list(again)) == ({}, rows[:1])


def checked(*found: Any, tabular: bool = False, columns: Columns | None = None) -> list[Checked]:
    rows = (FileRow(n, n, value) for n, value in enumerate(found, 1))
    return list(as_rows(rows, TASK, columns=columns, file="f", tabular=tabular))


def test_no_more_than_the_first_rows_are_held_to_look_for_an_object() -> None:
    numbers = count(1)
    first, again = peeked(FileRow(n, n, "no object") for n in numbers)
    assert (first, next(numbers)) == ({}, 1001)
    assert [row.n for row in islice(again, 1001)] == [*range(1, 1001), 1002]


def test_whole_and_flat_rows_are_rows() -> None:
    flat = {"body": "x", "routing.team": "login"}
    for (row,) in (checked(ROW), checked(flat), checked(ROW, tabular=True), checked(flat, tabular=True)):
        assert not isinstance(row, Rejected)
        assert row.output == {"routing": {"team": "login"}, "vip": None}
    (bad,) = checked(ROW, {"input": {"body": "x"}})[1:]
    assert isinstance(bad, Rejected)
    assert bad.reason.startswith("has no 'output'")


def test_a_table_needs_its_columns_and_lines_do_not() -> None:
    with pytest.raises(DataError, match=r"f: has no column 'routing\.team'; it has body"):
        checked({"body": "x"}, tabular=True)
    assert isinstance(checked({"body": "x"})[0], Rejected)
    assert checked(tabular=True) == []
