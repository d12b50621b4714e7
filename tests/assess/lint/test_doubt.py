"""Doubts: planted wrong labels come first, with the right one; nothing is said where nothing can be known."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from decider.assess.lint.doubt import LEAST, doubts
from decider.assess.lint.finding import Finding, Rows
from decider.decision import Example
from decider.task import Task
from lint_rows import rows_of

WORDS = {
    "billing": ("invoice", "refund", "charged", "payment", "money", "bank"),
    "login": ("password", "locked", "account", "reset", "code", "screen"),
    "sales": ("price", "offer", "buy", "contract", "seats", "discount"),
}
PARTS = {"money": "it costs", "access": "cannot enter", "press": "for the paper"}


class Routed(BaseModel):
    team: Literal["billing", "login", "sales", "press"] | None


class Tagged(BaseModel):
    tags: list[Literal["money", "access", "press"]]


ROUTED: Task[Routed] = Task(Routed, name="routed")
TAGGED: Task[Tagged] = Task(Tagged, name="tagged")


def routed(count: int = 120, wrong: Mapping[int, Any] | None = None, task: Task[Any] = ROUTED, **about: Any) -> Rows:
    """Texts whose words tell the team; `wrong` gives some rows another."""
    chance = random.Random(0)
    pairs = []
    for n in range(count):
        team = [*WORDS][n % 3]
        text = " ".join([*chance.sample(WORDS[team], 4), f"case{n}"])
        pairs.append((text, {"team": (wrong or {}).get(n, team)}))
    return rows_of(task, pairs, **about)


def tagged(count: int = 160, wrong: Mapping[int, list[str]] | None = None) -> Rows:
    """Texts whose words tell the tags: any of two."""
    pairs = []
    for n in range(count):
        tags = [tag for bit, tag in enumerate(["money", "access"]) if n >> bit & 1]
        said = " and ".join([*(PARTS[tag] for tag in tags), "so it is"])
        pairs.append((f"{said} case{n}", {"tags": (wrong or {}).get(n, tags)}))
    return rows_of(TAGGED, pairs)


def errors(rows: Rows, **about: Any) -> list[Finding]:
    return [one for one in doubts(rows, **about) if one.code == "label-error"]


def test_wrong_labels_come_first_with_those_that_the_rest_suggests() -> None:
    found = errors(routed(wrong={0: "sales", 50: "billing", 97: "sales"}))
    assert {one.rows: one.suggested for one in found[:3]} == {("1",): "billing", ("51",): "sales", ("98",): "login"}
    assert [one.certainty for one in found] == sorted((one.certainty for one in found), reverse=True)
    assert all(LEAST <= one.certainty < 1.0 and one.field == "team" for one in found)
    first = next(one for one in found if one.rows == ("1",))
    assert first.message.startswith('labelled "sales"; by the other rows that is under 1 % likely, and "billing" ')
    assert first.suggestion == 'read it; if "billing" is right, change the row'
    assert first.severity == "warning"


def test_the_same_rows_and_seed_give_the_same_findings() -> None:
    rows = routed(wrong={0: "sales", 50: "billing"})
    assert list(doubts(rows, seed=4)) == list(doubts(rows, seed=4))


def test_rows_in_order_are_not_doubted() -> None:
    assert list(doubts(routed())) == []


def test_progress_is_told() -> None:
    steps: list[tuple[int, int]] = []
    list(doubts(routed(30), progress=lambda done, total: steps.append((done, total))))
    assert steps[-1] == (5, 5)


def test_doubtful_tags_of_a_row_are_one_finding() -> None:
    found = errors(tagged(wrong={3: [], 40: ["access"], 81: ["money", "access"], 120: ["press"]}))
    suggested = {one.rows[0]: one.suggested for one in found}
    assert suggested["4"] == ["money", "access"]
    assert suggested["41"] == []
    assert suggested["82"] == ["money"]
    both = next(one for one in found if one.rows == ("4",))
    assert both.message.startswith('by the other rows, "money", which it lacks, is ')
    assert ' likely, and "access", which it lacks, is ' in both.message
    assert '"access", which it has, is ' in next(one for one in found if one.rows == ("41",)).message
    assert "121" not in suggested, "a tag of one row is not known to any model"


def test_none_is_a_label_that_can_be_suggested() -> None:
    rows = routed(wrong={n: "billing" if n == 62 else None for n in range(2, 120, 3)})
    found = errors(rows)
    assert found[0].rows == ("63",)
    assert " likely, and null " in found[0].message


def test_labels_with_few_rows_are_left_alone() -> None:
    assert not {one.rows for one in errors(routed(wrong={0: "press", 1: "press"}))} & {("1",), ("2",)}


def test_what_was_checked_says_by_whom_and_how_to_correct_the_log() -> None:
    wrong = {0: "sales", 50: "billing", 97: "sales"}
    rows = routed(wrong=wrong, source=["corrected" if n in (0, 50) else "prompt" for n in range(120)])
    named = [
        replace(one, id=f"id {n}", numbered=False, by="ana" if n == 50 else None) for n, one in enumerate(rows.examples)
    ]
    found = {one.rows[0]: one for one in errors(replace(rows, examples=tuple(named)))}
    assert found["id 0"].message.endswith(" (corrected by somebody)")
    assert found["id 50"].message.endswith(" (checked by ana)")
    assert not found["id 97"].message.endswith(")")
    assert found["id 97"].suggestion.endswith("decider log correct SPEC 'id 97' team=login")


def test_tags_and_none_are_spelled_as_the_log_reads_them() -> None:
    rows = tagged(wrong={3: []})
    told = tuple(replace(one, numbered=False, source="finetuned") for one in rows.examples)
    assert errors(replace(rows, examples=told))[0].suggestion.endswith("""SPEC 4 'tags=["money", "access"]'""")
    rows = routed(wrong={n: "billing" if n == 62 else None for n in range(2, 120, 3)})
    told = tuple(replace(one, numbered=False, source="finetuned") for one in rows.examples)
    assert errors(replace(rows, examples=told))[0].suggestion.endswith("log correct SPEC 63 team=null")


def test_checked_rows_are_doubted_less_where_they_are_better() -> None:
    wrong = dict.fromkeys(range(0, 30, 3), "sales")
    source = ["confirmed" if n == 0 or n % 2 else None for n in range(240)]
    plain = {one.rows[0]: one.certainty for one in errors(routed(240, wrong))}
    trusted = {one.rows[0]: one.certainty for one in errors(routed(240, wrong, source=source))}
    assert trusted["1"] < plain["1"]


def test_few_rows_are_said_to_be_too_few() -> None:
    (found,) = doubts(routed(9))
    assert (found.code, found.severity, found.rows) == ("label-error", "note", ())
    assert found.message == "9 rows cannot tell which label is wrong: nothing was looked for"


def test_nothing_is_asked_of_open_fields() -> None:
    class Open(BaseModel):
        note: str

    pairs = [(f"text {n}", {"note": "x"}) for n in range(30)]
    assert list(doubts(rows_of(Task(Open, name="open"), pairs))) == []


def test_labels_that_are_all_the_same_are_not_doubted() -> None:
    rows = routed(wrong=dict.fromkeys(range(120), "billing"))
    assert list(doubts(rows)) == []


def test_rows_without_their_clusters_are_each_their_own() -> None:
    rows = routed(wrong={0: "sales"})
    assert errors(replace(rows, same=())) == errors(rows)


def test_labels_that_the_data_confuses_are_named_as_a_pair() -> None:
    chance = random.Random(1)
    mixed = {n: chance.choice(["billing", "sales"]) for n in range(240) if n % 3 != 1}
    found = [one for one in doubts(routed(240, mixed)) if one.code == "confusable"]
    assert [one.field for one in found] == ["team"]
    (pair,) = found
    assert (pair.severity, pair.suggested) == ("warning", None)
    assert 'labelled "billing" look like "sales", and ' in pair.message
    labels = {mixed[int(row) - 1] for row in pair.rows}
    assert labels == {"billing", "sales"}
    assert 0.25 < pair.certainty <= 1.0


def test_two_labels_are_no_pair_among_others() -> None:
    class Yes(BaseModel):
        yes: bool

    chance = random.Random(1)
    pairs = [(f"word{n % 7} case{n}", {"yes": chance.random() < 0.5}) for n in range(100)]
    assert not [one for one in doubts(rows_of(Task(Yes, name="yes"), pairs)) if one.code == "confusable"]


def test_it_sees_what_redaction_leaves() -> None:
    task: Task[Routed] = Task(Routed, name="routed", redact={"kinds": [], "patterns": {"ADDRESS": r"\w+@x\.org"}})
    pairs = [(f"{team}@x.org wrote case{n}", {"team": team}) for n in range(40) for team in ("billing", "login")]
    pairs[0] = (pairs[0][0], {"team": "login"})
    assert errors(rows_of(ROUTED, pairs))[0].rows == ("1",)
    assert ("1",) not in {one.rows for one in errors(rows_of(task, pairs)) if one.certainty > 0.5}


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab.count", None)
    monkeypatch.delitem(sys.modules, "decider.assess.lint.doubt")
    with pytest.raises(ImportError, match=r"needs cleanlab: pip install 'decider-sdk\[data\]'"):
        import decider.assess.lint.doubt  # noqa: F401


def test_examples_stay_as_they_are() -> None:
    rows = routed(30)
    before = [Example(**{name: getattr(one, name) for name in one.__slots__}) for one in rows.examples]
    list(doubts(rows))
    assert list(rows.examples) == before
