"""What surrounds the decisions of one Decider: cache, budgets, gates, log."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from decider.decision import Decision
from decider.engines.base import Engine
from decider.pipeline import recall
from decider.plan import Step
from decider.runtime.budget import Budget
from decider.runtime.flight import Flights
from decider.runtime.gate import Gate
from decider.task import Task

if TYPE_CHECKING:
    from decider.redact import Redactor
    from decider.runtime.cache import Cache
    from decider.runtime.log import Log
    from decider.runtime.telemetry import Telemetry

T = TypeVar("T")
Choice: TypeAlias = T | bool | None
"""What a caller may say of a part: one of its own, whether there is to be one, or nothing: then the spec says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What surrounds the decisions of one Decider; each part is None where the spec does not name it.

    With `refresh`, what is in the cache is not read, and written anew. `run` is the budget of all decisions together.
    `record` takes each decision before it is returned. One that is `patient`, as in a batch, waits while an endpoint is
    spared; others are told so. A row that failed for now is tried `passes` times in all.
    """

    cache: Cache | None = None
    refresh: bool = False
    flights: Flights = field(default_factory=Flights)
    gates: dict[str, Gate] = field(default_factory=dict)
    prefixes: dict[tuple[str, str, str, tuple[str, ...]], bytes] = field(default_factory=dict)
    run: Budget | None = None
    redactor: Redactor | None = None
    telemetry: Telemetry | None = None
    record: Callable[[Decision[Any]], None] | None = None
    patient: bool = False
    passes: int = 1

    def gate(self, engine: Engine) -> Gate:
        """The gate before an engine's endpoint, which is that of every engine there."""
        place = engine.place or engine.identity
        return self.gates.get(place) or self.gates.setdefault(place, Gate())

    @property
    def is_known(self) -> bool:
        """Whether some endpoint has answered well: its key and its model are good."""
        return any(gate.has_answered for gate in self.gates.values())

    def prefix(self, task: Task[Any], step: Step, engine: Engine, paths: tuple[str, ...]) -> bytes:
        """What the keys of the answers of an engine begin with, where it is asked for the fields at `paths`."""
        same = (engine.name, engine.identity, step.role, paths)
        found = self.prefixes.get(same)
        if found is None:
            identity = "" if self.redactor is None else self.redactor.identity
            found = self.prefixes[same] = recall.prefix(task, engine, step.role, paths, identity)
        return found


def surround(
    task: Task[Any], *, cache: Choice[Cache] | Literal["refresh"], log: Choice[Log], telemetry: bool | None
) -> tuple[Around, Log | None]:
    """Return what surrounds the decisions of a task, and its log, as its spec and the caller say."""
    kept, book = _cache_of(task, cache), _log_of(task, log)
    limits = task.spec.budget and task.spec.budget.run
    around = Around(
        cache=kept,
        refresh=cache == "refresh",
        run=Budget(limits, "run") if limits else None,
        redactor=_redactor_of(task),
        telemetry=_telemetry_of(telemetry),
        record=None if book is None else partial(_record, book, task),
    )
    return around, book


def _record(log: Log, task: Task[Any], decision: Decision[Any]) -> None:
    log.append(decision, task)


def _cache_of(task: Task[Any], given: Choice[Cache] | Literal["refresh"]) -> Cache | None:
    said = task.spec.cache
    if isinstance(given, bool | str | None):
        if given is False or said is None:
            return None
        from decider.runtime.cache import Cache  # what is not asked for is not loaded

        return Cache(task.resolve(said.folder, ("cache", "folder")), ttl=said.ttl, size=said.size)
    return given


def _log_of(task: Task[Any], given: Choice[Log]) -> Log | None:
    said = task.spec.log
    if isinstance(given, bool | None):
        if given is False or said is None:
            return None
        from decider.runtime.log import Log  # what is not asked for is not loaded

        folder = task.resolve(said.folder, ("log", "folder"))
        return Log(folder, inputs=said.inputs, keep=said.keep, fsync=said.fsync)
    return given


def _redactor_of(task: Task[Any]) -> Redactor | None:
    if task.spec.redact is None:
        return None
    from decider.redact import Redactor  # what is not asked for is not loaded

    return Redactor.of(task)


def _telemetry_of(wanted: bool | None) -> Telemetry | None:
    if wanted is False or (wanted is None and "opentelemetry" not in sys.modules):
        return None
    from decider.runtime.telemetry import Telemetry  # what is not asked for is not loaded

    return Telemetry.of(wanted)
