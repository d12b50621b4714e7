"""A run whose rows a provider decides within a day, at half the price: in batches, as OpenAI has them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from decider.batch.jobs import Jobs
from decider.batch.parts import parts_of
from decider.batch.replay import Replay
from decider.batch.rounds import Rounds, Standing
from decider.batch.store import Store
from decider.decider import Decider
from decider.decision import Decision
from decider.engines.batches import Batches
from decider.engines.chat import ChatEngine
from decider.errors import EngineRejected
from decider.pipeline import Plan
from decider.runtime.budget import Budget, Spend
from decider.runtime.flight import Flights
from decider.spec import Limits

__all__ = ["Standing", "check", "run_batch", "under_way"]

S = TypeVar("S", bound=BaseModel)
R = TypeVar("R")

_ALONE = "leave out --batch"


def check(decider: Decider[Any], mode: str | None = None) -> None:
    """Raise `SpecError` where a mode cannot be asked in batches; nothing is sent for that."""
    _batched(decider, mode)


def under_way(store: Store) -> list[str]:
    """Return the batches of a run that are not over: whoever asks their rows in another way pays for them twice."""
    return [part.batch or part.name for part in parts_of(store.notes())[0]]


def run_batch(
    decider: Decider[S],
    rows: Callable[[], Iterable[tuple[str, Any]]],
    store: Store,
    *,
    mode: str | None = None,
    passes: int | None = None,
    record: Callable[[int, Decision[S]], None] | None = None,
    folder: Path | None = None,
    watch: Callable[[Standing], None] = lambda _: None,
    pause: Callable[[float], object] = time.sleep,
    halted: Callable[[], bool] = lambda: False,
) -> None:
    """Decide every row that the store does not hold, and record it there; returns when all are, or once `halted`.

    `rows` gives ids and inputs, each time from the first row on. What is under way is noted in the store, so that the
    same call goes on after an interrupt or a kill, and submits nothing twice. What failed for now is asked in `passes`
    batches, in place of `retry.passes`. `record` takes the number of a row and
    its decision, in place of the store's `append`. Files on their way hold inputs: they have no name, and lie in
    `folder`. `watch` is told how the batches stand at each look.
    """
    plan, engine = _batched(decider, mode)

    def paused(seconds: float) -> None:
        pause(seconds)
        _go_on(halted)

    jobs = Jobs(Batches(engine.endpoint), store, paused)
    _check_offered(decider, plan, jobs)
    around = decider.around
    rounds = Rounds(
        _replay(decider, plan, engine, mode or decider.mode, passes or decider.task.spec.retry.passes),
        jobs,
        lambda: _until(halted, rows()),
        store,
        _budget(decider, store),
        shares=around.cache is not None and not around.refresh,
        record=record or store.append,
        folder=folder,
        watch=watch,
    )
    with suppress(_Halted):
        rounds.go()


def _replay(decider: Decider[S], plan: Plan, engine: ChatEngine, mode: str, passes: int) -> Replay[S]:
    """What runs the pipeline of a row again: budgets, gates and records are those of the batches."""
    around = replace(
        decider.around, run=None, record=None, telemetry=None, gates={}, flights=Flights(), patient=False, passes=passes
    )
    return Replay(decider.task, plan, engine, around, mode)


def _budget(decider: Decider[Any], store: Store) -> Budget:
    """The budget of the run, from which is taken what its rows have cost."""
    limits = decider.task.spec.budget and decider.task.spec.budget.run
    budget = Budget(limits or Limits(usd=None, tokens=None, calls=None), "run")
    budget.settle(Spend(), store.spent)
    return budget


class _Halted(Exception):
    """The run was told to stop."""


def _go_on(halted: Callable[[], bool]) -> None:
    if halted():
        raise _Halted


def _until(halted: Callable[[], bool], rows: Iterable[R]) -> Iterator[R]:
    for row in rows:
        _go_on(halted)
        yield row


def _batched(decider: Decider[Any], mode: str | None) -> tuple[Plan, ChatEngine]:
    """The plan of a mode at the price of batches, and its one engine; raises `SpecError` where it has no such plan."""
    plan = decider.plan(mode)
    step, engine = plan[0]
    role, task = step.role, decider.task
    if engine.local:
        message = "the local model answers at once and for nothing: it needs no batch"
        raise task.mistake(message, ("mode",), remedy=_ALONE)
    if step.engine == "decisions":
        remedy = f"write engine: chat, or {_ALONE}"
        raise task.mistake("decision endpoints have no batches", (role, "engine"), remedy=remedy)
    if len(plan) > 1:
        remedy = f"ask one model for all fields, or {_ALONE}"
        raise task.mistake("takes more than one step, and a batch answers one", ("mode",), remedy=remedy)
    if step.samples > 1:
        message = f"draws {step.samples} answers to each row, and a batch gives one"
        raise task.mistake(message, (role, "samples"), remedy=f"remove it, or {_ALONE}")
    if type(engine) is not ChatEngine:
        message = "a batch is asked with a strict schema, and in no other structure"
        raise task.mistake(message, (role, "structure"), remedy=f"write structure: schema, or {_ALONE}")
    engine = engine.batched()
    return ((step, engine),), engine


def _check_offered(decider: Decider[Any], plan: Plan, jobs: Jobs) -> None:
    """Raise `SpecError` where the endpoint has no batches."""
    step, engine = plan[0]
    try:
        jobs.check()
    except EngineRejected as error:
        if error.reason in ("auth", "quota"):
            raise
        said = "" if error.reason == "model" else f": {error}"  # a path that is not there says nothing else
        message, remedy = f"{engine.place} has no batches{said}", f"{_ALONE}, or name an endpoint that has them"
        raise decider.task.mistake(message, (step.role, "base_url"), remedy=remedy) from error
