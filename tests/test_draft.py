"""Replies of nested records: read, merged, refused."""

from __future__ import annotations

import json
import pickle
from datetime import date
from enum import IntEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError

from decider.decision import Reply
from decider.draft import Draft, Misfit
from decider.errors import (
    BudgetExceeded,
    DataError,
    EngineError,
    EngineRejected,
    EngineUnavailable,
    InputError,
    SpecError,
)
from decider.task import Task


class Inner(BaseModel):
    team: Literal["a", "b"]
    level: int


class Nested(BaseModel):
    inner: Inner
    flag: bool


TASK = Task(Nested, name="nested")


def test_steps_fill_in_one_nested_record() -> None:
    draft = Draft(TASK)
    draft.read(Reply(text='{"inner": {"team": "a"}}'), TASK.fields[:1], 0)
    draft.read(Reply(text='{"inner": {"level": 3}, "flag": true}'), TASK.fields[1:], 1)
    output = draft.output()
    assert output == Nested(inner=Inner(team="a", level=3), flag=True)
    assert draft.output() is output
    assert [one.step for one in draft.decisions(output).values()] == [0, 1, 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"inner": {"team": "a", "level": 1, "more": 2}, "flag": true}', "'inner.more' was not asked for"),
        ('{"inner": {"team": "a", "level": 1}, "flag": true, "none": {}}', "'none' was not asked for"),
        ('{"inner": "a", "flag": true}', "'inner.team' is missing"),
        ('{"inner": {"team": "a", "level": 1}}', "'flag' is missing"),
        ('{"inner": {"team": "a", "level": 1}, "flag": true, "inner.team": "b"}', "'inner.team' was not asked for"),
        ('{"inner": {"team": "a", "level": 1, "team.x": {"y": 1}}, "flag": true}', "'inner.team.x' was not asked for"),
        ('{"inner.team": "a", "inner": {"level": 1}, "flag": true}', "'inner.team' is missing"),
        ("", "The reply is not JSON: EOF"),
        ("null", "The reply is not a JSON object"),
        ('{"inner": {"team": "a", "level": 1}, "flag": true} and more', "The reply is not JSON: trailing characters"),
        ("[" * 1000, "The reply is not JSON: recursion limit"),
    ],
)
def test_what_was_not_asked_for_or_is_missing_is_a_misfit(text: str, says: str) -> None:
    with pytest.raises(Misfit, match=says):
        Draft(TASK).read(Reply(text=text), TASK.fields, 0)


def test_only_the_first_mistakes_are_told_and_shortly() -> None:
    draft = Draft(TASK)
    long = "x" * 5000
    draft.read(Reply(text=f'{{"inner": {{"team": "{long}", "level": "{long}"}}, "flag": 1}}'), TASK.fields, 0)
    with pytest.raises(Misfit) as caught:
        draft.output()
    assert len(str(caught.value)) < 600
    assert "allowed: 'a', 'b'" in str(caught.value)


class Item(BaseModel):
    price: float


class Open(BaseModel):
    note: str
    amount: float | None
    items: list[Item]
    prices: list[float]
    team: Literal["Infinity", "NaN"]


OPEN = Task(Open, name="open")
FITTING: dict[str, str] = {"note": '"n"', "amount": "1.5", "items": "[]", "prices": "[1, 2]", "team": '"NaN"'}


def reading(**values: str) -> Open:
    """The output of a reply that holds these values, as JSON, in place of fitting ones."""
    draft = Draft(OPEN)
    text = ", ".join(f'"{name}": {value}' for name, value in {**FITTING, **values}.items())
    draft.read(Reply(text=f"{{{text}}}"), OPEN.fields, 0)
    return draft.output()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("note", "{}", "note"),
        ("amount", "{}", "amount"),
        ("prices", "[1, {}]", "prices.1"),
        ("items", '[{{"price": 1}}, {{"price": {}}}]', "items.1.price"),
        ("team", "{}", "team"),
    ],
)
def test_a_number_that_json_does_not_have_is_named_where_it_stands(
    number: str, name: str, value: str, path: str
) -> None:
    with pytest.raises(Misfit, match=f"^The field '{path}' is a number that JSON does not have: NaN, or infinity.$"):
        reading(**{name: value.format(number)})


@pytest.mark.parametrize(("text", "where"), [("NaN", "the reply"), ("[[1], [Infinity]]", "1.0"), ('{"": NaN}', "the")])
def test_it_is_named_where_there_is_no_field_too(text: str, where: str) -> None:
    with pytest.raises(Misfit, match=f"The field '{where}.*' is a number"):
        Draft(OPEN).read(Reply(text=text), OPEN.fields, 0)


def test_a_number_that_is_too_large_becomes_no_text_and_no_label() -> None:
    """Python reads 1e999 as infinity, which is no number, no text, and no label of that name."""
    for name, says in [
        ("note", "note: Input should be a valid string"),
        ("amount", "amount: Input should be a valid number"),
        ("team", "team: inf is not allowed"),
    ]:
        with pytest.raises(Misfit, match=says):
            reading(**{name: "1e999"})
        with pytest.raises(Misfit, match=says.replace("inf", "-inf")):
            reading(**{name: "-1e999"})
    with pytest.raises(Misfit, match="prices: Input should be a valid number"):
        reading(prices="[1, 1e999]")


def test_words_that_look_like_such_numbers_are_words() -> None:
    output = reading(note='"NaN"', team='"Infinity"')
    assert (output.note, output.team) == ("NaN", "Infinity")
    assert reading(note='"-Infinity and \\"NaN\\""').note == '-Infinity and "NaN"'


def test_what_an_engine_cannot_read_is_told_in_its_words() -> None:
    with pytest.raises(Misfit) as caught:
        Draft(OPEN).read(Reply(text="{}", problem="Two calls."), OPEN.fields, 0)
    assert (str(caught.value), caught.value.whole, caught.value.paths) == ("Two calls.", False, frozenset())


def test_refused_fields_are_not_missed_and_not_taken() -> None:
    draft = Draft(TASK)
    draft.read(Reply(text='{"inner": {"level": 3}}', refused=("inner.team", "flag")), TASK.fields, 2)
    assert draft.values == {"inner.level": 3}
    with pytest.raises(Misfit, match="'flag' was not asked for"):
        draft.read(Reply(text='{"inner": {"level": 3}, "flag": true}', refused=("inner.team", "flag")), TASK.fields, 0)
    (partial,) = draft.partial().values()
    assert (partial.value, partial.step, partial.probability) == (3, 2, None)


def test_a_fork_leaves_the_record_as_it_is() -> None:
    draft = Draft(TASK)
    draft.read(Reply(text='{"flag": true}'), TASK.fields[2:], 0)
    fork = draft.fork()
    fork.read(Reply(text='{"inner": {"team": "b", "level": 1}, "flag": false}'), TASK.fields, 1)
    assert (draft.text, fork.text) == ('{"flag":true}', '{"flag":false,"inner":{"team":"b","level":1}}')
    assert fork.output().flag is False


class Ruled(BaseModel):
    team: Literal["a"] | Literal["b"]
    level: Annotated[int, Field(ge=1, le=3)]
    tags: Annotated[list[Literal["x", "y"]], Field(max_length=1)]
    done: bool

    @field_validator("team")
    @classmethod
    def not_b(cls, team: str) -> str:
        if team == "b":
            raise PydanticCustomError("leave", "that team is on leave")
        return team


RULED = Task(Ruled, name="ruled")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"team": "c"}, "team: 'c' is not allowed; allowed: 'a', 'b'."),
        ({"team": "b"}, "team: that team is on leave (came: 'b')."),
        ({"team": None}, "team: null is not allowed; allowed: 'a', 'b'."),
        ({"level": 4}, "level: 4 is not allowed; allowed: 1, 2, 3."),
        ({"level": 0}, "level: 0 is not allowed; allowed: 1, 2, 3."),
        ({"level": "1"}, "level: '1' is not allowed; allowed: 1, 2, 3."),
        ({"done": 1}, "done: 1 is not allowed; allowed: false, true."),
        ({"tags": ["z"]}, "tags: 'z' is not allowed; allowed: 'x', 'y'."),
        ({"tags": "x"}, "tags: Input should be a valid array (came: 'x')."),
        ({"tags": ["x", "y"]}, "tags: List should have at most 1 item after validation, not 2 (came: ['x', 'y'])."),
    ],
)
def test_a_mistake_says_what_came_and_what_is_allowed(values: dict[str, Any], says: str) -> None:
    draft, said = Draft(RULED), {"team": "a", "level": 1, "tags": [], "done": True, **values}
    draft.read(Reply(text=json.dumps(said)), RULED.fields, 0)
    with pytest.raises(Misfit) as caught:
        draft.output()
    assert str(caught.value) == f"The reply does not fit. {says}"
    assert caught.value.paths == {next(iter(values))}
    assert caught.value.whole


class Level(IntEnum):
    low = 1
    high = 2


class Rated(BaseModel):
    level: Level
    levels: list[Level]


@pytest.mark.parametrize("one", ["true", "1.0"])
def test_what_equals_a_label_to_python_alone_is_no_label(one: str) -> None:
    task = Task(Rated, name="rated")
    for text in (f'{{"level": {one}, "levels": [2]}}', f'{{"level": 1, "levels": [2, {one}]}}'):
        with pytest.raises(Misfit, match="is not allowed; allowed: 1, 2"):
            Draft(task).read(Reply(text=text), task.fields, 0)


class Dated(BaseModel):
    day: date
    score: float
    note: str


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"day": "0", "score": 1, "note": ""}', "day: '0' is no date as YYYY-MM-DD"),
        ('{"day": "2026-01-02T00:00", "score": 1, "note": ""}', "is no date as YYYY-MM-DD"),
        (f'{{"day": "2026-01-02", "score": 1{"0" * 400}, "note": ""}}', "a number of hundreds of digits"),
        ('{"day": "2026-01-02", "score": 1, "note": "\ud800"}', "half a character"),
    ],
)
def test_what_readers_of_json_differ_about_is_refused(text: str, says: str) -> None:
    task = Task(Dated, name="dated")
    with pytest.raises(Misfit, match=says):
        Draft(task).read(Reply(text=text), task.fields, 0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"day": "2026-01-02", "score": 1, "score": 2, "note": ""}', "'score' is there twice"),
        ('{"day": "2026-01-02", "score": 1, "note": "", "note" : ""}', "'note' is there twice"),
    ],
)
def test_a_name_that_is_there_twice_is_refused(text: str, says: str) -> None:
    task = Task(Dated, name="dated")
    with pytest.raises(Misfit, match=says):
        Draft(task).read(Reply(text=text), task.fields, 0)


def test_a_text_may_look_like_a_name() -> None:
    task = Task(Dated, name="dated")
    draft = Draft(task)
    draft.read(Reply(text='{"day": "2026-01-02", "score": 1, "note": "\\"score\\": 2"}'), task.fields, 0)
    assert draft.output().note == '"score": 2'


def test_a_day_is_a_day() -> None:
    task = Task(Dated, name="dated")
    draft = Draft(task)
    draft.read(Reply(text='{"day": "2026-01-02", "score": 1, "note": ""}'), task.fields, 0)
    assert draft.output().day == date(2026, 1, 2)


def test_single_fields_are_checked_while_others_are_missing() -> None:
    draft = Draft(RULED)
    draft.read(Reply(text='{"team": "a"}'), RULED.fields[:1], 0)
    draft.check(RULED.fields[:1])
    draft.read(Reply(text='{"team": "b", "level": 9}'), RULED.fields[:2], 0)
    with pytest.raises(Misfit, match="team: that team is on leave .* level: 9 is not allowed"):
        draft.check(RULED.fields[:2])


def test_errors_go_between_processes() -> None:
    for one in (
        EngineRejected("x", reason="auth"),
        SpecError("x", file="f", line=1),
        EngineUnavailable("x", retry_after=2.0),
    ):
        again = pickle.loads(pickle.dumps(one))
        assert (type(again), str(again), vars(again)) == (type(one), str(one), vars(one))


def test_errors_say_where() -> None:
    assert str(DataError("bad", file="f.csv", row=3)) == "f.csv:3: bad"
    assert str(DataError("bad")) == "bad"
    assert str(InputError("bad", row="3", field="a")) == "row 3: a: bad"
    assert str(SpecError("bad", remedy="mend it")) == "bad; mend it"
    assert not BudgetExceeded("x").retryable
    assert issubclass(BudgetExceeded, EngineError)
