"""`Decider`: what callers hold: one decision, many of them, and what is said of them afterwards."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import aclosing, closing, contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from decider.decision import Decision
from decider.driver import Driver
from decider.engines.base import Engine
from decider.errors import DeciderError
from decider.pipeline import Around, Course, Plan, Shortcut, Waiting
from decider.pipeline.around import Choice, surround
from decider.plan import build, check_budget, given, not_yet, steps_of
from decider.runtime.budget import Spend
from decider.task import Task

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

    from decider.many import Batch
    from decider.runtime.cache import Cache
    from decider.runtime.log import Log
    from decider.runtime.log.forget import Forgotten
    from decider.runtime.log.history import History

S = TypeVar("S", bound=BaseModel)
OnError = Literal["yield", "raise"]


class Decider(Generic[S]):
    """Decides a task, by whatever its mode says, and always in the same way for the caller.

    A Decider is safe for threads, forks and several event loops, and is a context manager in both colours. `client` is
    a ready `OpenAI` or `AsyncOpenAI`; `engine` answers everything in place of what the mode would choose. `cache` and
    `log` are those of the spec; another `Cache` or `Log` takes their place, False does without, and the cache may be
    `"refresh"`: answers are not taken from it, and kept there anew. `telemetry` tells OpenTelemetry of every decision
    and every call, without their texts: True and False say so, None is True where the application has loaded it.
    """

    def __init__(
        self,
        task: Task[S],
        *,
        mode: str | None = None,
        engine: Engine | None = None,
        client: OpenAI | AsyncOpenAI | None = None,
        cache: Choice[Cache] | Literal["refresh"] = None,
        log: Choice[Log] = None,
        telemetry: bool | None = None,
    ) -> None:
        self.task = task
        self.mode = mode or task.spec.mode
        self._client = client
        self._given = engine
        self._lock = threading.RLock()
        self._engines: dict[tuple[str, str], Engine] = {}
        self._plans: dict[str, Plan] = {}
        self._shortcuts: dict[str, Shortcut[S] | None] = {}
        self._driver = Driver()
        self._batches: weakref.WeakSet[Batch[S]] = weakref.WeakSet()
        self._halted = False
        problems = not_yet(task)
        if problems:
            raise problems[0].with_also(tuple(problems[1:]))
        self._around, self.log = surround(task, cache=cache, log=log, telemetry=telemetry)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        output: type[S] | None = None,
        mode: str | None = None,
        set: Mapping[str, str] | None = None,  # the word of the command line
        allow_code: bool = True,
        engine: Engine | None = None,
        client: OpenAI | AsyncOpenAI | None = None,
        cache: Choice[Cache] | Literal["refresh"] = None,
        log: Choice[Log] = None,
        telemetry: bool | None = None,
    ) -> Decider[S]:
        """Load a spec and return its Decider; arguments as for `Task.load` and `Decider`."""
        task = Task.load(path, output=output, set=set, allow_code=allow_code)
        return cls(task, mode=mode, engine=engine, client=client, cache=cache, log=log, telemetry=telemetry)

    @property
    def around(self) -> Around:
        """What surrounds each decision: cache, budgets, gates, redaction."""
        return self._around

    @property
    def cache(self) -> Cache | None:
        """Where answers of endpoints are kept, or None."""
        return self._around.cache

    def decide(
        self,
        x: Any,
        *,
        mode: str | None = None,
        id: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Decision[S]:
        """Decide one input: a text, a mapping, or an instance of the input schema.

        Raises a `DeciderError` where no decision was reached. A refusal is a decision without an output.
        """
        found = self._found(x, mode, id, meta)
        return found or _or_raise(self._driver.run(self._course(x, self._around, mode, id, meta)))

    async def adecide(
        self,
        x: Any,
        *,
        mode: str | None = None,
        id: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Decision[S]:
        """Decide one input without blocking the event loop; otherwise as `decide`."""
        found = self._found(x, mode, id, meta)
        return found or _or_raise(await self._driver.arun(self._course(x, self._around, mode, id, meta)))

    def decide_many(
        self, rows: Iterable[Any], *, concurrency: int = 16, on_error: OnError = "yield", mode: str | None = None
    ) -> Iterator[Decision[S]]:
        """Decide rows as they are taken, in their order, one Decision per row, with `row_id` counting from 1.

        A row that fails is a decision with the status "failed", or is raised with `on_error="raise"`; what failed for
        now is tried `retry.passes` times. Fewer than `concurrency` calls are under way while the endpoint has too many.
        What no other row would survive is raised in any case: a refused key, a used-up quota or budget, an unknown
        model, a log that cannot be written.
        """
        _check_many(concurrency, on_error)
        around = replace(self._around, patient=True, passes=self.task.spec.retry.passes)
        courses = (self._found(x, mode, str(n)) or self._course(x, around, mode, str(n)) for n, x in enumerate(rows, 1))
        return _settled(self._decided(courses, concurrency, mode, ordered=True), on_error)

    async def adecide_many(
        self,
        rows: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int = 16,
        on_error: OnError = "yield",
        mode: str | None = None,
    ) -> AsyncIterator[Decision[S]]:
        """Decide rows in the running loop; otherwise as `decide_many`."""
        from decider.many import in_order  # asyncio is slow to import

        _check_many(concurrency, on_error)
        around = replace(self._around, patient=True, passes=self.task.spec.retry.passes)

        def begin(n: int, x: Any) -> Decision[S] | Waiting[S]:
            return self._found(x, mode, str(n)) or self._course(x, around, mode, str(n))

        decided = in_order(self._driver, rows, begin, concurrency, known=self._around.is_known)
        async with aclosing(decided):
            async for decision in decided:
                yield _settle(decision, on_error)

    def each(
        self,
        rows: Iterable[tuple[str, Any]],
        *,
        record: Callable[[Decision[S]], None],
        concurrency: int = 16,
        mode: str | None = None,
        spent: Spend | None = None,
    ) -> Iterator[Decision[S]]:
        """Decide rows, each an id and an input, and yield the decisions as they end: what a run of a file is made of.

        An input that is an error fails with it. `record` takes every decision as soon as it is there, in place of the
        log, but for those whose error ends the batch; what it raises ends the batch, too.
        `spent` is what the run has taken from its budget before. An error that no other row would survive is raised
        once the calls under way have ended. `halt` ends the batch in the same way, and raises nothing.
        """
        _check_many(concurrency, "yield")
        self._halted = False
        if spent is not None and self._around.run is not None:
            self._around.run.settle(Spend(), spent)
        around = replace(self._around, patient=True, record=lambda one: None if one.fatal else record(one))
        courses = (
            self._found(x, mode, row_id, record=record) or self._course(x, around, mode, row_id) for row_id, x in rows
        )
        fatal: DeciderError | None = None
        for decision in self._decided(courses, concurrency, mode, ordered=False):
            if fatal is None and decision.fatal:
                fatal = decision.error
                self.halt()
            yield decision
        if fatal is not None:
            raise fatal

    def correct(self, id: str, fields: Mapping[str, Any], *, by: str | None = None, note: str | None = None) -> History:
        """Say that a logged decision should have had other values, by path, and return what holds from now on.

        Raises `DataError` for an unknown id or path, and for values with which the whole would not fit the schema.
        """
        return self._book().correct(id, fields, task=self.task, by=by, note=note)

    def confirm(self, id: str, *, by: str | None = None, note: str | None = None) -> History:
        """Say that a logged decision is right."""
        return self._book().confirm(id, task=self.task, by=by, note=note)

    def outcome(self, id: str, name: str, value: Any) -> History:
        """Say what became of a logged decision, such as `("refunded", True)`."""
        return self._book().outcome(id, name, value)

    def forget(self, id: str) -> Forgotten:
        """Overwrite the text of a logged decision, and of all with the same input, in log, runs and cache.

        What is returned says what that reached, and what it cannot reach.
        """
        return self._book().forget(id, task=self.task, cache=self.cache)

    def halt(self) -> None:
        """Let `each` begin no further row; calls that are under way end, and are recorded."""
        self._halted = True
        for batch in list(self._batches):
            batch.halt()

    def identity(self, mode: str | None = None) -> str:
        """Return the sha256 of what the answers of a mode depend on beside the input: task, words, engines."""
        redactor = self._around.redactor
        parts = [self.task.prompt_fingerprint, mode or self.mode, None if redactor is None else redactor.identity]
        steps = [[step.role, engine.identity, step.paths, step.samples] for step, engine in self.plan(mode)]
        return hashlib.sha256(to_json([*parts, steps])).hexdigest()

    @contextmanager
    def override(self, *, engine: Engine) -> Iterator[None]:
        """Answer everything with `engine` inside the block, on every thread: for tests of code that decides.

        The cache is left alone: what a test says is not kept, and what was kept does not answer in its place.
        """
        with self._lock:
            before, self._given = self._given, engine
            plans, self._plans = self._plans, {}
            shortcuts, self._shortcuts = self._shortcuts, {}
            around, self._around = self._around, replace(self._around, cache=None)
        try:
            yield
        finally:
            with self._lock:
                self._given, self._plans, self._shortcuts, self._around = before, plans, shortcuts, around

    def close(self) -> None:
        """Let go of connections, files and the loop thread; a later call opens them again."""
        with self._lock:
            engines = list(self._engines.values())
        for engine in engines:
            engine.close()
        self._driver.close()
        for store in (self.cache, self.log):
            if store is not None:
                store.close()

    async def aclose(self) -> None:
        """Let go of the running loop's connections, and of all that `close` does."""
        with self._lock:
            engines = list(self._engines.values())
        for engine in engines:
            await engine.aclose()
        self.close()

    def __enter__(self) -> Decider[S]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Decider[S]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _book(self) -> Log:
        from decider.runtime.log import Log  # what is not asked for is not loaded

        return self.log or Log.of(self.task)

    def _decided(
        self, courses: Iterable[Decision[S] | Waiting[S]], concurrency: int, mode: str | None, *, ordered: bool
    ) -> Generator[Decision[S]]:
        """Decide side by side what asks an endpoint, and in this thread what does not; some are decided already."""
        if all(engine.in_process for _, engine in self.plan(mode)):
            begun = takewhile(lambda _: ordered or not self._halted, courses)
            return (one if isinstance(one, Decision) else self._driver.run(one) for one in begun)
        from decider.many import Batch  # asyncio is slow to import, and local decisions need none

        batch = Batch[S](self._driver, concurrency, known=self._around.is_known)
        if ordered:
            return batch.ordered(courses)
        self._batches.add(batch)
        return batch.unordered(courses)

    def _found(
        self,
        x: Any,
        mode: str | None,
        row_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
        record: Callable[[Decision[S]], None] | None = None,
    ) -> Decision[S] | None:
        """The decision whose answer is in the cache, where there is a short way to it."""
        if self._around.cache is None:
            return None
        name = mode or self.mode
        try:
            shortcut = self._shortcuts[name]
        except KeyError:
            shortcut = self._shortcuts[name] = Shortcut.of(self.task, self.plan(name), self._around, name)
        return None if shortcut is None else shortcut.find(x, row_id=row_id, meta=meta, record=record)

    def _course(
        self,
        x: Any,
        around: Around,
        mode: str | None,
        row_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Waiting[S]:
        plan = self.plan(mode)
        return Course(self.task, plan, around, mode=mode or self.mode, row_id=row_id, meta=meta).run(x)

    def plan(self, mode: str | None = None) -> Plan:
        """Return the steps of a mode with their engines, which are made once."""
        name = mode or self.mode
        plan = self._plans.get(name)
        if plan is None:
            with self._lock:
                plan = self._plans[name] = self._made(name)
        return plan

    def _made(self, mode: str) -> Plan:
        if self._given is not None:
            check_budget(self.task, self._given)
            return ((given(self.task, self._given), self._given),)
        steps = steps_of(self.task, mode)
        for step in steps:
            if (step.role, step.engine) not in self._engines:
                self._engines[step.role, step.engine] = build(self.task, step, self._client)
        return tuple((step, self._engines[step.role, step.engine]) for step in steps)


def _check_many(concurrency: int, on_error: str) -> None:
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, not {concurrency}")
    if on_error not in ("yield", "raise"):
        raise ValueError(f"on_error must be 'yield' or 'raise', not {on_error!r}")


def _settled(decided: Generator[Decision[S]], on_error: OnError) -> Iterator[Decision[S]]:
    with closing(decided):  # also while somebody holds an error that was raised here: no further call is made
        for decision in decided:
            yield _settle(decision, on_error)


def _settle(decision: Decision[S], on_error: OnError) -> Decision[S]:
    return _or_raise(decision) if on_error == "raise" or decision.fatal else decision


def _or_raise(decision: Decision[S]) -> Decision[S]:
    if decision.error is not None:
        raise decision.error
    return decision


_kept: dict[Path, tuple[object, Decider[Any]]] = {}
_kept_lock = threading.Lock()


def decide(path: str | Path, x: Any, *, mode: str | None = None) -> Decision[Any]:
    """Decide one input by a spec file; its Decider is kept for as long as the files that it came from stay the same."""
    resolved = Path(path).resolve()
    with _kept_lock:
        kept = _kept.get(resolved)
        if kept is None or kept[0] != kept[1].task.stamp():
            decider: Decider[Any] = Decider.load(path)
            kept = _kept[resolved] = (decider.task.stamp(), decider)
    return kept[1].decide(x, mode=mode)
