"""Rows that were rejected: each is found with its code, its field, and what it should perhaps be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, model_validator

from decider.assess.lint.finding import Finding
from decider.assess.lint.lint import EXACT, lint
from decider.data.rows import check, read
from decider.task import Task


class Case(BaseModel):
    text: str
    lines: list[str] | None = None
    age: int | None = Field(default=None, le=120)


class Answer(BaseModel):
    team: Literal["billing", "technical support"]
    urgent: bool
    level: Literal[1, 2, 3] | None
    tags: list[Literal["vip", "late"]]

    @model_validator(mode="after")
    def calm(self) -> Answer:
        if self.urgent and self.team == "billing":
            raise ValueError("billing is never urgent")
        return self


RIGHT = {"team": "billing", "urgent": False, "level": 1, "tags": ["vip"]}
TASK: Task[Answer] = Task(Answer, name="case", input=Case)
FLAT = """\
name: flat
input: {{title: text, body: text}}
fields:
  team: {{options: [billing, login]}}
  tags: {{type: tags, options: [vip, late]}}
data: {{columns: {{input: {input}, output: {{team: label}}, id: key}}}}
"""


def found(given: Any = "hello", /, **output: Any) -> list[Finding]:
    row = {"input": given, "output": {**RIGHT, **output}, "id": "r"}
    return [*lint(TASK, [check(row, TASK, 1)], only=EXACT).findings]


def one(given: Any = "hello", /, **output: Any) -> Finding:
    (finding,) = found(given, **output)
    assert (finding.severity, finding.rows, finding.certainty) == ("error", ("r",), 1.0)
    return finding


def test_none_of_500_planted_unknown_labels_and_breaches_is_missed() -> None:
    rows = [{"input": f"text {n}", "output": {**RIGHT}, "id": f"r{n}"} for n in range(2000)]
    for n in range(0, 1000, 4):
        rows[n]["output"] = {**RIGHT, "team": f"team {n}"}
        rows[n + 1]["output"] = {**RIGHT, "urgent": True}
    linted = lint(TASK, [check(row, TASK, n) for n, row in enumerate(rows)], only=EXACT)
    assert {(one.code, one.rows) for one in linted.findings} == {
        *(("unknown-label", (f"r{n}",)) for n in range(0, 1000, 4)),
        *(("schema", (f"r{n}",)) for n in range(1, 1000, 4)),
    }
    assert linted.counts == {"unknown-label": 250, "schema": 250}
    assert (linted.rows, linted.rejected, linted.clean) == (2000, 500, 1500)


@pytest.mark.parametrize(
    ("output", "message", "suggested"),
    [
        ({"team": "Biling"}, '"Biling" is none of the options: "billing", "technical support"', "billing"),
        ({"team": "technics supporter"}, '"technics supporter" is none of', "technical support"),
        ({"team": "xyz"}, '"xyz" is none of', None),
        ({"team": None}, "null is none of", None),
        ({"urgent": "yes"}, '"yes" is none of the options: false, true', True),
        ({"level": 7}, "7 is none of the options: 1, 2, 3, null", None),
        ({"tags": ["late", "VIP"]}, '"VIP" is none of', ["late", "vip"]),
        ({"tags": ["vips", "lates"]}, '"vips" and "lates" are none of', ["vip", "late"]),
        ({"tags": ["vips", "qqq"]}, '"vips" and "qqq" are none of', None),
    ],
)
def test_an_unknown_label_is_told_with_what_is_meant(output: dict[str, Any], message: str, suggested: Any) -> None:
    finding = one(**output)
    assert (finding.code, finding.field, finding.suggested) == ("unknown-label", *output, suggested)
    assert finding.message.startswith(message)
    assert "add it to the schema, or map it with data migrate" in finding.suggestion
    assert ("if that is meant; else" in finding.suggestion) == (suggested is not None)


def test_many_options_are_not_listed() -> None:
    class Wide(BaseModel):
        n: Literal["a", "b", "c", "d", "e", "f", "g", "h", "i"]

    task: Task[Wide] = Task(Wide, name="wide")
    linted = lint(task, [check({"input": "x", "output": {"n": "zz"}}, task, 1)], only=EXACT)
    assert linted.findings[0].message == '"zz" is none of the options'


def test_a_validator_speaks_in_its_own_words() -> None:
    finding = one(urgent=True)
    assert (finding.code, finding.field) == ("schema", None)
    assert finding.message.startswith("billing is never urgent")
    assert finding.suggestion == "correct the output, or the rule of the schema that is wrong"


def test_each_field_that_is_wrong_is_a_finding() -> None:
    findings = found(team="nobody", urgent=3, other=1)
    assert {(finding.code, finding.field) for finding in findings} == {
        ("unknown-label", "team"),
        ("unknown-label", "urgent"),
        ("schema", "other"),
    }


@pytest.mark.parametrize("given", ["", " ", {"text": "  "}, {"text": None}, {"text": None, "lines": [" "]}])
def test_an_empty_input_is_empty_and_nothing_else(given: Any) -> None:
    finding = one(given, team="nobody")
    assert (finding.code, finding.message) == ("empty", "the input is empty")


def test_an_input_that_does_not_fit_is_told_with_its_field() -> None:
    finding = one({"text": "hi", "age": 130})
    assert (finding.code, finding.field) == ("schema", "age")
    assert finding.message.startswith("in the input: Input should be less than or equal to 120")
    assert finding.suggestion == "correct the input, or what the spec says of it"
    whole = one(3)
    assert (whole.code, whole.field) == ("schema", None)
    assert whole.message.startswith("expected the fields text, lines, age")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"input": "hi"}, "row 4: has no 'output'"),
        ({"input": "hi", "output": RIGHT, "colour": "red"}, "row 4: colour: is no key of a row"),
    ],
)
def test_what_is_no_row_is_unreadable(row: Mapping[str, Any], message: str) -> None:
    (finding,) = lint(TASK, [check(row, TASK, 4)], only=EXACT).findings
    assert (finding.code, finding.suggestion) == ("unreadable", "mend the row, or delete it")
    assert finding.message.startswith(message)


def test_a_line_that_is_no_json_is_unreadable(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"input": "hi", \n[1]\n')
    first, second = lint(TASK, read(data, TASK), only=EXACT).findings
    assert first.message.startswith("row 1: is not JSON: ")
    assert second.message == "row 2: is not a JSON object"
    assert first.suggestion == "write the row anew, or delete it"


@pytest.mark.parametrize("named", ["title", "{title: subject}"])
def test_flat_rows_are_told_by_their_fields(tmp_path: Path, named: str) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(FLAT.format(input=named))
    title = "subject" if ":" in named else "title"
    data = tmp_path / "rows.csv"
    data.write_text(f'{title},body,label,tags,key\nhi,there,bill,"vip,VIP",a\n"","",billing,vip,b\n')
    task: Task[Any] = Task.load(spec)
    findings = lint(task, read(data, task), only=EXACT).findings
    assert [(finding.code, finding.field, finding.suggested, finding.rows) for finding in findings] == [
        ("unknown-label", "team", "billing", ("a",)),
        ("unknown-label", "tags", ["vip"], ("a",)),
        ("empty", None, None, ("b",)),
    ]


def test_flat_rows_of_one_text_are_empty_where_its_column_is(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("name: flat\nfields: {team: {options: [billing, login]}}\n")
    data = tmp_path / "rows.csv"
    data.write_text("text,team\n ,billing\n")
    task: Task[Any] = Task.load(spec)
    assert [finding.code for finding in lint(task, read(data, task), only=EXACT).findings] == ["empty"]
