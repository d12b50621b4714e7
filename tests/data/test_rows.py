"""Rows one at a time: each an example, or rejected with all that is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ValidationError, model_validator

from decider.data.files import FileRow
from decider.data.rows import Rejected, check, encoded, of_rows, read, to_row
from decider.decision import Example
from decider.errors import DataError
from decider.spec import Columns
from decider.task import Task


class Case(BaseModel):
    text: str
    customer: str = ""


class Area(BaseModel):
    name: Literal["billing", "login"]


class Routed(BaseModel):
    area: Area
    level: Literal[1, 2, 3]
    tags: list[Literal["a", "b"]]
    note: str

    @model_validator(mode="after")
    def _agree(self) -> Routed:
        if self.area.name == "login" and self.level == 3:
            raise ValueError("a login is never of level 3")
        return self


def task(**keys: Any) -> Task[Routed]:
    return Task(Routed, name="routing", input=Case, **keys)


def row(**output: Any) -> dict[str, Any]:
    return {
        "input": {"text": "hello"},
        "output": {"area": {"name": "billing"}, "level": 1, "tags": [], "note": "", **output},
    }


def rejected(value: dict[str, Any], **keys: Any) -> Rejected:
    found = check(value, task(**keys), 4)
    assert isinstance(found, Rejected)
    return found


def test_what_a_row_says_of_itself_is_kept() -> None:
    about = {
        "id": 7,
        "source": "crm",
        "split": "test",
        "group": 12,
        "time": "2026-01-02",
        "by": "ana",
        "at": "2026-01-03",
    }
    found = check({**row(), **about}, task(), 1)
    assert isinstance(found, Example)
    assert (found.id, found.group, found.time, found.by, found.at) == ("7", "12", "2026-01-02", "ana", "2026-01-03")
    assert not found.numbered
    again = check(to_row(found), task(), 9)
    assert again == found
    assert json.loads(encoded(found)) == to_row(found)


def test_a_row_without_an_id_is_called_by_its_number_and_does_not_keep_it() -> None:
    found = check(row(), task(), 4)
    assert isinstance(found, Example)
    assert (found.id, found.numbered) == ("4", True)
    assert "id" not in to_row(found)


@pytest.mark.parametrize(
    ("value", "group", "time"),
    [
        ({**row(), "customer": "x", "opened": 5}, "x", "5"),
        ({**row(), "input": {"text": "a", "customer": "y"}}, "y", None),
        ({**row(), "group": "z", "customer": "x"}, "z", None),
        ({**row(), "input": {"text": "a"}}, None, None),
    ],
)
def test_group_and_time_stand_where_the_spec_says(value: dict[str, Any], group: str | None, time: str | None) -> None:
    found = check(value, task(data={"group": "customer", "time": "opened"}), 1)
    assert isinstance(found, Example)
    assert (found.group, found.time) == (group, time)


def test_a_bare_text_has_no_group_inside() -> None:
    plain = Task(Area, name="area", data={"group": "customer"})
    found = check({"input": "hello", "output": {"name": "login"}}, plain, 1)
    assert isinstance(found, Example)
    assert found.group is None


@pytest.mark.parametrize(
    ("output", "kind", "field", "says"),
    [
        ({"area": {"name": "fax"}}, "unknown-label", "area.name", "Input should be 'billing' or 'login' (found 'fax')"),
        ({"level": 4}, "unknown-label", "level", "Input should be 1, 2 or 3 (found 4)"),
        ({"tags": ["a", "c"]}, "unknown-label", "tags", "(found 'c')"),
        ({"tags": "a"}, "schema", "tags", "Input should be a valid array"),
        ({"level": {"x": 1}}, "schema", "level", "(found {'x': 1})"),
        ({"note": "long " * 30 + "x", "level": None}, "unknown-label", "level", "(found None)"),
        ({"note": 3}, "schema", "note", "Input should be a valid string (found 3)"),
        ({"note": ["y" * 100]}, "schema", "note", "yyy…)"),
        ({"area": "billing"}, "schema", "area", "Input should be an object"),
        ({"area": {}}, "schema", "area.name", "Field required"),
        ({"area": {"name": "login"}, "level": 3}, "schema", None, "a login is never of level 3"),
    ],
)
def test_the_kind_of_a_misfit_is_told(output: dict[str, Any], kind: str, field: str | None, says: str) -> None:
    (problem,) = rejected(row(**output)).problems
    assert (problem.kind, problem.field) == (kind, field)
    assert says in str(problem)


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = rejected({"id": "r1", "input": {"text": ""}, "output": row(area={"name": "fax"}, level=9)["output"]})
    assert [one.kind for one in found.problems] == ["input", "unknown-label", "unknown-label"]
    assert found.reason.startswith("the input is empty; area.name: Input should be")
    assert (found.place, found.id) == (4, "r1")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"output": {}}, "has no 'input'; a row is"),
        ({"input": {"text": "x"}, "output": "billing"}, "output: expected an object, found 'billing'"),
        ({**row(), "label": 1}, "label: is no key of a row; known are at, by, group, id, input, output"),
    ],
)
def test_what_is_no_row_is_told(value: dict[str, Any], says: str) -> None:
    (problem,) = rejected(value).problems
    assert problem.kind == "row"
    assert str(problem).startswith(says)


@pytest.mark.parametrize(("key", "value"), [("id", True), ("id", [1]), ("group", {"a": 1}), ("by", ["ana"])])
def test_what_a_row_says_of_itself_is_a_text_or_a_number(key: str, value: Any) -> None:
    assert rejected({**row(), key: value}).reason == f"{key}: expected a text or a number, found {value!r}"


def test_columns_of_other_things_say_nothing_of_a_flat_row() -> None:
    flat = {"text": "hi", "area.name": "login", "level": 1, "tags": [], "note": "", "source": ["x"], "split": True}
    (found,) = of_rows([FileRow(1, 1, {**flat, "by": "ana"})], task(data={"columns": {}}))
    assert isinstance(found, Example)
    assert (found.source, found.split, found.by) == (None, None, "ana")


def test_empty_texts_say_nothing_of_a_row() -> None:
    found = check({**row(), "id": "", "split": "", "group": ""}, task(), 4)
    assert isinstance(found, Example)
    assert (found.id, found.numbered, found.split, found.group) == ("4", True, None, None)


def test_the_rows_of_a_file_are_checked_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([json.dumps(row()), "{", "3", "", json.dumps(row(level=7))]))
    first, *bad = read(path, task())
    assert isinstance(first, Example)
    assert [(one.place, one.reason[:14]) for one in bad if isinstance(one, Rejected)] == [
        (2, "is not JSON: E"),
        (3, "is not a JSON "),
        (5, "level: Input s"),
    ]


def test_columns_may_be_given_by_the_caller(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("nr,Body,area.name,Level,tags,note,customer\n5,hello,login,2,a,'=1,c\n")
    columns = Columns(input="Body", output={"level": "Level"}, id="nr")
    (found,) = read(path, task(), columns=columns)
    assert isinstance(found, Example)
    assert found.output == {"area": {"name": "login"}, "level": 2, "tags": ["a"], "note": "=1"}
    assert (found.input, found.id) == ({"text": "hello", "customer": "c"}, "5")


def test_a_flat_row_of_jsonl_may_lack_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"text": "hi", "area.name": "login", "level": 1, "tags": [], "note": "", "source": "x"}\n{"level": 1}\n'
    )
    first, second = read(path, task(data={"columns": {"input": {"text": "text"}}}))
    assert isinstance(first, Example)
    assert first.source == "x"
    assert isinstance(second, Rejected)
    assert second.value == {"level": 1}
    assert second.reason.startswith("text: Field required")


def test_columns_may_be_objects_in_which_fields_stand_by_their_paths(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    flat = {"ticket": {"body": "hi", "who": "c"}, "area": {"name": "login"}, "level": 1, "tags": [], "note": ""}
    lines = [flat, {**flat, "area": None}, {**flat, "ticket": "hi"}, {**flat, "area.name": "billing"}]
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    columns = {"input": {"text": "ticket.body"}, "id": "ticket.who"}
    found = list(read(path, task(data={"columns": columns, "group": "ticket.who"})))
    assert [type(one) for one in found] == [Example, Rejected, Rejected, Example]
    first, empty, no_object, dotted = found
    assert isinstance(first, Example)
    assert (first.input, first.id, first.group) == ({"text": "hi", "customer": ""}, "c", "c")
    assert first.output["area"] == {"name": "login"}
    assert isinstance(empty, Rejected)
    assert "area.name" in empty.reason
    assert empty.value == lines[1]
    assert isinstance(no_object, Rejected)
    assert isinstance(dotted, Example)
    assert dotted.output["area"] == {"name": "billing"}


def test_a_part_of_which_every_field_may_be_missing_is_there_without_its_columns(tmp_path: Path) -> None:
    class Seen(BaseModel):
        by: str | None

    class Log(BaseModel):
        line: str
        seen: Seen

    logs = Task(Area, name="area", input=Log, data={"columns": {}})
    (tmp_path / "rows.jsonl").write_text('{"line": "x", "name": "login"}\n')
    (found,) = read(tmp_path / "rows.jsonl", logs)
    assert isinstance(found, Example)
    assert found.input == {"line": "x", "seen": {"by": None}}


def test_what_was_written_is_read_again_whatever_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row()) + "\n")
    (found,) = read(path, task(data={"columns": {"output": {"level": "Level"}, "id": "nr"}}))
    assert isinstance(found, Example)
    assert found.output["level"] == 1


def test_a_column_that_is_an_input_says_nothing_else_of_the_row(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("source,name,by\nnginx,login,ana\n")
    logged = Task(Area, name="area", input={"source": "text"})
    (found,) = read(tmp_path / "rows.csv", logged)
    assert isinstance(found, Example)
    assert (found.input, found.source, found.by) == ({"source": "nginx"}, None, "ana")


def test_a_text_task_maps_its_one_column(tmp_path: Path) -> None:
    plain = Task(Area, name="area")
    (tmp_path / "a.csv").write_text("body,name\nhello,login\n")
    (found,) = read(tmp_path / "a.csv", plain, columns=Columns(input={"text": "body"}, id=None))
    assert isinstance(found, Example)
    assert found.input == "hello"
    with pytest.raises(DataError, match="has no column 'text'; columns: body, name"):
        list(read(tmp_path / "a.csv", plain))
    (tmp_path / "a.jsonl").write_text('{"name": "login"}\n')
    (bad,) = read(tmp_path / "a.jsonl", plain, columns=Columns(input="body", id=None))
    assert isinstance(bad, Rejected)
    assert bad.reason.startswith("has no 'input'")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder; name one of its files"):
        next(read(tmp_path, task()))


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(DataError, match="there is no such file"):
        list(read(Path("nowhere.jsonl"), task()))


def test_a_schema_still_speaks_for_itself() -> None:
    with pytest.raises(ValidationError):
        Routed.model_validate({"area": {"name": "login"}, "level": 3})


@pytest.mark.parametrize(
    "given",
    [
        {"title": "t", "body": "caf\u00e9"},
        {"body": "b", "title": "t"},
        {"title": "t", "body": "\ud800"},  # half a character
        {"title": " ", "body": ""},
        {"title": "t", "body": "  "},
        {"title": "t", "body": 3},
        {"title": "t"},
        {"title": "t", "body": "b", "more": "m"},
        {"title": "t", "other": "b"},
        "t",
    ],
)
def test_inputs_of_plain_texts_are_read_as_the_schema_reads_them(given: Any) -> None:
    mail: Task[Any] = Task(Area, name="mail", input={"title": {"type": "text"}, "body": {"type": "text"}})
    one = {"input": given, "output": {"name": "login"}}
    (found,) = of_rows([FileRow(1, 1, one)], mail)
    assert found == check(one, mail, 1)


def test_outputs_of_labels_that_were_seen_before_are_read_as_the_first_time() -> None:
    area: Task[Any] = Task(Area, name="area")
    outputs = [{"name": "login"}, {"name": "nobody"}, {"name": "login"}, {"name": "nobody"}, {"name": "login", "x": 1}]
    rows = [{"input": "t", "output": one} for one in outputs]
    found = list(of_rows([FileRow(n, n, one) for n, one in enumerate(rows, 1)], area))
    assert found == [check(one, area, n) for n, one in enumerate(rows, 1)]
    first, _, third, *_ = found
    assert isinstance(first, Example)
    assert isinstance(third, Example)
    assert first.output is not third.output


def test_no_value_is_in_two_rows(tmp_path: Path) -> None:
    class Tagged(BaseModel):
        tags: list[Literal["a", "b"]]

    path = tmp_path / "rows.jsonl"
    path.write_text('{"input": "x", "output": {"tags": ["a"]}}\n' * 2)
    first, second = read(path, Task(Tagged, name="t"))
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    first.output["tags"].append("b")
    assert second.output == {"tags": ["a"]}
