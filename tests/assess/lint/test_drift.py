"""Drift: labels that change over time are found, and rows in any order give no finding."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from decider.assess.lint.drift import drift
from decider.assess.lint.finding import Finding, Rows
from decider.task import Task
from lint_rows import rows_of

TEAMS = ("billing", "login", "sales", "press")


class Routed(BaseModel):
    team: Literal["billing", "login", "sales", "press"]
    tags: list[Literal["a", "b", "c", "d", "e", "f"]]
    note: str


ROUTED: Task[Routed] = Task(Routed, name="routed")


def day(n: int) -> str:
    return (date(2026, 1, 1) + timedelta(days=n)).isoformat()


def random_output(chance: random.Random, n: int) -> dict[str, Any]:
    tags = [tag for tag in "abcdef" if chance.random() < 0.3]
    return {"team": chance.choices(TEAMS, (50, 30, 19, 1))[0], "tags": tags, "note": ""}


def dated(outputs: Sequence[dict[str, Any]], time: Callable[[int], str | None] = day, **about: Any) -> Rows:
    """Rows of one a day in a mixed order, as files have them."""
    rows = [(f"text {n}", one, time(n)) for n, one in enumerate(outputs)]
    random.Random(0).shuffle(rows)
    return rows_of(ROUTED, [(text, one) for text, one, _ in rows], time=[when for *_, when in rows], **about)


def only(findings: Sequence[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


@pytest.mark.parametrize("seed", range(20))
def test_rows_in_any_order_do_not_drift(seed: int) -> None:
    chance = random.Random(seed)
    assert list(drift(dated([random_output(chance, n) for n in range(400)]))) == []


def test_shares_that_change_are_told_with_their_dates() -> None:
    chance = random.Random(1)
    outputs = [{**random_output(chance, n), "team": chance.choices(TEAMS[:2], (400 - n, n))[0]} for n in range(400)]
    found = only(list(drift(dated(outputs))))
    assert (found.code, found.severity, found.field, found.rows) == ("drift", "warning", "team", ())
    assert "(2026-01-01 to 2026-04-10) to the last (2026-10-28 to 2027-02-04)" in found.message
    assert '"billing" 82% → 18%, "login" 18% → 82%' in found.message


def test_a_label_that_begins_and_one_that_ends_are_told() -> None:
    chance = random.Random(2)
    outputs = [{**random_output(chance, n), "team": chance.choice(TEAMS[n // 134 : n // 134 + 2])} for n in range(400)]
    message = only(list(drift(dated(outputs)))).message
    assert '"sales" begins on 2026-05-1' in message
    assert '"billing" ends on 2026-05-1' in message
    assert "rows before has it" in message


def test_tags_that_change_are_told_together() -> None:
    chance = random.Random(3)
    outputs = [
        {
            **random_output(chance, n),
            "tags": [tag for tag in "abcdef" if chance.random() < (n / 400 if tag in "ab" else 0.3)],
        }
        for n in range(400)
    ]
    found = only(list(drift(dated(outputs))))
    assert found.field == "tags"
    assert found.message.count("from the first quarter") == 1
    assert '"c" ' not in found.message.partition("): ")[2]


def test_many_labels_that_end_are_counted() -> None:
    chance = random.Random(4)
    outputs = [{**random_output(chance, n), "tags": list("abcdef" if n < 200 else "")} for n in range(400)]
    assert only(list(drift(dated(outputs)))).message.endswith("; and 3 more labels begin or end")


def test_a_change_that_is_small_does_not_matter() -> None:
    outputs = [
        {"team": TEAMS[n % 20 == 0 and n > 3000], "tags": ["a"] * (n % 20 == 0 and n > 3000), "note": ""}
        for n in range(4000)
    ]
    found = list(drift(dated(outputs, lambda n: str(1_700_000_000 + 3600 * (n % 3999)))))
    assert all("from the first quarter" not in one.message for one in found)


def test_rows_of_one_group_count_once() -> None:
    outputs = [{"team": TEAMS[n >= 300], "tags": [], "note": ""} for n in range(400)]
    chance = random.Random(5)
    mixed = [{**random_output(chance, n)} for n in range(150)]
    rows = [*mixed, *outputs[300:]]
    groups = [None if n < 150 else "one thread" for n in range(250)]
    task_rows = rows_of(
        ROUTED, [(f"text {n}", one) for n, one in enumerate(rows)], time=map(day, range(250)), group=groups
    )
    assert list(drift(task_rows)) == []


def test_few_rows_no_times_and_times_that_nobody_reads_say_nothing() -> None:
    outputs = [{"team": TEAMS[n >= 100], "tags": [], "note": ""} for n in range(200)]
    assert list(drift(dated(outputs[60:140]))) == []
    assert list(drift(dated(outputs, lambda n: None))) == []
    assert list(drift(dated(outputs, lambda n: f"day {n}"))) == []
    assert list(drift(dated(outputs, lambda n: "2026-01-01"))) == []
    assert len(list(drift(dated(outputs, lambda n: "soon" if n % 9 == 0 else day(n))))) == 1


def test_times_in_seconds_are_read() -> None:
    outputs = [{"team": TEAMS[n >= 100], "tags": [], "note": ""} for n in range(200)]
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    found = only(list(drift(dated(outputs, lambda n: str(start + 86_400 * n)))))
    assert '"billing" ends on 2026-04-10: none of the 100 rows after has it' in found.message


def test_same_inputs_are_optional() -> None:
    outputs = [{"team": TEAMS[n >= 100], "tags": [], "note": ""} for n in range(200)]
    rows = dated(outputs)
    assert len(list(drift(Rows(task=rows.task, examples=rows.examples)))) == 1


def test_a_label_of_all_rows_does_not_drift() -> None:
    assert list(drift(dated([{"team": "login", "tags": ["a"], "note": ""} for _ in range(200)]))) == []
