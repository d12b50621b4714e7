"""Nearly the same inputs: differing labels are found, a detail that decides is told once, and nothing explodes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel

from decider.assess.lint.finding import Finding, Rows
from decider.assess.lint.lint import lint
from decider.assess.lint.nearly import near_contradictions, near_duplicates
from decider.data.near import Near
from decider.data.rows import check
from decider.decision import Example
from decider.task import Task


class Answer(BaseModel):
    team: Literal["billing", "login", "sales"]
    urgent: bool


TASK: Task[Answer] = Task(Answer, name="team")
NEAR = ("near-contradiction", "near-duplicate")


def found(*rows: tuple[str, str]) -> list[Finding]:
    given = [
        {"input": text, "output": {"team": team, "urgent": False}, "id": f"r{n}"} for n, (text, team) in enumerate(rows)
    ]
    checked = [check(row, TASK, n) for n, row in enumerate(given, 1)]
    return [*lint(TASK, checked, doubt=False, only=NEAR).findings]


def seen(teams: Sequence[str], near: Sequence[tuple[int, int, float]], same: Sequence[int] = ()) -> Rows:
    examples = tuple(
        Example(input=f"text {n}", output={"team": team, "urgent": False}, id=str(n)) for n, team in enumerate(teams)
    )
    pairs = tuple(Near(first=first, second=second, similarity=similarity) for first, second, similarity in near)
    return Rows(task=TASK, examples=examples, same=same or range(len(teams)), near=pairs)


def text_of(n: int, words: int = 12) -> list[str]:
    chance = random.Random(n)
    return ["".join(chance.choices("abcdefghijklmnop", k=7)) for _ in range(words)]


def test_none_of_200_planted_near_contradictions_is_missed() -> None:
    right = ["billing" if n % 2 else "sales" for n in range(1000)]
    rows = [(" ".join(text_of(n)), right[n]) for n in range(1000)]
    rows += [(" ".join([*text_of(n)[:-1], "otherwise"]), "login") for n in range(200)]
    rows += [(" ".join(["hello", *text_of(n)]), right[n]) for n in range(200, 900)]
    findings = [one for one in found(*rows) if one.code == "near-contradiction"]
    assert {one.rows for one in findings} == {(f"r{1000 + n}", f"r{n}") for n in range(200)}
    assert {one.severity for one in findings} == {"warning"}


def test_a_near_contradiction_says_how_similar_and_what_most_have() -> None:
    words = "please send the invoice of last month to my new address once more"
    rows = ((words, "billing"), (f"{words}!", "billing"), (f"{words} today", "login"), ("hello there", "sales"))
    (one,) = [one for one in found(*rows) if one.code == "near-contradiction"]
    assert (one.code, one.severity, one.field, one.rows) == (
        "near-contradiction",
        "warning",
        "team",
        ("r2", "r0", "r1"),
    )
    assert one.message.startswith("nearly the same input (0.9")
    assert one.message.endswith('has 2 labels: "billing" in 2 rows (r0, …), "login" in 1 row (r2)')
    assert one.suggested == "billing"


def test_what_differs_in_numbers_alone_is_told_so() -> None:
    (one,) = found(("my order 17 never came to me", "billing"), ("My order 99 never came to me.", "login"))
    assert one.message.startswith("the same input but for numbers and marks has 2 labels")


def test_pairs_that_are_less_similar_are_notes() -> None:
    (one,) = near_contradictions(seen(["billing", "login"], [(0, 1, 0.65)]))
    assert (one.severity, one.suggested) == ("note", None)


def test_near_duplicates_that_belong_together_are_one_finding() -> None:
    findings = [*near_duplicates(seen(["billing"] * 4, [(0, 1, 0.9), (1, 2, 0.8)], same=[0, 1, 2, 0]))]
    assert [(one.code, one.severity, one.rows) for one in findings] == [
        ("near-duplicate", "note", ("0", "1", "2", "3"))
    ]
    assert findings[0].message == "4 rows have nearly the same input (0.80 to 0.90) and the same labels"
    (pair,) = near_duplicates(seen(["login"] * 2, [(0, 1, 0.9)]))
    assert pair.message == "2 rows have nearly the same input (0.90) and the same labels"


def test_rows_with_other_labels_are_no_near_duplicates() -> None:
    rows = seen(["billing", "login", "billing", "billing"], [(0, 1, 0.9), (2, 3, 0.9)])
    assert [one.rows for one in near_duplicates(rows)] == [("2", "3")]


def test_where_a_detail_decides_that_is_told_and_each_is_but_a_note() -> None:
    pairs = [(n, n + 1, 0.9) for n in range(0, 60, 2)]
    about, *each = sorted(near_contradictions(seen(["billing", "login"] * 30, pairs)), key=lambda one: -len(one.rows))
    assert about.message == (
        "30 pairs have nearly the same input, and 100% of them differ; of any two rows 50%: details decide"
        " this field, or something that is not in the input"
    )
    assert (about.severity, about.field, len(about.rows)) == ("note", "team", 60)
    assert [(one.severity, one.rows) for one in each] == [("note", (str(n + 1), str(n))) for n in range(0, 60, 2)]
    assert all(one.certainty < about.certainty for one in each)


def test_in_a_large_group_the_one_that_differs_stands_in_front_of_its_likes() -> None:
    teams = ["billing"] * 40
    teams[7] = "login"
    near = [(a, b, 0.9) for a in range(40) for b in range(a + 1, min(a + 8, 40))]
    (one,) = near_contradictions(seen([*teams, *["sales", "login"] * 20], near))
    assert one.rows[0] == "7"
    assert (len(one.rows), one.suggested) == (15, "billing")


def test_every_row_of_a_large_group_that_differs_is_named() -> None:
    chance = random.Random(3)
    teams = ["login" if chance.random() < 0.05 else "billing" for _ in range(400)]
    near = sorted(((n, m, 0.8) for n in range(400) for m in (n + 1, n + 2) if m < 400), key=lambda one: one[0])
    rows = seen([*teams, *["login", "sales"] * 200], near)
    named = {int(row) for one in near_contradictions(rows) for row in one.rows}
    assert {n for n, team in enumerate(teams) if team == "login"} <= named


def test_thousands_of_templates_are_a_bounded_number_of_findings() -> None:
    teams = ["billing"] * 3000
    near = [(n, m, 0.8) for n in range(3000) for m in range(n + 1, min(n + 10, 3000))]
    findings: list[Any] = [*near_duplicates(seen(teams, near))]
    assert len(findings) == 1
    assert len(findings[0].to_json()["rows"]) == 50
    assert findings[0].message.startswith("3,000 rows ")


def test_nothing_that_is_near_gives_no_finding() -> None:
    assert [*near_contradictions(seen(["billing", "login"], []))] == []
