"""Replies of nested records: read, merged, refused."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel

from decider.decision import Reply
from decider.errors import BudgetExceeded, DataError, EngineError, InputError, SpecError
from decider.record import Misfit, Record
from decider.task import Task


class Inner(BaseModel):
    team: Literal["a", "b"]
    level: int


class Nested(BaseModel):
    inner: Inner
    flag: bool


TASK = Task(Nested, name="nested")


def test_steps_fill_in_one_nested_record() -> None:
    record = Record(TASK)
    record.read(Reply(text='{"inner": {"team": "a"}}'), TASK.fields[:1], 0)
    record.read(Reply(text='{"inner": {"level": 3}, "flag": true}'), TASK.fields[1:], 1)
    output = record.output()
    assert output == Nested(inner=Inner(team="a", level=3), flag=True)
    assert record.output() is output
    assert [one.step for one in record.decisions(output).values()] == [0, 1, 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"inner": {"team": "a", "level": 1, "more": 2}, "flag": true}', "'inner.more' was not asked for"),
        ('{"inner": {"team": "a", "level": 1}, "flag": true, "none": {}}', "'none' was not asked for"),
        ('{"inner": "a", "flag": true}', "'inner.team' is missing"),
        ('{"inner": {"team": "a", "level": 1}}', "'flag' is missing"),
    ],
)
def test_what_was_not_asked_for_or_is_missing_is_a_misfit(text: str, says: str) -> None:
    with pytest.raises(Misfit, match=says):
        Record(TASK).read(Reply(text=text), TASK.fields, 0)


def test_only_the_first_mistakes_are_told_and_shortly() -> None:
    record = Record(TASK)
    long = "x" * 5000
    record.read(Reply(text=f'{{"inner": {{"team": "{long}", "level": "{long}"}}, "flag": 1}}'), TASK.fields, 0)
    with pytest.raises(Misfit) as caught:
        record.output()
    assert len(str(caught.value)) < 600
    assert "allowed: 'a', 'b'" in str(caught.value)


def test_errors_say_where() -> None:
    assert str(DataError("bad", file="f.csv", row=3)) == "f.csv:3: bad"
    assert str(DataError("bad")) == "bad"
    assert str(InputError("bad", row="3", field="a")) == "row 3: a: bad"
    assert str(SpecError("bad", remedy="mend it")) == "bad; mend it"
    assert not BudgetExceeded("x").retryable
    assert issubclass(BudgetExceeded, EngineError)
