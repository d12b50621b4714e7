"""One row of a batch: its decision as far as the answers reach that came back for it, and else its next question."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from decider.batch.parts import Came
from decider.decision import Decision, Reply, Request, Usage
from decider.engines.chat import ChatEngine
from decider.errors import DataError, DeadlineExceeded, DeciderError, EngineRejected, EngineUnavailable, InputError
from decider.pipeline import Around, Course, Plan, Sleep
from decider.runtime.budget import Spend
from decider.task import Task

S = TypeVar("S", bound=BaseModel)

_CANCELLED = "batch_cancelled"
_CHANGED = (
    "row {0} is not what batch {1} asked: the input, the spec or decider has changed since; "
    "put it back as it was, or begin anew with --overwrite"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be asked for a row: a request, the body that it is sent as, and the digest of that."""

    request: Request
    body: bytes
    digest: str


@dataclass(slots=True)
class Outcome(Generic[S]):
    """How far a row has come: it has a decision, or else a question is to be asked.

    `spent` is what its replies have cost, `seconds` what the batch of each attempt took. `fatal` is what no other row
    would survive either: a refused key, a used-up quota, an unknown model.
    """

    decision: Decision[S] | None = None
    question: Question | None = None
    spent: Spend = field(default_factory=Spend)
    seconds: list[float] = field(default_factory=list)
    fatal: EngineRejected | None = None


class Replay(Generic[S]):
    """Runs the pipeline of a row with the replies that are there, and stops where another one is needed.

    It is the pipeline that asks one by one: validation, asking again, passes, cache and account are its own.
    """

    def __init__(self, task: Task[S], plan: Plan, engine: ChatEngine, around: Around, mode: str) -> None:
        self._task = task
        self._plan = plan
        self._engine = engine
        self._around = around
        self._mode = mode

    @property
    def place(self) -> str:
        """Where it is asked."""
        return self._engine.place

    def row(self, row_id: str, x: Any, came: Sequence[Came]) -> Outcome[S]:
        """Return how far a row has come; raises `DataError` where it is not the row that was asked."""
        # What was paid for is used, and counted, also where another row has brought the same into the cache by now.
        around = replace(self._around, refresh=self._around.refresh or any(one.line for one in came))
        waiting = Course(self._task, self._plan, around, mode=self._mode, row_id=row_id).run(x)
        outcome = Outcome[S]()
        try:
            question = self._next(waiting, None)
            for one in came:
                what = self._said(one, question, row_id, outcome)
                if what is not None:
                    outcome.seconds.append(one.seconds)
                    outcome.spent += Spend(calls=1)
                    question = self._next(waiting, what)
            outcome.question = question
        except StopIteration as done:
            outcome.decision = _took(done.value, outcome.seconds)
        finally:
            waiting.close()
        return outcome

    def _next(self, waiting: Generator[Any, Any, Decision[S]], what: Reply | DeciderError | None) -> Question:
        """Go on with a reply, or with what came in its place, to the next question; there is nothing to sleep for."""
        asked = waiting.throw(what) if isinstance(what, DeciderError) else waiting.send(what)
        while isinstance(asked, Sleep):
            asked = waiting.send(None)
        try:
            body = to_json(self._engine.body(asked.request))
        except InputError as error:
            return self._next(waiting, error)
        digest = hashlib.sha256(body).hexdigest()[:16]
        return Question(request=asked.request, body=body, digest=digest)

    def _said(self, came: Came, question: Question, row_id: str, outcome: Outcome[S]) -> Reply | DeciderError | None:
        """The reply of a line, or the error that stands in its place; None where the question is as open as before."""
        line = came.line
        if line is None or not line.status:
            if came.cut or (line is not None and line.code == _CANCELLED):
                return None
            said = "nothing" if line is None else self._engine.endpoint.shown(f"{line.code}: {line.message}")
            return DeadlineExceeded(f"batch {came.batch} has no answer for it, and says {said}")
        if line.digest != question.digest:
            raise DataError(_CHANGED.format(row_id, came.batch))
        try:
            reply = self._engine.answered(line.status, line.body, question.request)
        except EngineUnavailable as error:
            return DeadlineExceeded(f"batch {came.batch} has no answer for it: {error}")
        except EngineRejected as error:
            if not error.fatal:
                return error
            outcome.fatal = None if came.told else error
            return None
        outcome.spent += self._cost(reply.usage or self._engine.most(question.request))
        return reply

    def most(self, question: Question) -> Spend:
        """The worst case of what asking a question costs; where nothing bounds it, no limit counts it."""
        return self._cost(self._engine.most(question.request)) + Spend(calls=1)

    def _cost(self, usage: Usage | None) -> Spend:
        if usage is None:
            return Spend()
        return Spend(self._engine.cost(usage) or 0.0, usage.input_tokens + usage.output_tokens)


def _took(decision: Decision[S], seconds: Sequence[float]) -> Decision[S]:
    """The decision with the time that its batches took, one for each attempt: what is done here takes none."""
    if not seconds:
        return decision
    steps, at = [], 0
    for step in decision.steps:
        steps.append(replace(step, latency_ms=sum(seconds[at : at + step.attempts]) * 1000.0))
        at += step.attempts
    return replace(decision, latency_ms=sum(seconds) * 1000.0, steps=tuple(steps))
