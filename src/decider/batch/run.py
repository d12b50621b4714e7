"""`run`: every row of a file decided, recorded one by one, resumed where it stopped, and written in order."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar

from pydantic import BaseModel

from decider.batch.results import KEYS, check_out, results
from decider.batch.rows import Row, Rows
from decider.batch.scan import Scan, scan
from decider.batch.store import STATUSES, Store, header_of, refuse_other
from decider.data.files import Format
from decider.decider import Decider
from decider.decision import Decision, Status, Usage
from decider.errors import DataError, DeciderError, InputError, SpecError
from decider.runtime.budget import Spend
from decider.runtime.log.segment import Segment

if TYPE_CHECKING:
    from decider.batch.provider import Standing

S = TypeVar("S", bound=BaseModel)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_LONGER = 5.0
"""How many times as long each further pause between passes is."""

_SAID = ("value", "probability", "source")
_CHANGED = "nothing is written; restore it, or begin anew with --overwrite"


@dataclass(slots=True)
class Tally:
    """How far a run is: its rows, how those ended that have their record, and what this process used.

    `resumed` rows had their record before. `again` counts those that failed in this pass and come again in the next.
    `calls` are those to an endpoint; `cost_usd` is None as soon as the price of one is unknown.
    """

    rows: int
    resumed: int
    statuses: Counter[Status]
    again: int = 0
    from_cache: int = 0
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    possibly_billed: int = 0

    @property
    def done(self) -> int:
        """Rows that have their record."""
        return self.statuses.total()

    def take(self, decision: Decision[Any]) -> None:
        """Count what a decision used, also one that is not recorded."""
        self.from_cache += decision.cached
        self.calls += decision.attempts - sum(step.attempts for step in decision.steps if step.engine == "local")
        self.usage += decision.usage
        self.possibly_billed += decision.possibly_billed
        cost = decision.cost_usd
        self.cost_usd = None if cost is None or self.cost_usd is None else self.cost_usd + cost


Progress = Callable[[Tally], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a run ended.

    `out` is None where it is not there yet; `error` then says why, or it was told to stop. `unwritten` holds rows, as
    in a results file, that were decided and could not be recorded any more.
    """

    tally: Tally
    seconds: float
    out: Path | None = None
    error: Exception | None = None
    unwritten: Sequence[dict[str, Any]] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the summary in JSON types, with the keys that programs may rely on."""
        tally = self.tally
        return {
            "rows": tally.rows,
            "done": tally.done,
            **{status: tally.statuses[status] for status in STATUSES},
            "resumed": tally.resumed,
            "from_cache": tally.from_cache,
            "calls": tally.calls,
            "input_tokens": tally.usage.input_tokens,
            "output_tokens": tally.usage.output_tokens,
            "cost_usd": tally.cost_usd,
            "possibly_billed": tally.possibly_billed,
            "seconds": round(self.seconds, 3),
            "out": None if self.out is None else str(self.out),
            "error": None if self.error is None else str(self.error),
        }


class Run(Generic[S]):
    """The rows of one input on their way to one output; made by `opened`, which holds the lock meanwhile."""

    def __init__(
        self, decider: Decider[S], rows: Rows, looked: Scan, store: Store, *, mode: str, out: Path, keep: Sequence[str]
    ) -> None:
        self.decider = decider
        self.mode = mode
        self.scan = looked
        self.store = store
        statuses = store.counts()
        self.tally = Tally(rows=looked.rows, resumed=statuses.total(), statuses=statuses)
        self._rows = rows
        self._out = out
        self._keep = keep
        self._halted = threading.Event()
        self._lock = threading.Lock()  # what is cached is recorded in this thread, what is asked on the loop's
        self._last_pass = False
        self._begun: dict[str, Row] = {}
        self._broken: Exception | None = None
        self._unwritten: list[dict[str, Any]] = []

    def go(
        self,
        *,
        concurrency: int = 16,
        passes: int | None = None,
        progress: Progress | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> Summary:
        """Decide what has no record yet, and write the results when every row has one.

        What failed for now is tried again when all rows have had their turn, in `passes` passes, after a pause; in the
        last of them it is recorded as failed. What ends the run early is the `error` of the summary, and the same call
        on the same files goes on from there.
        """
        passes = passes or self.decider.task.spec.retry.passes
        return self._ended(lambda: self._decide(concurrency, passes, progress, pause or self._halted.wait))

    def go_batched(
        self,
        *,
        passes: int | None = None,
        watch: Callable[[Standing], None] = lambda _: None,
        pause: Callable[[float], object] | None = None,
    ) -> Summary:
        """Have the provider decide, in batches at half the price, what has no record yet; otherwise as `go`.

        `watch` is told how the batches stand, at each look at them. Raises `SpecError` where the endpoint has none.
        """
        from decider.batch.provider import run_batch  # it needs openai, which is slow to import

        return self._ended(
            lambda: run_batch(
                self.decider,
                self.inputs,
                self.store,
                mode=self.mode,
                passes=passes,
                record=self._recorded,
                folder=self.store.folder,
                watch=watch,
                pause=pause or self._halted.wait,
                halted=self._halted.is_set,
            )
        )

    def halt(self) -> None:
        """Begin no further row; what is under way ends, and is recorded.

        Any thread may say so; a signal handler has one do it, for the locks that are taken here.
        """
        self._halted.set()
        self.decider.halt()

    def inputs(self) -> Iterator[tuple[str, Any]]:
        """Yield id and input of every row, in order, as `Decider.each` takes them.

        Raises `DataError` where the input is not what it was when the run was opened.
        """
        return ((row.id, _given(row)) for row in self._same())

    def _ended(self, decide: Callable[[], None]) -> Summary:
        """Decide, write the results where every row has its record, and tell how that ended."""
        begun = time.monotonic()
        out = None
        try:
            self.store.begin()
            decide()
            if self.tally.done == self.tally.rows and self._write():
                out = self._out
        except SpecError:
            raise
        except (DeciderError, OSError) as error:
            self._broken = self._broken or error
        seconds = time.monotonic() - begun
        return Summary(tally=self.tally, seconds=seconds, out=out, error=self._broken, unwritten=self._unwritten)

    def _decide(
        self, concurrency: int, passes: int, progress: Progress | None, pause: Callable[[float], object]
    ) -> None:
        spent: Spend | None = self.store.spent
        n = 1
        while True:
            self._last_pass = n == passes
            self.tally.again = 0
            for decision in self.decider.each(
                self._waiting(), record=self._record, concurrency=concurrency, mode=self.mode, spent=spent
            ):
                self.tally.take(decision)
                if progress is not None:
                    progress(self.tally)
            if self._broken is not None or self._halted.is_set() or not self.tally.again:
                return
            pause(min(_LONGEST_PAUSE, _FIRST_PAUSE * _LONGER ** (n - 1)))
            spent, n = None, n + 1

    def _waiting(self) -> Iterator[tuple[str, Any]]:
        """The rows that have no record, for `each`; an input that breaks off ends them, so that calls under way end."""
        try:
            for row in self._same():
                if self._halted.is_set():
                    return
                if not self.store.done(row.n):
                    self._begun[row.id] = row
                    yield row.id, _given(row)
        except (DeciderError, OSError) as error:
            self._broken = error

    def _record(self, decision: Decision[S]) -> None:
        """Record a decision, but for a failure that another pass may change."""
        row = self._begun.pop(str(decision.row_id))
        error = decision.error
        with self._lock:
            if error is not None and error.retryable and not self._last_pass:
                self.tally.again += 1
            elif self._unwritten or not self._appended(row.n, decision):
                self._unwritten.append({**decision.row(), **self._kept(row)})

    def _appended(self, n: int, decision: Decision[S]) -> bool:
        """Whether a decision is on the disk; where it is not, the run ends: a row is not done without its record."""
        try:
            self.store.append(n, decision)
        except DataError as error:
            self._broken = error
            self.decider.halt()
            return False
        self.tally.statuses[decision.status] += 1
        return True

    def _recorded(self, n: int, decision: Decision[S]) -> None:
        """Record and count a decision that came in a batch."""
        self.tally.take(decision)
        self.store.append(n, decision)
        self.tally.statuses[decision.status] += 1

    def _write(self) -> bool:
        """Write the results in the order of the input; False where it was told to stop."""
        try:
            with results(self._out, self.decider.task, self._keep) as write, self.store.records() as records:
                for row in self._same():
                    self._go_on()
                    write(self._result(row, records.of(row.n)))
        except _Halted:
            return False
        return True

    def _go_on(self) -> None:
        if self._halted.is_set():
            raise _Halted

    def _result(self, row: Row, record: Mapping[str, Any]) -> dict[str, Any]:
        shown, error = self._shown(row, record["error"])
        fields = {path: {key: one[key] for key in _SAID} for path, one in record["fields"].items()}
        own = {"id": row.id, "decision": record["id"], "input": shown, "fields": fields, "error": error}
        return {key: own[key] if key in own else record[key] for key in KEYS} | self._kept(row)

    def _shown(self, row: Row, error: str | None) -> tuple[Any, str | None]:
        """The input as it is decided on, since the record may not hold it, and what is wrong with it.

        What a wrong input says, and the error that quotes it, is not shown where inputs are redacted.
        """
        task, redactor = self.decider.task, self.decider.around.redactor
        given = _given(row)
        try:
            if isinstance(given, InputError):
                raise given
            shown = task.encode(given, row=row.id)
            return (shown if redactor is None else redactor.redact(shown)), error
        except InputError as wrong:
            return (row.input, str(wrong)) if redactor is None else (None, error)

    def _kept(self, row: Row) -> dict[str, Any]:
        return {name: row.columns.get(name) for name in self._keep}

    def _same(self) -> Iterator[Row]:
        """The rows, as long as they are those of the first look; what was added since is for another run."""
        marks, n = self.scan.marks, 0
        for row in self._rows:
            n = row.n
            if n > self.scan.rows:
                return
            if row.mark != marks[n]:
                raise DataError(f"has changed while it was decided: {_CHANGED}", file=self._rows.name, row=n)
            yield row
        if n < self.scan.rows:
            raise DataError(f"has lost rows while it was decided: {_CHANGED}", file=self._rows.name, row=n)


class _Halted(Exception):
    """The run was told to stop."""


@contextmanager
def opened(
    decider: Decider[S],
    source: Path | BinaryIO,
    out: Path,
    *,
    mode: str | None = None,
    format: Format | None = None,  # the word of the command line
    keep: Sequence[str] = (),
    overwrite: bool = False,
    retry_failed: bool = False,
    batched: bool = False,
) -> Iterator[Run[S]]:
    """Open the run that decides `source` into `out`: a new one, or the one that was begun.

    Raises `DataError` where there is no such input or no such place, where `out` belongs to another run, and where a
    process is at it; `overwrite` begins anew. With `retry_failed`, rows that are recorded as failed are decided again.
    `keep` names columns of the input that are to stand in the output. One that is not `batched` is refused where the
    provider still has batches of it.
    """
    out, mode = out.resolve(), mode or decider.mode
    check_out(out, keep)
    path = segment_of(decider, out)
    if not overwrite and not path.exists():
        refuse_other(None, {}, out)
    with Rows(decider.task, source, path.parent, format=format) as rows:
        if rows.name == str(out):
            raise DataError("is the input; name another file for the results", file=str(out))
        looked = scan(rows, keep)
        fsync = decider.log is not None and decider.log.fsync
        with _locked(path, out, fsync=fsync) as segment:
            header = header_of(decider, mode, rows.name, out)
            store = Store(segment, decider, header, looked.marks, out=out, anew=overwrite)
            if not batched and any(store.notes()):
                _refuse_twice(store, out)
            if retry_failed:
                store.reopen_failed()
            yield Run(decider, rows, looked, store, mode=mode, out=out, keep=keep)


def _locked(path: Path, out: Path, *, fsync: bool) -> Segment:
    try:
        return Segment.open(path, fsync=fsync, lock=True)
    except DataError as error:
        raise DataError(f"cannot be written to now: {error}", file=str(out)) from error


def _refuse_twice(store: Store, out: Path) -> None:
    """Raise `DataError` where a provider has batches of a run: to ask their rows here is to pay for them twice."""
    from decider.batch.provider import under_way

    batches = under_way(store)
    if batches:
        remedy = "go on with --batch, or begin anew with --overwrite"
        raise DataError(f"has batches under way ({', '.join(batches)}); {remedy}", file=str(out))


def segment_of(decider: Decider[Any], out: Path) -> Path:
    """Return where the run that writes `out` is recorded: in the log, or beside `out` where there is none."""
    log = decider.log
    return out.with_name(f".{out.name}.decider-run.jsonl") if log is None else log.run_segment(out)


def _given(row: Row) -> Any:
    """What a row gives to decide on: its input, or the error that it fails with."""
    return row.input if row.problem is None else InputError(row.problem, row=row.id)
