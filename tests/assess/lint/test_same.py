"""The same inputs: no planted contradiction, duplicate or doubled id is missed, and good rows give no finding."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

from decider.assess.lint.finding import MOST_ROWS, Finding
from decider.assess.lint.lint import lint
from decider.data.rows import check
from decider.task import Task

Team = Literal["billing", "login", "sales"]


class Answer(BaseModel):
    team: Team
    tags: list[Literal["a", "b", "c"]]
    amount: int | None
    why: str


class Lead(BaseModel):
    age: int
    job: str
    town: str | None = None


class Thread(BaseModel):
    age: int
    mails: list[dict[str, str]]


ONE: Task[Answer] = Task(Answer, name="team")
LEADS: Task[Answer] = Task(Answer, name="leads", input=Lead)
THREADS: Task[Answer] = Task(Answer, name="threads", input=Thread)
EXACT = ("contradiction", "duplicate", "duplicate-id")


def found(task: Task[Any], *rows: Mapping[str, Any], only: tuple[str, ...] = EXACT) -> list[Finding]:
    return [*lint(task, [check(row, task, n) for n, row in enumerate(rows, 1)], doubt=False, only=only).findings]


def row(text: Any, team: str = "billing", **more: Any) -> dict[str, Any]:
    about: dict[str, Any] = {key: more.pop(key) for key in ("id", "source", "by") if key in more}
    return {"input": text, "output": {"team": team, "tags": [], "amount": None, "why": "", **more}, **about}


def text_of(n: int) -> str:
    chance = random.Random(n)
    return " ".join("".join(chance.choices("abcdefghij", k=6)) for _ in range(12))


def test_none_of_500_planted_contradictions_is_missed() -> None:
    rows = [row(text_of(n), id=f"r{n}") for n in range(2000)]
    planted = random.Random(1).sample(range(2000), 500)
    rows += [row(f" {text_of(n).upper()} ", "login", id=f"p{n}") for n in planted]
    findings = found(ONE, *rows)
    assert {one.rows for one in findings} == {(f"p{n}", f"r{n}") for n in planted}
    assert {(one.code, one.severity, one.field) for one in findings} == {("contradiction", "error", "team")}


def test_a_contradiction_says_who_has_what_and_suggests_the_majority() -> None:
    (one,) = found(ONE, row("hi", id="a", why="x"), row("hi", id="b", why="y"), row("hi", "login", id="c"))
    assert one.rows == ("c", "a", "b")
    assert one.message == 'the same input has 2 labels: "billing" in 2 rows (a, …), "login" in 1 row (c)'
    assert one.suggestion == 'give all of them "billing" if the majority is right'
    assert one.suggested == "billing"
    assert 0.96 < one.certainty < 0.97
    assert one.to_json()["suggested"] == "billing"


def test_a_tie_is_left_to_a_person() -> None:
    (one,) = found(ONE, row("hi"), row("hi", "login"))
    assert one.suggested is None
    assert one.suggestion == "decide which of them is right, and give it to all"
    assert "suggested" not in one.to_json()


def test_what_somebody_checked_is_suggested_against_a_majority() -> None:
    rows = [row("hi"), row("hi"), row("hi", "login", source="corrected")]
    (one,) = [one for one in found(ONE, *rows) if one.code == "contradiction"]
    assert (one.suggested, one.suggestion) == ("login", 'give all of them "login", which somebody checked')


def test_people_who_disagree_are_left_to_decide() -> None:
    rows = [row("hi", by="ana"), row("hi", by="ana"), row("hi", "login", source="confirmed")]
    assert {one.suggested for one in found(ONE, *rows) if one.code == "contradiction"} == {None}


def test_each_field_is_a_finding_and_the_values_that_are_named_are_few() -> None:
    rows = [row("hi", amount=n, tags=["a"] if n else ["b"]) for n in range(6)]
    by_field = {one.field: one for one in found(ONE, *rows)}
    assert set(by_field) == {"tags", "amount"}
    assert by_field["amount"].message.startswith("the same input has 6 labels: 0 in 1 row (1), 1 in 1 row (2), ")
    assert by_field["amount"].message.endswith(" and 2 more")


def test_tags_are_sets_and_open_texts_do_not_contradict() -> None:
    rows = [row("hi", tags=["a", "b"], why="one"), row("hi", tags=["b", "a"], why="another")]
    assert found(ONE, *rows) == []


def test_the_same_rows_are_duplicates() -> None:
    (one,) = found(ONE, row("Hi  there", tags=["a", "b"]), row("hi there", tags=["b", "a"]), row("bye"))
    assert (one.code, one.severity, one.rows, one.certainty) == ("duplicate", "warning", ("1", "2"), 1.0)
    assert one.message == "2 rows have the same input and the same output"


def test_many_duplicates_are_one_finding_that_names_the_first_of_them() -> None:
    (one,) = found(ONE, *[row("hi")] * 1200)
    assert (len(one.rows), len(one.to_json()["rows"])) == (1200, MOST_ROWS)
    assert one.message.startswith("1,200 rows ")


def test_rows_without_any_free_text_may_be_other_cases() -> None:
    lead = {"age": 30, "job": "nurse"}
    findings = found(LEADS, row(lead), row(lead, "login"), row(lead), row({"age": 1, "job": "cook"}))
    assert [(one.code, one.severity, one.certainty) for one in findings] == [
        ("contradiction", "warning", 0.5),
        ("duplicate", "note", 0.5),
    ]
    assert "leave them if such cases really end differently" in findings[0].suggestion
    assert findings[0].suggested is None


def test_texts_inside_of_lists_are_free_texts() -> None:
    thread = {"age": 1, "mails": [{"text": "where is my invoice please"}, {"text": "in the mail"}]}
    (one,) = found(THREADS, row(thread), row(thread, "login"))
    assert one.severity == "error"


def test_a_doubled_id_is_an_error_and_numbers_of_rejected_rows_are_no_ids() -> None:
    rows = [row("a", id="x"), row("b", id="x"), row("c", "nobody", id="x"), row("d", "nobody"), row("e", id="4")]
    (one,) = found(ONE, *rows)
    assert (one.code, one.severity, one.rows) == ("duplicate-id", "error", ("x",))
    assert one.message == "3 rows have this id: rows 1, 2, 3 (rejected)"


def test_a_number_that_is_another_rows_id_is_told_and_places_are_bounded() -> None:
    numbered = found(ONE, row("a", id="2"), row("b"))[0].message
    assert numbered == "2 rows have this id: rows 1, 2 (its number, for want of an id)"
    many = found(ONE, *[row(text_of(n), id="x") for n in range(40)])[0].message
    assert many == "40 rows have this id: rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 30 more"


def test_a_long_label_is_cut_in_a_message() -> None:
    class Long(BaseModel):
        team: Literal["a", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]

    task: Task[Long] = Task(Long, name="long")
    (one,) = found(task, {"input": "hi", "output": {"team": "a"}}, {"input": "hi", "output": {"team": "b" * 77}})
    assert "b" * 59 + '…" in 1 row' in one.message
