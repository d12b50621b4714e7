"""The mended copy: what is mechanical is done and told, all else stays as it is, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, model_validator

from decider.assess.lint.fix import FIXABLE, Fixed, fix
from decider.data.rows import check, read
from decider.errors import DataError
from decider.task import Task


class Case(BaseModel):
    title: str = Field(max_length=30)
    lines: list[str]
    about: dict[str, str] | None
    age: int


class Lead(BaseModel):
    age: int


class Answer(BaseModel):
    team: Literal["billing", "login"]
    tags: list[Literal["vip", "late"]]

    @model_validator(mode="after")
    def known(self) -> Answer:
        if self.team == "login" and "vip" in self.tags:
            raise ValueError("nobody is vip in login")
        return self


class Team(BaseModel):
    team: Literal["billing", "login"]


ONE: Task[Answer] = Task(Answer, name="one")
CASE: Task[Answer] = Task(Answer, name="case", input=Case)
LEAD: Task[Team] = Task(Team, name="lead", input=Lead)


def row(given: Any, team: str = "billing", tags: Iterable[str] = (), **about: str) -> dict[str, Any]:
    return {"input": given, "output": {"team": team, "tags": [*tags]}, **about}


def fixed(*rows: Mapping[str, Any], task: Task[Any] = ONE, codes: tuple[str, ...] = FIXABLE) -> Fixed:
    return fix(task, [check(one, task, n) for n, one in enumerate(rows, 1)], codes=codes)


def lines(one: Fixed, folder: Path) -> list[Any]:
    one.save(folder / "out.jsonl")
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def test_nothing_to_mend_writes_the_same_rows_with_their_ids(tmp_path: Path) -> None:
    rows = [row("a", id="x", group="g", source="people"), row("b", "login", ["late"])]
    one = fixed(*rows)
    assert one.changes == ()
    assert lines(one, tmp_path) == [rows[0], {**rows[1], "id": "2"}]


def test_the_same_rows_are_dropped_but_the_first(tmp_path: Path) -> None:
    one = fixed(row("Hi", tags=["vip", "late"]), row("hi ", tags=["late", "vip"]), row("hi", tags=["vip", "late"]))
    assert [change.to_json() for change in one.changes] == [
        {"code": "duplicate", "row": "2", "action": "dropped", "message": "the same input and output as row 1"},
        {"code": "duplicate", "row": "3", "action": "dropped", "message": "the same input and output as row 1"},
    ]
    assert [line["id"] for line in lines(one, tmp_path)] == ["1"]
    assert one.counts == {"duplicate": 2}


def test_of_the_same_rows_that_which_somebody_checked_is_kept(tmp_path: Path) -> None:
    one = fixed(row("hi", id="a"), row("hi", id="b", by="ana"), row("hi", id="c"))
    assert [line["id"] for line in lines(one, tmp_path)] == ["b"]


def test_the_same_values_without_a_text_may_be_other_cases() -> None:
    lead = {"input": {"age": 3}, "output": {"team": "login"}}
    assert fixed(lead, lead, task=LEAD).changes == ()


def test_a_majority_decides_nothing_and_all_its_rows_are_kept() -> None:
    one = fixed(row("hi"), row("hi"), row("hi", "login"))
    assert one.changes == ()


def test_what_somebody_checked_stands_against_what_nobody_did(tmp_path: Path) -> None:
    rows = [row("hi", id="a"), row("hi", "login", id="b", source="corrected"), row("hi", id="c", tags=["late"])]
    one = fixed(*rows, codes=("contradiction",))
    assert [(change.row, change.field, change.before, change.after) for change in one.changes] == [
        ("a", "team", "billing", "login"),
        ("c", "team", "billing", "login"),
        ("c", "tags", ["late"], []),
    ]
    assert {str(line["output"]) for line in lines(one, tmp_path)} == {"{'team': 'login', 'tags': []}"}
    assert one.changes[0].message == "as a row with the same input has it that somebody checked"
    assert [change.action for change in fixed(*rows).changes if change.code == "duplicate"] == ["dropped"] * 2


def test_what_people_disagree_about_stays() -> None:
    assert fixed(row("hi", by="ana"), row("hi", "login", by="bo"), row("hi")).changes == ()


def test_a_checked_label_that_the_schema_refuses_elsewhere_stays() -> None:
    class Stepwise(BaseModel):
        team: Literal["billing", "login"]
        why: str

        @model_validator(mode="after")
        def known(self) -> Stepwise:
            if self.team == "login" and self.why == "money":
                raise ValueError("no")
            return self

    task: Task[Stepwise] = Task(Stepwise, name="steps")
    rows = [
        {"input": "hi", "output": {"team": "login", "why": "password"}, "by": "ana"},
        {"input": "hi", "output": {"team": "billing", "why": "money"}},
    ]
    assert fixed(*rows, task=task).changes == ()


def test_other_spellings_become_the_options(tmp_path: Path) -> None:
    one = fixed(row("a", "Billing"), row("b", "biling", ["LATE", "late"], id="x"), row("c", "sales"))
    assert [change.to_json() for change in one.changes] == [
        {
            "code": "unknown-label",
            "row": "1",
            "action": "changed",
            "message": "an option, in another spelling",
            "field": "team",
            "before": "Billing",
            "after": "billing",
        },
        {
            "code": "unknown-label",
            "row": "x",
            "action": "changed",
            "message": "an option, in another spelling",
            "field": "team",
            "before": "biling",
            "after": "billing",
        },
        {
            "code": "unknown-label",
            "row": "x",
            "action": "changed",
            "message": "an option, in another spelling",
            "field": "tags",
            "before": ["LATE", "late"],
            "after": ["late"],
        },
    ]
    assert lines(one, tmp_path) == [
        row("a", id="1"),
        row("b", tags=["late"], id="x"),
        {"id": "3", **row("c", "sales")},
    ]


def test_a_row_that_does_not_fit_in_whole_stays_as_it_is(tmp_path: Path) -> None:
    rows = [
        row("a", "Login", ["vip"], id="x"),
        {**row("b", "Login", id="y"), "colour": "red"},
        row("c", "Login", ["q"]),
    ]
    one = fixed(*rows)
    assert one.changes == ()
    assert lines(one, tmp_path) == [rows[0], rows[1], {"id": "3", **rows[2]}]


def test_empty_rows_are_dropped() -> None:
    one = fixed(row(" "), row("a"), row("", "nobody"))
    assert [(change.row, change.code, change.message) for change in one.changes] == [
        ("1", "empty", "the input is empty"),
        ("3", "empty", "the input is empty"),
    ]
    assert [row.id for row in one.rows] == ["2"]


def test_a_text_in_the_wrong_character_set_is_decoded_anew(tmp_path: Path) -> None:
    one = fixed(row("Die RÃ¼ckzahlung fehlt"), row("Rückzahlung"), row("a", "nobody"))
    assert [(change.field, change.before, change.after) for change in one.changes] == [
        (None, "Die RÃ¼ckzahlung fehlt", "Die Rückzahlung fehlt")
    ]
    assert lines(one, tmp_path)[0]["input"] == "Die Rückzahlung fehlt"


def test_every_text_of_an_input_is_decoded_and_told_by_field() -> None:
    case = {"title": "SchÃ¶n", "lines": ["fÃ¼r", "dich"], "about": {"who": "JosÃ©"}, "age": 3}
    one = fixed(row(case), task=CASE)
    assert {change.field: change.after for change in one.changes} == {
        "title": "Schön",
        "lines": ["für", "dich"],
        "about": {"who": "José"},
    }


def test_a_text_that_does_not_fit_when_decoded_stays() -> None:
    class Long(BaseModel):
        title: str = Field(min_length=7)

    task: Task[Team] = Task(Team, name="long", input=Long)
    rows = {"input": {"title": "SchÃ¶ne"}, "output": {"team": "login"}}
    assert fixed(rows, task=task).changes == ()


def test_a_text_that_was_decoded_may_be_a_duplicate_then() -> None:
    one = fixed(row("Die RÃ¼ckzahlung"), row("Die Rückzahlung"))
    assert [change.code for change in one.changes] == ["mojibake", "duplicate"]


def test_only_what_is_named_is_done() -> None:
    one = fixed(row(" "), row("a", "Billing"), row("a"), codes=("unknown-label",))
    assert one.counts == {"unknown-label": 1}


def test_rows_that_cannot_be_read_are_written_as_they_were(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"input": "ä",\n"text"\n[1, 2]\n{"input": "hi"}\n{"output": 3, "id": "x"}\n')
    fix(ONE, read(data, ONE)).save(tmp_path / "out.jsonl")
    written = (tmp_path / "out.jsonl").read_text().splitlines()
    assert written == ['{"input": "ä",', '"text"', "[1,2]", '{"id":"4","input":"hi"}', '{"output":3,"id":"x"}']


def test_flat_rows_are_mended_by_their_columns(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "name: flat\nfields: {team: {options: [billing, login]}}\n"
        "data: {columns: {input: said, output: {team: label}, id: key}, group: customer}\n"
    )
    data = tmp_path / "rows.csv"
    data.write_text("said,label,key,customer\nhi,Billing,a,ana\nbye,nobody,b,bo\n")
    task: Task[Any] = Task.load(spec)
    one = fix(task, read(data, task))
    assert lines(one, tmp_path) == [
        {"input": "hi", "output": {"team": "billing"}, "id": "a", "group": "ana"},
        {"said": "bye", "label": "nobody", "key": "b", "customer": "bo"},
    ]


def test_a_copy_that_cannot_be_written_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no"):
        fixed(row("a")).save(tmp_path / "none" / "out.jsonl")
