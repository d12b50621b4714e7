"""Result files: rows as JSONL, as typed columns, and safe to open in a spreadsheet; old or new, never mixed."""

from __future__ import annotations

import csv
import json
import stat
import sys
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, Field

from decider.batch.results import KEYS, check_out, columns_of, results
from decider.data import tables as module
from decider.data.files import read_rows
from decider.errors import DataError
from decider.task import Task


class Place(BaseModel):
    team: Literal["a", "-b"]
    desk: Literal[1, 2]


class Everything(BaseModel):
    place: Place
    status: bool
    score: int = Field(ge=1, le=5)
    mixed: Literal["x", 3] | None
    tags: list[Literal["u", "v"]]
    levels: list[Literal[1, 2]]
    note: str | None
    count: int
    share: float
    day: date
    odd: list[str]


TASK = Task(Everything, name="t")
OUTPUT = {
    "place": {"team": "-b", "desk": 2},
    "status": True,
    "score": 4,
    "mixed": 3,
    "tags": ["u"],
    "levels": [1, 2],
    "note": "=SUM(A1)",
    "count": -7,
    "share": 1,
    "day": "2026-02-03",
    "odd": ["p", "q"],
}


def leaves(output: dict[str, Any]) -> dict[str, Any]:
    found = {f"place.{name}": value for name, value in output["place"].items()}
    return found | {name: value for name, value in output.items() if name != "place"}


def row(id: str, output: dict[str, Any] | None = OUTPUT, **more: Any) -> dict[str, Any]:
    fields = {} if output is None else leaves(output)
    said = {path: {"value": value, "probability": None, "source": None} for path, value in fields.items()}
    if said:
        said["place.team"] = {"value": "-b", "probability": 0.75, "source": "local"}
    return {
        "id": id, "decision": "d" * 32, "input": {"text": "x"}, "output": output,
        "status": "failed" if output is None else "decided", "accepted": output is not None, "confidence": None,
        "fields": said, "mode": "prompt", "engine": "chat", "model": "m", "error": None if output else "row 2: no",
        **more,
    }  # fmt: skip


ROWS = [row("1"), row("@2", None)]


def write(out: Path, rows: list[dict[str, Any]], keep: tuple[str, ...] = ()) -> Path:
    with results(out, TASK, keep) as one:
        for row in rows:
            one(row)
    return out


def cells(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_jsonl_has_the_keys_of_the_contract_in_order(tmp_path: Path) -> None:
    out = write(tmp_path / "out.jsonl", [{**one, "c": "é\u2028"} for one in ROWS], ("c",))
    found = [json.loads(line) for line in out.read_text().split("\n") if line]
    assert [tuple(one) for one in found] == [(*KEYS, "c")] * 2
    assert found[0] == {**ROWS[0], "c": "é\u2028"}
    assert found[1]["output"] is None


def test_csv_has_the_output_fields_as_columns(tmp_path: Path) -> None:
    first, second = cells(write(tmp_path / "out.csv", ROWS))
    assert list(first) == [
        "id", "decision", "place.team", "place.team.probability", "place.desk", "place.desk.probability",
        "output.status", "output.status.probability", "score", "score.probability", "mixed", "mixed.probability",
        "tags", "tags.probability", "levels", "levels.probability", "note", "count", "share", "day", "odd",
        "status", "accepted", "confidence", "mode", "engine", "model", "error",
    ]  # fmt: skip
    assert (first["place.desk"], first["output.status"], first["tags"], first["levels"]) == (
        "2",
        "true",
        '["u"]',
        "[1,2]",
    )
    assert (first["count"], first["share"], first["day"], first["odd"]) == ("-7", "1", "2026-02-03", '["p","q"]')
    assert (first["place.team.probability"], first["confidence"], first["accepted"]) == ("0.75", "", "true")
    assert {second[name] for name in ("place.team", "note", "score")} == {""}
    assert (second["status"], second["error"]) == ("failed", "row 2: no")


PAYLOADS = [
    "=1+2", "=cmd|' /C calc'!A0", "+1+2", "-1+2", "@SUM(1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")', "-", "+",
    "=", "@", "-2-3", "+49 170", "-cmd", "=A1", "@x", "\t", "\r", "\0=1",
]  # fmt: skip


@pytest.mark.parametrize("text", PAYLOADS)
def test_no_cell_is_a_formula(tmp_path: Path, text: str) -> None:
    out = write(tmp_path / "out.csv", [row(text, OUTPUT | {"note": text}, c=text)], ("c",))
    (found,) = cells(out)
    assert {found["id"], found["note"], found["c"]} == {f"'{text}"}


def test_no_name_of_a_column_is_a_formula(tmp_path: Path) -> None:
    out = write(tmp_path / "out.csv", [{**row("1"), "=c": "x"}], ("=c",))
    with out.open("rb") as file:
        assert file.readline().endswith(b",'=c\r\n")
        file.seek(0)
        (found,) = read_rows(file, "csv", "out.csv")
    assert found.value["=c"] == "x"


def test_numbers_and_other_texts_stay_as_they_are(tmp_path: Path) -> None:
    kept = ["-5", "+3.5e2", "-0.1", "a=b", "", "'x", "a\rb\nc", 'say "x", y', "a\0", -5, -0.5, None, True, {"a": [1]}]
    out = write(tmp_path / "out.csv", [row(str(n), c=one) for n, one in enumerate(kept)], ("c",))
    said = [
        "-5",
        "+3.5e2",
        "-0.1",
        "a=b",
        "",
        "'x",
        "a\rb\nc",
        'say "x", y',
        "a\0",
        "-5",
        "-0.5",
        "",
        "true",
        '{"a":[1]}',
    ]
    assert [one["c"] for one in cells(out)] == said


def test_parquet_is_typed_by_the_task_also_where_nothing_is_in_a_column(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path / "out.parquet", [{**one, "c": {"a": 1}} for one in ROWS], ("c",)))
    types = {name: str(table.schema.field(name).type) for name in table.schema.names}
    assert types | {
        "place.team": "string", "place.desk": "int64", "output.status": "bool", "score": "int64", "mixed": "string",
        "tags": "list<element: string>", "levels": "list<element: int64>", "note": "string", "count": "int64",
        "share": "double", "day": "date32[day]", "odd": "string", "confidence": "double", "accepted": "bool",
        "c": "string",
    } == types  # fmt: skip
    first, second = table.to_pylist()
    assert (first["tags"], first["levels"], first["day"], first["share"]) == (["u"], [1, 2], date(2026, 2, 3), 1.0)
    assert (first["mixed"], first["odd"], first["note"], first["c"]) == ("3", '["p","q"]', "=SUM(A1)", '{"a":1}')
    assert (second["score"], second["tags"], second["error"]) == (None, None, "row 2: no")
    empty = pq.read_table(write(tmp_path / "none.parquet", []))
    assert (empty.num_rows, empty.schema.field("day").type) == (0, pa.date32())


def test_parquet_is_written_in_groups_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 2)
    file = pq.ParquetFile(write(tmp_path / "out.parquet", [row(str(n)) for n in range(5)]))
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [2, 2, 1]


def test_a_number_beyond_a_parquet_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="count of row 1 is 9223372036854775808, more than a Parquet column holds"):
        write(tmp_path / "out.parquet", [row("1", OUTPUT | {"count": 2**63})])


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_file_is_old_or_new(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    out.write_text("old")
    with pytest.raises(KeyError):
        write(out, [ROWS[0], {}])
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    write(out, ROWS)
    assert out.stat().st_size > 3
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_results_are_files_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "like").touch()
    mode = stat.S_IMODE((tmp_path / "like").stat().st_mode)
    assert stat.S_IMODE(write(tmp_path / "out.jsonl", ROWS).stat().st_mode) == mode


@pytest.mark.parametrize(
    ("name", "keep", "says"),
    [
        ("out.txt", [], "cannot write .txt; use .jsonl, .csv or .parquet"),
        ("out", [], "cannot write a file without an ending"),
        ("folder.csv", [], "is a folder"),
        ("no/out.csv", [], "there is no folder"),
        ("out.jsonl", ["input"], "has a column 'input' of its own"),
        ("out.csv", ["c", "status"], "has a column 'status' of its own"),
    ],
)
def test_what_could_not_be_written_is_said_before(tmp_path: Path, name: str, keep: list[str], says: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError) as caught:
        check_out(tmp_path / name, keep)
    assert says in str(caught.value)


def test_a_folder_that_takes_nothing_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # whoever runs this may be allowed everything
    with pytest.raises(DataError, match="nothing can be written into"):
        check_out(tmp_path / "out.csv")


def test_a_missing_extra_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_out(tmp_path / "out.parquet", ["input"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="decider-sdk"):
        check_out(tmp_path / "out.parquet")


def test_a_kept_column_may_be_called_like_a_field() -> None:
    names = [column.name for column in columns_of(TASK, ["score", "input"])]
    assert {"score", "output.score", "output.score.probability", "input"} <= set(names)
    assert len(names) == len(set(names))
