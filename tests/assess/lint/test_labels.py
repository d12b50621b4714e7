"""Labels: what is planted is found, and labels that are well spread give no finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from decider.assess.lint.finding import Finding, Rows
from decider.assess.lint.labels import labels
from decider.task import Task
from lint_rows import codes, rows_of


class Routed(BaseModel):
    team: Literal["billing", "login", "sales"]
    urgent: bool
    level: Literal[1, 2, 3]
    tags: list[Literal["a", "b"]]
    note: str


ROUTED: Task[Routed] = Task(Routed, name="routed")
TEAMS = ("billing", "login", "sales")


def output(n: int, **other: Any) -> dict[str, Any]:
    """An output whose fields say nothing of each other."""
    free = {
        "team": TEAMS[n % 3],
        "urgent": n % 7 < 3,
        "level": n // 3 % 3 + 1,
        "tags": [["a"], ["a", "b"], ["b"]][n % 3],
    }
    return {**free, "note": f"note {n}", **other}


def routed(outputs: Sequence[Mapping[str, Any]]) -> Rows:
    return rows_of(ROUTED, [(f"text {n}", one) for n, one in enumerate(outputs)])


def only(findings: Sequence[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def test_labels_that_are_well_spread_give_no_finding() -> None:
    assert list(labels(routed([output(n) for n in range(126)]))) == []


def test_no_rows_give_no_finding() -> None:
    assert list(labels(routed([]))) == []


def test_a_label_with_few_rows_is_named_with_what_it_lacks() -> None:
    rows = [output(n, team="sales" if n in (4, 90) else TEAMS[n % 2]) for n in range(126)]
    found = only(list(labels(routed(rows))))
    assert (found.code, found.severity, found.field, found.rows) == ("rare-label", "warning", "team", ("5", "91"))
    assert found.message.startswith('1 label with fewer than 10 rows: "sales" (2)')
    assert found.suggestion.startswith("label 8 more rows")


def test_rare_tags_and_levels_are_named_together() -> None:
    rows = [output(n, level=2 if n == 1 else 3 if n < 6 else 1, tags=["b"] if n == 5 else ["a"]) for n in range(50)]
    found = [one.message for one in labels(routed(rows)) if one.code == "rare-label"]
    assert [one.partition(";")[0] for one in found] == [
        "2 labels with fewer than 10 rows: 2 (1), 3 (5)",
        '1 label with fewer than 10 rows: "b" (1)',
    ]


def test_an_option_that_no_row_has_is_found() -> None:
    found = next(labels(routed([output(n, team=TEAMS[n % 2], tags=["a"] * (n % 2)) for n in range(126)])))
    assert (found.code, found.severity, found.field) == ("unused-option", "warning", "team")
    assert 'no row has "sales"' in found.message


class Optional(BaseModel):
    team: Literal["billing", "login"] | None
    ground: str | None


def test_null_that_no_row_has_is_a_note() -> None:
    task: Task[Optional] = Task(Optional, name="optional")
    rows = [(f"text {n}", {"team": TEAMS[n % 2], "ground": "g" if n == 3 else None}) for n in range(40)]
    found = list(labels(rows_of(task, rows)))
    assert codes(found) == [("unused-option", "note", "team"), ("missing", "note", "ground")]
    assert "no row has null" in found[0].message
    assert "ground has a value in only 1 of 40 rows" in found[1].message


@pytest.mark.parametrize(("others", "severity"), [(20, "note"), (2, "warning")])
def test_a_label_of_nearly_all_rows_is_an_imbalance(others: int, severity: str) -> None:
    rows = [output(n, urgent=n < others) for n in range(400)]
    found = next(one for one in labels(routed(rows)) if one.code == "imbalance")
    assert (found.severity, found.field) == (severity, "urgent")
    assert f"always answering false is right in {1 - others / 400:.1%}" in found.message


def test_labels_of_very_different_sizes_are_an_imbalance() -> None:
    rows = [output(n, team="sales" if n < 10 else TEAMS[n % 7 // 4]) for n in range(1200)]
    found = only(list(labels(routed(rows))))
    assert (found.code, found.severity) == ("imbalance", "note")
    assert '"sales" 10: it weighs' in found.message


class Alike(BaseModel):
    kind: Literal["refund", "Refunds", "lost-card", "lost card", "query", "queries", "pass", "news", "new", "other"]


def test_options_in_two_spellings_are_found() -> None:
    task: Task[Alike] = Task(Alike, name="alike")
    options = [option.value for option in task.fields[0].options]
    rows = [(f"text {n}", {"kind": options[n % len(options)]}) for n in range(200)]
    found = list(labels(rows_of(task, rows)))
    assert codes(found) == [("alike-labels", "warning", "kind")] * 3
    assert found[0].message == 'the options "refund" and "Refunds" differ only in spelling'


Eight = Literal["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen"]


class Animals(BaseModel):
    animal: Eight
    maybe: Eight | None
    group: Literal["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "some_other"]


def test_a_choice_of_many_without_another_is_a_note() -> None:
    task: Task[Animals] = Task(Animals, name="animals")
    names = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen")
    rows = [
        {
            "animal": names[n % 8],
            "maybe": [*names, None][n // 8 % 9],
            "group": names[:7][n // 3 % 7] if n % 5 else "some_other",
        }
        for n in range(504)
    ]
    found = only(list(labels(rows_of(task, [(f"text {n}", row) for n, row in enumerate(rows)]))))
    assert (found.code, found.severity, found.field) == ("no-none-of-these", "note", "animal")
    assert "none of its 8 options" in found.message


class Case(BaseModel):
    text: str
    shop: str
    rank: int | None = None


def test_a_field_with_one_value_is_constant() -> None:
    task: Task[Routed] = Task(Routed, name="routed", input=Case)
    rows = [
        ({"text": f"text {n}", "shop": "north", "rank": 1 if n == 1 else None}, output(n, team="login", tags=["a"]))
        for n in range(126)
    ]
    found = list(labels(rows_of(task, rows)))
    assert codes(found) == [
        ("constant", "warning", "team"),
        ("constant", "warning", "tags"),
        ("constant", "note", None),
        ("missing", "note", "rank"),
    ]
    assert 'is "login" in all 126 rows' in found[0].message
    assert found[2].message.endswith("input shop")


def test_a_field_that_follows_from_another_is_a_note() -> None:
    found = only(list(labels(routed([output(n, urgent=n % 3 == 0) for n in range(126)]))))
    assert (found.code, found.severity, found.field, found.rows) == ("determined", "note", "urgent", ())
    assert "follows from `team` in all 126 rows" in found.message


def test_rows_that_break_a_rule_are_named() -> None:
    rows = [output(n, urgent=(n % 3 == 0) != (n in (7, 600))) for n in range(1260)]
    found = only(list(labels(routed(rows))))
    assert (found.code, found.severity, found.rows) == ("determined", "warning", ("8", "601"))
    assert "in all rows but 2 of 1,260" in found.message


def test_fields_that_say_the_same_are_told_once() -> None:
    rows = [output(n, level=n % 3 + 1) for n in range(126)]
    assert codes(list(labels(routed(rows)))) == [("determined", "note", "team")]


def test_values_of_their_own_break_no_rule() -> None:
    rows = [output(n, level=3 if n % 60 == 7 else n % 3 // 2 + 1) for n in range(1260)]
    assert list(labels(routed(rows))) == []


class Many(BaseModel):
    number: Literal["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "other"]


def test_many_labels_are_listed_up_to_ten() -> None:
    task: Task[Many] = Task(Many, name="many")
    found = next(labels(rows_of(task, [(f"text {n}", {"number": "abcdefghijk"[n % 11]}) for n in range(22)])))
    assert found.message.startswith('11 labels with fewer than 10 rows: "a" (2), "b" (2)')
    assert '"j" (2) and 1 more; ' in found.message


def test_optional_fields_with_values_are_none_of_the_missing() -> None:
    task: Task[Routed] = Task(Routed, name="routed", input=Case)
    rows = [({"text": f"text {n}", "shop": f"shop {n % 5}", "rank": n % 2 or None}, output(n)) for n in range(126)]
    assert list(labels(rows_of(task, rows))) == []
