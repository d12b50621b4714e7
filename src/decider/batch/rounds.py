"""The rounds of a run in batches: over the rows, to the provider, and over the rows again with what came back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from decider.batch.jobs import FIRST, LONGEST, Jobs, pauses
from decider.batch.parts import Answers, Came, Part, parts_of
from decider.batch.replay import Outcome, Replay
from decider.batch.sheet import Sheet
from decider.batch.store import Store
from decider.decision import Decision
from decider.engines.batches import Batch
from decider.errors import BudgetExceeded, EngineRejected, EngineUnavailable
from decider.runtime.budget import Budget, Spend
from decider.runtime.log.segment import failed

S = TypeVar("S", bound=BaseModel)

MOST_REQUESTS = 50_000

_QUEUE_FULL = "token_limit_exceeded"
_CANCELLED = "batch {0} was cancelled: what it had answered is recorded; the same command asks the rest again"
_TAKEN = "the batches that are open may take all that is left of budget.run"
_TOO_FULL = "{0} takes no further batch, not even of one row: other batches fill its queue; try again later"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the batches stand that are open: their number, their requests and those that are answered.

    `seconds` pass until the next look.
    """

    batches: int
    requests: int
    completed: int
    failed: int
    seconds: float


class Rounds(Generic[S]):
    """Walks over the rows, submits what they ask, waits, and walks again with what came back.

    With `shares`, a row waits for another one that asks the same: it will find the answer in the cache.
    """

    def __init__(
        self,
        replay: Replay[S],
        jobs: Jobs,
        rows: Callable[[], Iterable[tuple[str, Any]]],
        store: Store,
        budget: Budget,
        *,
        shares: bool,
        record: Callable[[int, Decision[S]], None],
        folder: Path | None,
        watch: Callable[[Standing], None],
    ) -> None:
        self._replay = replay
        self._jobs = jobs
        self._rows = rows
        self._store = store
        self._budget = budget
        self._shares = shares
        self._record = record
        self._folder = folder
        self._watch = watch
        self._open, self._last = parts_of(store.notes())
        self._ended: list[Part] = []
        self._fresh: list[Part] = []
        self._sheet: Sheet | None = None
        self._rows_a_part = MOST_REQUESTS
        self._crowded = False
        self._left = False
        self._fatal: EngineRejected | None = None
        self._beyond: BudgetExceeded | None = None

    def go(self) -> None:
        """Go on until every row has its record."""
        try:
            self._recover()
            self._walk()
            while self._open or self._left:
                self._wait()
                self._walk()
        finally:
            self._close()

    def _recover(self) -> None:
        """Find out what became of what was under way when the process ended."""
        unsure = [part for part in self._open if part.batch is None]
        if unsure:
            self._jobs.pause(FIRST)  # what was done just before may not be listed at once
        for part in unsure:
            if not self._jobs.recover(part):
                self._drop(part)
        for at, part in enumerate(self._open, 1):
            later = self._open[at:]
            todo = sum(not self._store.done(n) and not any(n in one.rows for one in later) for n in part.rows)
            self._budget.settle(Spend() - part.share(todo), Spend())  # it is taken, whatever the limits say

    def _walk(self) -> None:
        """Go over all rows: record what is decided, submit what is to be asked."""
        self._left, self._beyond = False, None
        for n, (row_id, x) in enumerate(self._rows(), 1):
            if not self._store.done(n) and not any(n in part.rows for part in self._open):
                self._left |= not self._moved(n, row_id, x)
        self._fresh = []
        for part in [part for part in self._ended if self._is_done(part)]:
            self._ended.remove(part)
            part.close()
            self._jobs.clear(part)
        self._stop_if_told()
        self._submit()
        if self._beyond is not None and not self._open:
            raise self._beyond

    def _moved(self, n: int, row_id: str, x: Any) -> bool:
        """Whether a row has its record now, or its question is asked; else it has to wait."""
        parts = [part for part in self._ended if n in part.rows]
        if parts and parts[-1] in self._fresh:
            self._budget.settle(parts[-1].share(1), Spend())
        came = _came(parts, n)
        if not came and self._is_held():
            return False
        outcome = self._replay.row(row_id, x, came)
        self._fatal = self._fatal or outcome.fatal
        if outcome.decision is None:
            return self._asked(n, outcome)
        self._record(n, outcome.decision)
        self._budget.settle(Spend(), outcome.spent)
        return True

    def _asked(self, n: int, outcome: Outcome[S]) -> bool:
        """Write the question of a row, where it may be asked now."""
        question = outcome.question
        if question is None or self._is_held() or (self._shares and self._is_asked(question.digest)):
            return False
        if self._sheet is not None and not self._sheet.has_room(question, self._rows_a_part):
            self._submit()
        most = outcome.spent + self._replay.most(question)
        if self._crowded or not self._reserved(most):
            return False
        if self._sheet is None:
            with self._on_disk():
                self._sheet = Sheet(self._last + 1, self._folder)
        with self._on_disk():
            self._sheet.add(n, question, most)
        return True

    def _is_held(self) -> bool:
        """Whether nothing is to be submitted for now."""
        return self._crowded or self._fatal is not None or self._beyond is not None or bool(self._cut())

    def _is_asked(self, digest: str) -> bool:
        sheet = self._sheet is not None and digest in self._sheet.digests
        return sheet or any(digest in part.digests for part in self._open)

    def _reserved(self, most: Spend) -> bool:
        try:
            if self._budget.reserve(most):
                return True
            self._beyond = BudgetExceeded(_TAKEN, scope="run")
        except BudgetExceeded as error:
            self._beyond = error
        return False

    def _submit(self) -> None:
        """Submit what has been written; where a provider wants no more for now, its rows have to wait."""
        sheet, self._sheet = self._sheet, None
        if sheet is None:
            return
        part = sheet.part(self._store.identity)
        part.digests = sheet.digests if self._shares else set()
        self._last = part.number
        self._open.append(part)
        try:
            with closing(sheet.file):
                self._jobs.submit(part, sheet.file)
        except EngineUnavailable as error:
            if not error.throttled or len(self._open) == 1:
                raise
            self._crowded = self._left = True
            self._give_up(part)

    def _wait(self) -> None:
        """Look at the open batches until one has ended."""
        seconds = pauses()
        while not self._looked(pause := next(seconds)):
            self._jobs.pause(pause)
        if self._crowded and not self._open:
            self._jobs.pause(LONGEST)
        self._crowded = False

    def _looked(self, seconds: float) -> bool:
        """Take what ended batches brought; whether there is something to go on with."""
        looks = [(part, self._jobs.look(part)) for part in self._open]
        for part, batch in looks:
            if batch.ended:
                self._take(part, batch)
        self._watch(_standing([batch for _, batch in looks if not batch.ended], seconds))
        return bool(self._fresh) or not self._open

    def _take(self, part: Part, batch: Batch) -> None:
        if batch.status == "failed":
            self._refused(part, batch)
            return
        self._open.remove(part)
        self._ended = sorted([*self._ended, part], key=lambda one: one.number)
        self._fresh.append(part)
        part.files, part.cut = batch.files, batch.status == "cancelled"
        part.seconds = max(0.0, time.time() - part.begun) if batch.seconds is None else batch.seconds
        if not part.lost and not self._is_done(part):
            self._fetch(part)

    def _fetch(self, part: Part) -> None:
        with self._on_disk():
            part.answers = Answers(self._folder)
            if self._jobs.fetch(part, part.answers.file):
                part.answers.read(part)
            else:
                part.lost = self._last
                self._jobs.note(part, lost=part.lost)

    def _refused(self, part: Part, batch: Batch) -> None:
        """Make room for a batch that was refused for the length of the queue; raise what else is wrong with it."""
        self._give_up(part)
        if all(problem.code != _QUEUE_FULL for problem in batch.problems):
            raise self._jobs.why(part, batch)
        if not self._open:
            if len(part.rows) == 1:
                raise EngineRejected(_TOO_FULL.format(self._replay.place), reason="quota")
            self._rows_a_part = (len(part.rows) + 1) // 2
        self._crowded = self._left = True

    def _give_up(self, part: Part) -> None:
        """Let the rows of a part go that asked nothing."""
        self._budget.settle(part.most, Spend())
        self._drop(part)

    def _drop(self, part: Part) -> None:
        self._open.remove(part)
        self._jobs.clear(part)

    def _stop_if_told(self) -> None:
        """Raise what is to be told before more is asked: it is told once, and the next run asks again."""
        cut = self._cut()
        error = self._fatal or (EngineRejected(_CANCELLED.format(cut[0].batch), reason="request") if cut else None)
        if error is None:
            return
        for part in self._ended:
            self._jobs.note(part, told=True)
        raise error

    def _cut(self) -> list[Part]:
        """The parts that were cancelled since the run began."""
        return [part for part in self._ended if part.cut and not part.told]

    def _is_done(self, part: Part) -> bool:
        return all(self._store.done(n) for n in part.rows)

    def _close(self) -> None:
        if self._sheet is not None:
            self._sheet.file.close()
        for part in self._ended:
            part.close()

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        """Raise `DataError` where the disk is full, or not to be written to."""
        try:
            yield
        except OSError as error:
            raise failed(self._folder or Path(gettempdir()), error) from error


def _came(parts: Sequence[Part], row: int) -> list[Came]:
    """What came back for a row, in the order in which it was asked, since it began, or began anew."""
    start = max((part.lost for part in parts), default=0)
    return [part.came(row) for part in parts if part.number > start]


def _standing(batches: Sequence[Batch], seconds: float) -> Standing:
    counts = [batch.counts for batch in batches]
    return Standing(
        batches=len(batches),
        requests=sum(one.total for one in counts),
        completed=sum(one.completed for one in counts),
        failed=sum(one.failed for one in counts),
        seconds=seconds,
    )
