"""Scores of rows held out: by models that saw neither them, nor their copies, nor their group."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from decider.data.near import same
from decider.decision import Example
from decider.learn.held_out import LEAST_SEEN, HeldOut, held_out
from decider.task import Task

WORDS = {
    "billing": ("invoice", "refund", "charged", "payment", "money"),
    "login": ("password", "locked", "account", "reset", "code"),
    "sales": ("price", "offer", "buy", "contract", "seats"),
}


class Routed(BaseModel):
    team: Literal["billing", "login", "sales", "press"] | None
    urgent: bool
    tags: list[Literal["money", "access", "never"]]


ROUTED: Task[Routed] = Task(Routed, name="routed")


def routed(count: int = 60, seed: int = 0) -> list[Example]:
    """Texts whose words tell the team, whether it is urgent, and the tags; every fourth is of no team."""
    chance = random.Random(seed)
    rows = []
    for n in range(count):
        team = [*WORDS, None][n % 4]
        urgent = chance.random() < 0.5
        said = chance.sample(WORDS[team] if team else ("hello", "thanks", "greetings", "bye", "regards"), 3)
        text = " ".join([*said, "now at once" if urgent else "some day", f"case{n}"])
        tags = [tag for tag, of in (("money", "billing"), ("access", "login")) if of == team]
        rows.append(Example(input=text, output={"team": team, "urgent": urgent, "tags": tags}, id=str(n)))
    return rows


def scored(rows: Sequence[Example], **about: Any) -> list[HeldOut]:
    alike = same([row.input for row in rows])
    return held_out(rows, ROUTED.inputs, ROUTED.fields, same=alike, **about)


def test_it_scores_every_label_of_every_field_and_row() -> None:
    rows = routed()
    steps: list[tuple[int, int]] = []
    team, urgent, tags = scored(rows, progress=lambda done, total: steps.append((done, total)))
    assert [one.field.path for one in (team, urgent, tags)] == ["team", "urgent", "tags"]
    assert team.field.labels[-1] is None
    for one in (team, urgent):
        assert (one.scores.argmax(axis=1) == one.there.argmax(axis=1)).mean() > 0.95
        assert one.there.sum(axis=1).tolist() == [1] * 60
    known = tags.known.all(axis=0)
    assert known.tolist() == [True, True, False]
    assert ((tags.scores[:, known] > 0) == tags.there[:, known]).mean() > 0.95
    assert steps[0] == (1, 15)
    assert steps[-1] == (15, 15)


def test_the_same_rows_and_seed_give_the_same_scores() -> None:
    first, again, other = (scored(routed(), seed=seed)[0].scores for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def strange(rows: list[Example], **about: Any) -> list[Example]:
    """Six rows of one text that no other row is like, all of a team that its words do not tell."""
    wrong = {"team": "sales", "urgent": False, "tags": []}
    texts = [f"{said} xylophone quartz" for said in ("password locked", "reset code", "account code") * 2]
    return [*rows, *(Example(input=text, output=wrong, id=text, **about) for text in texts)]


def believed(found: HeldOut) -> int:
    """How many of the last six rows are taken for `sales`."""
    return int((found.scores[-6:].argmax(axis=1) == 2).sum())


def test_a_copy_does_not_vote_for_its_own_label() -> None:
    said = "password locked xylophone quartz"
    copies = [replace(row, input=said.upper() if n % 2 else said) for n, row in enumerate(strange([]))]
    assert believed(scored([*routed(), *copies])[0]) == 0
    apart = held_out([*routed(), *copies], ROUTED.inputs, ROUTED.fields, same=range(66))[0]
    assert believed(apart) == 6


def test_a_group_does_not_vote_for_its_own_label() -> None:
    assert believed(scored(strange(routed()))[0]) > 3
    assert believed(scored(strange(routed(), group="thread"))[0]) == 0


def test_rows_are_held_together_by_input_and_group_in_turns() -> None:
    rows = strange(routed())
    copied = [replace(row, input="locked xylophone quartz") for row in rows[-6:]]
    chained = [*rows[:-6], *(replace(row, group="ab"[n % 2]) for n, row in enumerate(copied))]
    assert believed(scored(chained)[0]) == 0


def test_one_group_of_all_rows_is_none() -> None:
    team = scored([replace(row, group="all") for row in routed()])[0]
    assert (team.scores.argmax(axis=1) == team.there.argmax(axis=1)).mean() > 0.95


def test_nothing_is_said_of_a_label_with_few_rows() -> None:
    rows = routed()
    press = [replace(row, output={**row.output, "team": "press"}) for row in rows[:LEAST_SEEN]]
    team = scored([*press, *rows[LEAST_SEEN:]])[0]
    assert not team.known[: len(press), 3].any()
    assert team.known[:, 0].all()
    unknown = ~team.known[:, 3]
    assert (team.scores[unknown, 3:4] < team.scores[unknown][:, [0, 1, 2, 4]]).all()


def test_rows_that_are_all_the_same_cannot_be_held_out() -> None:
    assert scored([replace(row, input="hello") for row in routed()]) == []


class Lead(BaseModel):
    age: float | None
    calls: int


def test_numbers_are_learned_too() -> None:
    class Bought(BaseModel):
        bought: bool

    task: Task[Bought] = Task(Bought, name="leads", input=Lead)
    chance = random.Random(0)
    rows = [
        Example(input={"age": chance.uniform(20, 60), "calls": n % 9}, output={"bought": n % 9 > 4}, id=str(n))
        for n in range(90)
    ]
    bought = held_out(rows, task.inputs, task.fields, same=range(90))[0]
    assert (bought.scores.argmax(axis=1) == bought.there.argmax(axis=1)).mean() > 0.9
