"""Small tasks and rows with every kind of field, for tests of models."""

from __future__ import annotations

import random
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, model_validator

from decider.data.dataset import Dataset
from decider.task import Task

TEAMS = {
    "billing": "invoice refund charged card",
    "login": "password locked account code",
    "bug": "crash error broken page",
}
FILLER = ["please", "the", "my", "again", "today", "help", "with", "since", "that", "is", "not"]


class Everything(BaseModel):
    """Each closed kind once, and a constant one."""

    team: Literal["billing", "login", "bug", "never"]
    urgent: bool
    level: Annotated[int, Ge(1), Le(3)]
    tags: list[Literal["money", "access", "rare"]]
    owner: Literal["ana", "ben"] | None
    constant: Literal["one", "two"]


class Guarded(BaseModel):
    """A login ticket is never urgent."""

    team: Literal["billing", "login", "bug"]
    urgent: bool

    @model_validator(mode="after")
    def check(self) -> Guarded:
        """Refuse what never happens."""
        if self.team == "login" and self.urgent:
            raise ValueError("a login ticket is never urgent")
        return self


class Lead(BaseModel):
    """A structured input of each sort, all of it possibly missing."""

    job: str | None = None
    age: int | None = None
    income: float | None = None
    member: bool | None = None
    note: str | None = None
    seen: list[Literal["web", "shop"]] = []
    empty: float | None = None
    extra: dict[str, int] = {}


class Bought(BaseModel):
    """Whether the lead bought."""

    bought: bool


def tickets(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows whose text decides their labels."""
    draw = random.Random(seed)
    rows = []
    for at in range(n):
        team = draw.choice(list(TEAMS))
        words = draw.sample(TEAMS[team].split(), 2) + draw.sample(FILLER, 4)
        urgent = team != "login" and draw.random() < 0.5
        words += ["immediately"] if urgent else []
        draw.shuffle(words)
        output = {
            "team": team,
            "urgent": urgent,
            "level": 3 if urgent else 1 + at % 2,
            "tags": {"billing": ["money"], "login": ["access"], "bug": []}[team],
            "owner": {"billing": "ana", "login": "ben", "bug": None}[team],
            "constant": "one",
        }
        rows.append({"id": f"secret-id-{at}", "input": " ".join(words), "output": output})
    return rows


def everything(n: int = 120, seed: int = 0) -> tuple[Task[Everything], Dataset]:
    """A task with every kind of field, and rows for it."""
    task = Task(Everything, name="everything")
    return task, Dataset.of(tickets(n, seed), task)


def guarded(n: int = 120) -> tuple[Task[Guarded], Dataset]:
    """A task whose schema refuses some combinations, and rows for it."""
    task = Task(Guarded, name="guarded")
    rows = [{**row, "output": {key: row["output"][key] for key in ("team", "urgent")}} for row in tickets(n)]
    return task, Dataset.of(rows, task)


def leads(n: int = 200, seed: int = 0) -> tuple[Task[Bought], Dataset]:
    """A task with structured inputs, and rows for it."""
    draw = random.Random(seed)
    rows = []
    for at in range(n):
        age, job = draw.randint(18, 80), draw.choice(["nurse", "pilot", "clerk"])
        value: dict[str, Any] = {
            "job": job,
            "age": None if at % 9 == 0 else age,
            "income": draw.random() * 1000,
            "member": draw.choice([True, False, None]),
            "note": " ".join(draw.sample(FILLER, 3)) + f" {at}",
            "seen": draw.sample(["web", "shop"], draw.randint(0, 2)),
            "empty": None,
            "extra": {"clicks": at},
        }
        rows.append({"input": value, "output": {"bought": age > 45 or job == "pilot"}})
    task = Task(Bought, name="leads", input=Lead)
    return task, Dataset.of(rows, task)
