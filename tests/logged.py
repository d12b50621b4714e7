"""Decisions to be written into logs, and the task that they are of."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, model_validator

from decider.decision import Decision, FieldDecision, StepTrace, Usage
from decider.schema import pick
from decider.task import Task


class Routing(BaseModel):
    team: Literal["billing", "login", "bug"]
    tags: list[Literal["vip", "late"]]


class Triage(BaseModel):
    priority: Literal["low", "high"]
    routing: Routing
    rating: int | None
    summary: str

    @model_validator(mode="after")
    def _vip_is_high(self) -> Triage:
        if "vip" in self.routing.tags and self.priority != "high":
            raise ValueError("a vip has a high priority")
        return self


ANSWER: dict[str, Any] = {
    "priority": "low",
    "routing": {"team": "billing", "tags": ["late"]},
    "rating": 7,
    "summary": "paid twice",
}
PATHS = ("priority", "routing.team", "routing.tags", "rating", "summary")


def task(**keys: Any) -> Task[Triage]:
    """The task that everything in these logs is of."""
    return Task(Triage, name="triage", **{"prompt": {"model": "gpt-6-luna"}, **keys})


def decision(text: Any = "I paid twice", answer: dict[str, Any] | None = ANSWER, **what: Any) -> Decision[Triage]:
    """A decision with every part that a record has."""
    fields = {} if answer is None else {path: FieldDecision(value=pick(answer, path)) for path in PATHS}
    step = StepTrace(
        engine="chat",
        model="gpt-6-luna",
        fields=PATHS,
        attempts=1,
        usage=Usage(input_tokens=100, output_tokens=10),
        latency_ms=250.0,
        cost_usd=0.001,
        cache_key=os.urandom(32).hex(),
    )
    said: dict[str, Any] = {
        "id": os.urandom(16).hex(),
        "task": "triage",
        "version": 1,
        "status": "refused" if answer is None else "decided",
        "input": text,
        "mode": "prompt",
        "engine": "chat",
        "model": "gpt-6-luna",
        "created_at": datetime.now(UTC),
        "latency_ms": 250.0,
        "accepted": answer is not None,
        "fields": fields,
        "steps": (step,),
        "answer": None if answer is None else Triage.model_validate(answer),
    }
    return Decision(**{**said, **what})
