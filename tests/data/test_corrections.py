"""Tables of corrections: all of a file or nothing of it, and every wrong row is named."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel
from pydantic import Field as Described

from decider.data.corrections import Taken, take_corrections, value_of
from decider.errors import DataError
from decider.runtime.log import Log
from decider.schema import fields_of
from logged import decision, task

TASK = task()
IDS = [f"{n}{'a' * 31}" for n in range(4)]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log(tmp_path / "log")
    for n, name in enumerate(IDS):
        log.append(decision(id=name, row_id=f"T-{n}"), TASK)
    return log


def _taken(log: Log, text: str, name: str = "corrections.csv", **said: Any) -> Taken:
    file = log.folder.parent / name
    file.write_text(text, encoding="utf-8")
    return take_corrections(log, file, TASK, **said)


def test_each_row_corrects_what_it_names(log: Log) -> None:
    text = f"""id,priority,routing.team,routing.tags,rating,summary,by,note
{IDS[0]},high,,"vip, late",,,ana,called twice
T-1,,login,,5,"now, with a comma",,
2aaaaaaa,,,[],null,,,
{IDS[3]},,,,,,ben,nothing to say
"""
    assert _taken(log, text, by="eve", note="a table") == Taken(corrected=3, unchanged=1)
    first, second, third, fourth = log.histories()
    assert first.changed == {"priority": "high", "routing.tags": ["vip", "late"]}
    assert [(said.by, said.note) for said in first.corrections] == [("ana", "called twice")]
    assert second.changed == {"routing.team": "login", "rating": 5, "summary": "now, with a comma"}
    assert [(said.by, said.note) for said in second.corrections] == [("eve", "a table")]
    assert third.changed == {"routing.tags": [], "rating": None}
    assert fourth.corrections == ()


def test_a_table_may_be_jsonl(log: Log) -> None:
    text = f'{{"id": "{IDS[0]}", "rating": 3, "routing.tags": ["late"]}}\n{{"id": "{IDS[1]}", "rating": null}}\n'
    assert _taken(log, text, "corrections.jsonl") == Taken(corrected=1, unchanged=1)
    assert next(iter(log.histories())).changed == {"rating": 3, "routing.tags": ["late"]}


def test_one_wrong_row_and_nothing_is_written_and_all_wrong_rows_are_named(log: Log) -> None:
    text = f"""id,priority,rating
{IDS[0]},high,
{IDS[1]},hihg,
nothing,low,
{IDS[1]},low,
{IDS[2]},low,seven
{IDS[2]},low
,low,
"""
    with pytest.raises(DataError) as caught:
        _taken(log, text)
    head, *rows = str(caught.value).splitlines()
    assert head.endswith("corrections.csv: 6 of 7 rows are wrong, and none was taken")
    assert rows == [
        '  row 2: priority: "hihg" is not one of its answers: "low", "high"',
        "  row 3: holds no decision 'nothing'; `decider log list` shows them",
        "  row 4: names the same decision as row 2; make one row of both",
        f"  row 5: decision '{IDS[2]}' would not fit the schema: rating: Input should be a valid integer",
        "  row 6: has more or fewer cells than the header: 2, not 3, up to line 7",
        "  row 7: holds no decision ''; `decider log list` shows them",
    ]
    assert all(history.corrections == () for history in log.histories())


def test_many_wrong_rows_are_not_all_named(log: Log) -> None:
    with pytest.raises(DataError, match=r"30 of 30 rows are wrong.*\n(  row .*\n){20}  and 10 more$"):
        _taken(log, "id,priority\n" + "nothing,low\n" * 30)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (
            "id,priorty\n1,low\n",
            "x.csv",
            "has a column 'priorty', which is no field of the task 'triage'; did you mean",
        ),
        ("id,zzz\n1,low\n", "x.csv", "no field of the task 'triage'; known are id, by, note, priority, routing.team"),
        ("priority\nlow\n", "x.csv", "has no column 'id', which names the decision"),
        ("id;priority\n1;low\n", "x.csv", "has its cells between ';'"),
        ("1\n", "x.jsonl", "row 1: is not a JSON object"),
        ("", "x.xlsx", r"cannot read \.xlsx; use \.jsonl, \.csv or \.parquet"),
    ],
)
def test_a_file_that_is_no_table_of_corrections(log: Log, text: str, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _taken(log, text, name)


def test_a_file_that_is_not_there(log: Log) -> None:
    with pytest.raises(DataError, match=r"nothing\.csv: there is no such file"):
        take_corrections(log, Path("nothing.csv"), TASK)


class Everything(BaseModel):
    team: Literal["a", "null"] | None
    level: Annotated[int, Described(ge=1, le=3)] | None
    number: Literal[1, 2]
    mixed: Literal["1", 2]
    vip: bool
    tags: list[Literal["x", "y"]]
    levels: list[Literal[1, 2]]
    text: str | None
    amount: float
    parts: list[str]


FIELDS = {field.path: field for field in fields_of(Everything)}


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("team", "a", "a"),
        ("team", "null", "null"),
        ("level", "2", 2),
        ("level", "null", None),
        ("level", "two", "two"),
        ("number", "1", 1),
        ("mixed", "1", "1"),
        ("mixed", "2", 2),
        ("vip", "TRUE", True),
        ("vip", "yes", "yes"),
        ("tags", "x, y", ["x", "y"]),
        ("tags", '["x"]', ["x"]),
        ("tags", "[]", []),
        ("levels", "1,2", [1, 2]),
        ("levels", "1", [1]),
        ("text", "null", None),
        ("text", "[1]", "[1]"),
        ("amount", "1.5", 1.5),
        ("parts", '["a", "b"]', ["a", "b"]),
        ("parts", "a", "a"),
    ],
)
def test_a_text_stands_for_a_value_of_its_field(path: str, text: str, value: Any) -> None:
    found = value_of(FIELDS[path], text)
    assert found == value
    assert type(found) is type(value)
