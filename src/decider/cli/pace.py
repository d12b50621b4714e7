"""How far a run is, told on stderr while it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn

from decider.batch.run import Tally
from decider.cli.amounts import dollars, duration
from decider.cli.console import note, notes, percent

if TYPE_CHECKING:
    from decider.batch.provider import Standing

_LINE_EVERY = 10.0
_BAR_EVERY = 0.1
_QUIET = 5.0
"""Seconds in which no row ends, after which the endpoint is waited for."""

_BAR = 12
"""Columns that the bar takes: what it says matters more."""


@contextmanager
def progress(tally: Tally) -> Iterator[None]:
    """Show on stderr how far a run is, whether rows end or not: a bar for somebody who looks, or else lines."""
    pace = _Pace(tally)
    if not notes.is_interactive:
        with _every(_LINE_EVERY, lambda: note(", ".join(pace.said()))):
            yield
        return
    columns = (BarColumn(bar_width=_BAR), TextColumn("{task.description}"))
    with Progress(*columns, console=notes, transient=True) as bar:
        shown = bar.add_task("", total=tally.rows, completed=tally.done)

        def show() -> None:
            bar.update(shown, completed=tally.done, description=_fitting(pace.said(), notes.width - _BAR - 2))

        show()
        with _every(_BAR_EVERY, show):
            yield


@contextmanager
def _every(seconds: float, show: Callable[[], None]) -> Iterator[None]:
    """Have something shown now and then, by a thread of its own."""
    over = threading.Event()

    def tick() -> None:
        while not over.wait(seconds):
            show()

    ticking = threading.Thread(target=tick, name="decider-progress", daemon=True)
    ticking.start()
    try:
        yield
    finally:
        over.set()
        ticking.join()


def _fitting(parts: Sequence[str], width: int) -> str:
    """As much of a line as fits, the first parts first."""
    line = parts[0]
    for part in parts[1:]:
        if len(line) + 2 + len(part) > width:
            break
        line = f"{line}, {part}"
    return line


def say_batches(now: Standing) -> None:
    """Say how far a provider's batches are."""
    if not now.batches:
        return
    batches = "1 batch" if now.batches == 1 else f"{now.batches} batches"
    failed = f", {now.failed:,} failed" if now.failed else ""
    done = f"{now.completed:,} of {now.requests:,} requests done{failed}"
    note(f"{batches} under way: {done}; next look in {duration(now.seconds)}")


class _Pace:
    """How far a run is, how fast, and since when nothing has ended."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._begun = self._moved = time.monotonic()
        self._seen = self._where()

    def said(self) -> list[str]:
        """Return what there is to say, what matters most first: rows, time left, failures, rate, cost."""
        tally, now, where = self._tally, time.monotonic(), self._where()
        if where != self._seen:
            self._seen, self._moved = where, now
        done = tally.done
        rate = (done - tally.resumed) / max(now - self._begun, 1e-9)
        parts = [f"{done:,} of {tally.rows:,} rows ({percent(done / max(tally.rows, 1))})", *self._next(now, rate)]
        parts.append(f"{tally.statuses['failed']:,} failed")
        if tally.again:
            parts.append(f"{tally.again:,} to try again")
        parts.append(f"{rate:,.1f} rows/s")
        if tally.calls:
            parts.append(dollars(tally.cost_usd))
        return parts

    def _next(self, now: float, rate: float) -> tuple[str, ...]:
        """What is to come, or what is waited for."""
        left = self._tally.rows - self._tally.done
        if not left:
            return ("writing OUT",)
        if now - self._moved >= _QUIET:
            return ("waiting for the endpoint", f"no row for {duration(now - self._moved)}")
        return (f"about {duration(left / rate)} left" if rate else "begun",)

    def _where(self) -> tuple[int, int]:
        return self._tally.done, self._tally.again
