"""Leaks: what is on two sides of a split is found, near or the same, and groups that a split tears apart."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from decider.assess.lint.finding import Finding, Rows
from decider.assess.lint.leaks import leaks
from decider.assess.lint.lint import lint
from decider.data.near import Near
from decider.data.rows import check
from decider.data.split import DEFAULT, Split
from decider.decision import Example
from decider.task import Task


class Answer(BaseModel):
    team: Literal["billing", "login"]


class Lead(BaseModel):
    age: int
    job: str


TASK: Task[Answer] = Task(Answer, name="team")
LEADS: Task[Answer] = Task(Answer, name="leads", input=Lead)


def found(*rows: Mapping[str, Any], task: Task[Any] = TASK, split: Split | None = None) -> list[Finding]:
    checked = [check({"output": {"team": "billing"}, **row}, task, n) for n, row in enumerate(rows, 1)]
    return [*lint(task, checked, doubt=False, only=("leakage",), split=split).findings]


def text_of(n: int, words: int = 12) -> list[str]:
    chance = random.Random(n)
    return ["".join(chance.choices("abcdefghijklmnop", k=7)) for _ in range(words)]


def sided(sides: Sequence[str], near: Sequence[tuple[int, int, float]]) -> Rows:
    examples = tuple(Example(input=str(n), output={"team": "billing"}, id=str(n)) for n in range(len(sides)))
    pairs = tuple(Near(first=first, second=second, similarity=similarity) for first, second, similarity in near)
    named = {str(n): side for n, side in enumerate(sides) if side}
    return Rows(task=TASK, examples=examples, sides=named, same=range(len(sides)), near=pairs)


def test_without_a_split_nothing_leaks() -> None:
    assert found({"input": "hi"}, {"input": "hi"}) == []


def test_none_of_200_planted_leaks_is_missed() -> None:
    rows = [{"input": " ".join(text_of(n)), "split": "train", "id": f"r{n}"} for n in range(1000)]
    rows += [{"input": " ".join(text_of(n)).title(), "split": "test", "id": f"same{n}"} for n in range(100)]
    for n in range(100, 200):
        rows.append({"input": " ".join(["hello", *text_of(n)]), "split": "validation", "id": f"near{n}"})
    findings = found(*rows)
    assert {one.rows for one in findings} == {
        *((f"same{n}", f"r{n}") for n in range(100)),
        *((f"near{n}", f"r{n}") for n in range(100, 200)),
    }
    assert {one.severity for one in findings if one.rows[0].startswith("same")} == {"error"}


def test_a_leak_says_what_is_where_and_what_was_held_out_first() -> None:
    sides = {"a": "train", "b": "train", "c": "test", "d": "dev"}
    rows = [{"input": "hi", "split": side, "id": name} for name, side in sides.items()]
    (one,) = found(*rows)
    assert one.rows == ("c", "d", "a", "b")
    assert one.message == "the same input is on several sides: test (c), validation (d), train (a and 1 more)"
    assert one.suggestion == "delete all but one, or split anew with data split, which keeps them together"


def test_a_split_file_decides_in_place_of_the_rows() -> None:
    split = Split(task="team", fingerprint="0", shares=DEFAULT, sides={"a": "train", "b": "test", "c": "excluded"})
    rows = [{"input": "hi", "split": "train", "id": name} for name in "abcd"]
    (one,) = found(*rows, split=split)
    assert one.rows == ("b", "a")


def test_rows_without_free_text_that_are_the_same_are_a_warning() -> None:
    rows = [{"input": {"age": 3, "job": "cook"}, "split": side} for side in ("train", "test")]
    assert [one.severity for one in found(*rows, task=LEADS)] == ["warning"]


def test_how_similar_says_how_severe() -> None:
    rows = sided(["train", "test"] * 3, [(0, 1, 0.95), (2, 3, 0.75), (4, 5, 0.62)])
    findings = [*leaks(rows)]
    assert [(one.severity, one.certainty) for one in findings] == [("error", 0.95), ("warning", 0.75), ("note", 0.62)]
    assert findings[0].message.startswith("nearly the same input (0.95) is on several sides: test (1), train (0)")


def test_a_row_that_is_like_many_is_one_finding() -> None:
    (one,) = leaks(sided(["test", *["train"] * 30], [(0, n, 0.8) for n in range(1, 31)]))
    assert one.rows == tuple(str(n) for n in range(31))
    assert one.message.endswith("test (0), train (1 and 29 more)")


def test_rows_on_no_side_or_the_same_side_do_not_leak() -> None:
    rows = sided(["train", "train", "", "excluded", "test"], [(0, 1, 1.0), (0, 2, 1.0), (0, 3, 1.0), (2, 3, 1.0)])
    assert [*leaks(rows)] == []


def test_a_group_on_two_sides_leaks() -> None:
    rows = [
        {"input": "one", "group": "ana", "split": "train", "id": "a"},
        {"input": "two", "group": "ana", "split": "test", "id": "b"},
        {"input": "three", "group": "bo", "split": "test", "id": "c"},
        {"input": "four", "split": "test", "id": "d"},
    ]
    (one,) = found(*rows)
    assert (one.severity, one.rows) == ("error", ("b", "a"))
    assert one.message == 'the group "ana" is on several sides: test (b), train (a)'
    assert one.suggestion.startswith("move it to one side, or split anew")
