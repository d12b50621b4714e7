"""The parts of a run at the provider: submitted once each, looked at, fetched and cleared away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import IO, TypeVar

from decider.batch.parts import Part
from decider.batch.store import Store
from decider.engines.batches import Batch, Batches, Problem
from decider.errors import EngineError, EngineRejected, EngineUnavailable

logger = logging.getLogger("decider")

T = TypeVar("T")

FIRST = 5.0
"""Seconds between the first two looks at a batch, and before the first call that is made again."""

LONGEST = 60.0
_GROWTH = 1.5
_TRIES = 30
"""How often a call is made that is not answered: for about 25 minutes."""

_LONGEST_ASKED = 600.0
"""The longest pause, in seconds, that an endpoint is granted where it asks for one."""

_FEW = 3
"""The same for what is not needed to go on."""

_UNKNOWN_YET = 3
"""How often a batch is created that is refused: a file that was just uploaded may not be known everywhere."""

_SHOWN = 3
_GOES_ON = "what was submitted goes on there, and the same command comes back to it"
_ASK_RIGHT = "ask with the key that submitted it, or begin anew with --overwrite"


def pauses() -> Iterator[float]:
    """Yield growing pauses."""
    seconds = FIRST
    while True:
        yield seconds
        seconds = min(LONGEST, seconds * _GROWTH)


class Jobs:
    """Submits and follows parts. What is done is noted, so that after a kill at any point nothing is done twice."""

    def __init__(self, batches: Batches, store: Store, pause: Callable[[float], None]) -> None:
        self._batches = batches
        self._store = store
        self.pause = pause
        """Waits for so many seconds."""

    def check(self) -> None:
        """Raise `EngineRejected` where the endpoint has no batches."""
        self._surely(self._batches.check)

    def recover(self, part: Part) -> bool:
        """Whether a part was submitted whose batch is not noted: the process ended before it could be."""
        found = self._surely(lambda: self._batches.created(part.mark, part.file))
        if found is not None:
            part.batch = found.id
            self.note(part, batch=found.id)
        return found is not None

    def submit(self, part: Part, content: IO[bytes]) -> None:
        """Upload the file of a part, and create its batch."""
        self._store.note(part.note())
        part.file = self._surely(lambda: self._upload(part, content), lambda: self._batches.uploaded(part.name))
        self.note(part, file=part.file)
        part.batch = self._create(part, part.file).id
        self.note(part, batch=part.batch)

    def look(self, part: Part) -> Batch:
        """Return how the batch of a part stands."""
        try:
            return self._surely(lambda: self._batches.retrieve(part.batch or ""))
        except EngineRejected as error:
            said = f"batch {part.batch} cannot be looked at: {error}; {_ASK_RIGHT}"
            raise EngineRejected(said, reason=error.reason) from error

    def fetch(self, part: Part, to: IO[bytes]) -> bool:
        """Write what came back for a part into a file; False where it is not at the provider any more."""
        there = all(self._surely(partial(self._fetched, file, to, to.tell())) for file in part.files)
        if not there:
            logger.warning("what batch %s answered is not there any more: its rows are asked again", part.batch)
        return there

    def clear(self, part: Part) -> None:
        """Delete the files of a part at the provider, and note that it is over."""
        try:
            own = part.file or self._surely(lambda: self._batches.uploaded(part.name), tries=_FEW)
            for file in filter(None, (own, *part.files)):
                self._surely(partial(self._batches.delete, file), tries=_FEW)
        except EngineError as error:
            names = ", ".join((part.file or part.name, *part.files))
            logger.warning("files of batch %s remain at the provider (%s): %s", part.batch, names, error)
        self.note(part, over=True)

    def why(self, part: Part, batch: Batch) -> EngineRejected:
        """Return the error for a batch that was refused as a whole, with the rows that it was refused for."""
        said = [self._problem(part, problem) for problem in batch.problems[:_SHOWN]]
        more = f"; and {len(batch.problems) - _SHOWN} more" if len(batch.problems) > _SHOWN else ""
        what = "; ".join(said) or "it does not say why"
        return EngineRejected(f"batch {batch.id} was refused: {what}{more}", reason="request")

    def _problem(self, part: Part, problem: Problem) -> str:
        said = self._batches.shown(problem)
        row = next(islice(part.rows, problem.line - 1, None), None) if problem.line else None
        return said if row is None else f"row {row}: {said}"

    def note(self, part: Part, **what: str | int) -> None:
        """Record what is known of a part."""
        self._store.note({"part": part.number, **what})

    def _fetched(self, file: str, to: IO[bytes], start: int) -> bool:
        to.seek(start)
        to.truncate()
        there = self._batches.download(file, to)
        to.write(b"\n")  # the last line of a file may have no end
        return there

    def _upload(self, part: Part, content: IO[bytes]) -> str:
        content.seek(0)
        return self._batches.upload(part.name, content)

    def _create(self, part: Part, file: str) -> Batch:
        """Create a batch; the same file is refused more than once before that is believed."""
        for seconds in islice(pauses(), _UNKNOWN_YET - 1):
            try:
                return self._created(part, file)
            except EngineRejected as error:
                if error.reason in ("auth", "quota"):
                    raise
            self.pause(seconds)
        return self._created(part, file)

    def _created(self, part: Part, file: str) -> Batch:
        def create() -> Batch:
            return self._batches.create(file, part.mark)

        return self._surely(create, lambda: self._batches.created(part.mark, file))

    def _surely(self, call: Callable[[], T], done: Callable[[], T | None] = lambda: None, *, tries: int = _TRIES) -> T:
        """Call until that is answered; after a failure it may have been `done` all the same, and then not again."""
        for n, seconds in enumerate(islice(pauses(), tries)):
            sure = False
            try:
                found = done() if n else None
                sure = True
                return call() if found is None else found
            except EngineUnavailable as error:
                failed = error
            asked = failed.retry_after or 0.0
            if asked > _LONGEST_ASKED:
                break
            self.pause(max(seconds, asked))
        throttled = failed.throttled and sure  # else it may have been done
        said = f"{failed}; {_GOES_ON}"
        raise EngineUnavailable(said, retry_after=failed.retry_after, throttled=throttled) from failed
