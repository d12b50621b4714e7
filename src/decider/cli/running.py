"""`run`: rows to decisions, from one file into another."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from decider.batch.estimate import Estimate, estimate
from decider.batch.rows import Rows
from decider.batch.run import Run, Summary, Tally, opened
from decider.batch.scan import scan
from decider.cli.console import (
    AsJson,
    ModeOption,
    Refresh,
    Sets,
    SpecPath,
    cache_of,
    note,
    notes,
    parse_sets,
    percent,
    print_json,
    say,
)
from decider.data.files import Format
from decider.decider import Decider
from decider.errors import DeadlineExceeded

if TYPE_CHECKING:
    from decider.batch.provider import Standing

_EXAMPLE = "Example:  decider run mine/spec.yaml tickets.csv -o decided.csv"
_INTERRUPTED = 130
_ASK_ABOVE = 5.0
_LINE_EVERY = 10.0
_BAR_EVERY = 0.1
_QUIET = 5.0
"""Seconds in which no row ends, after which the endpoint is waited for."""

_BAR = 12
"""Columns that the bar takes: what it says matters more."""

_WINDOW = 24 * 3600.0
_LOCKS = os.name == "posix"
_SHOW_CURSOR = "\x1b[?25h\n"


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("run", epilog=_EXAMPLE, rich_help_panel="First steps")(run)


def run(
    context: typer.Context,
    spec: SpecPath,
    source: Annotated[str, typer.Argument(metavar="IN", help="Rows: .jsonl, .csv or .parquet; - is JSONL on stdin.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="OUT", help="The file to write: .jsonl, .csv or .parquet.")
    ] = None,
    mode: ModeOption = None,
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="Calls at once, at most.")] = 16,
    passes: Annotated[
        int | None, typer.Option(min=1, max=100, metavar="N", help="How often rows that failed are tried in all.")
    ] = None,
    keep: Annotated[
        str | None, typer.Option(metavar="COLS", help="Columns of IN that OUT has, too, with commas between.")
    ] = None,
    max_failed: Annotated[
        str,
        typer.Option(metavar="N", help="How many rows may fail without exit code 1: a number or a share such as 0.1%."),
    ] = "0",
    estimated: Annotated[bool, typer.Option("--estimate", help="Say what it would take; no call is made.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help=f"Do not ask before a run above ${_ASK_ABOVE:g}.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin anew, whatever OUT is.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Decide rows again that an earlier run recorded as failed.")
    ] = False,
    refresh: Refresh = False,
    batch: Annotated[
        bool, typer.Option("--batch", help="Have the provider decide within a day, at half the price.")
    ] = False,
    format: Annotated[  # the word of the command line
        Format | None,
        typer.Option(metavar="FORMAT", help="What IN is, where its name does not tell: jsonl, csv or parquet."),
    ] = None,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Decide every row of a file: each is recorded as it is done, and the same command goes on where it stopped."""
    allowed = _allowed(max_failed)
    given = sys.stdin.buffer if source == "-" else Path(source)
    with Decider[Any].load(spec, set=parse_sets(sets), mode=mode, cache=cache_of(refresh)) as decider:
        share = _batch_share(decider) if batch else 1.0
        if estimated:
            with Rows(decider.task, given, Path(tempfile.gettempdir()), format=format) as rows:
                found = estimate(decider, scan(rows), concurrency=concurrency, share=share)
            _show_estimate(replace(found, seconds=_WINDOW) if batch else found, batch=batch, as_json=as_json)
            return
        if out is None:
            raise typer.BadParameter("name the file to write: -o OUT, or ask for an --estimate")
        kept = [name.strip() for name in (keep or "").split(",") if name.strip()]
        again = _again(context, source)
        with opened(
            decider, given, out, format=format, keep=kept, overwrite=overwrite, retry_failed=retry_failed, batched=batch
        ) as one:
            if not yes and sys.stdin.isatty() and notes.is_terminal:
                _ask(estimate(decider, one.scan, done=one.tally.done, concurrency=concurrency, share=share))
            if not _LOCKS:
                note("nothing on this platform keeps a second process from the same OUT: start none")
            with _stopping(one, again):
                if batch:
                    summary = one.go_batched(passes=passes, watch=_say_batches)
                else:
                    with _progress(one.tally):
                        summary = one.go(concurrency=concurrency, passes=passes)
    if as_json:
        print_json(summary.to_json())
    else:
        _show(summary)
    code = _end(summary, allowed, _way_on(context, source, summary.error))
    if code:
        raise typer.Exit(code)


def _batch_share(decider: Decider[Any]) -> float:
    """The share of the price that is paid in batches; raises `SpecError` where there are none."""
    from decider.batch.provider import check  # it needs openai, which is slow to import
    from decider.engines.batches import SHARE

    check(decider)
    return SHARE


def _allowed(text: str) -> Callable[[int], float]:
    """How many of so many rows may fail, as `5` or `0.1%` says."""
    share = text.removesuffix("%")
    try:
        most = float(share) if share != text else int(text)
    except ValueError as error:
        raise typer.BadParameter(f"--max-failed {text} is neither a number of rows nor a share such as 0.1%") from error
    return lambda rows: most if share == text else rows * most / 100.0


def _show_estimate(found: Estimate, *, batch: bool, as_json: bool) -> None:
    if as_json:
        print_json(found.to_json())
        return
    if not found.calls:
        say(f"{_rows(found.rows)}, in about {_time(found.seconds)}: this machine decides, and no call is made")
        return
    say(f"{_rows(found.rows)}: about {_calls(found.calls)}, {_tokens(found.input_tokens, found.output_tokens)}")
    cost = "about " * (found.cost_usd is not None) + _dollars(found.cost_usd)
    say(f"{cost}, {'within 24 hours' if batch else f'in {_time(found.seconds)} if a call lasts a second'}")
    say("without what a model thinks before its answer, calls that fail, and answers that are cached")


def _ask(found: Estimate) -> None:
    """Ask somebody before much is spent."""
    cost = found.cost_usd or 0.0
    if cost > _ASK_ABOVE and not typer.confirm(f"{_rows(found.todo)}, about {_dollars(cost)}: go on?", err=True):
        note("no row was decided")
        raise typer.Exit(2)


def _again(context: typer.Context, source: str, raised: str = "") -> str:
    """The command that goes on where this one stops, with a key of the spec `raised`."""
    given = [one for one in context.obj if one != "--overwrite"]
    if raised:
        given = [f"{raised}=MORE" if one.startswith(f"{raised}=") else one for one in given]
        given += [] if f"{raised}=MORE" in given else ["--set", f"{raised}=MORE"]
    return shlex.join(["decider", *given]) + ("  # with the same rows on stdin" if source == "-" else "")


@contextmanager
def _stopping(under_way: Run[Any], again: str) -> Iterator[None]:
    """Let a first signal end the run well, and a second one at once.

    What a handler may do is little, since it may come in the middle of anything: a thread does the rest.
    """
    told: SimpleQueue[bool] = SimpleQueue()
    signals = (signal.SIGINT, signal.SIGTERM)

    def first(*_: object) -> None:
        for one in signals:
            signal.signal(one, second)
        told.put(True)

    def second(*_: object) -> None:
        os.write(2, f"{_SHOW_CURSOR if notes.is_terminal else ''}{_go_on(again)}\n".encode())
        os._exit(_INTERRUPTED)

    def wait() -> None:
        if told.get():
            note("no further row is begun; calls under way end first, or interrupt again")
            under_way.halt()

    waiting = threading.Thread(target=wait, name="decider-stop", daemon=True)
    waiting.start()
    before = {one: signal.signal(one, first) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        told.put(False)
        waiting.join()


def _go_on(again: str) -> str:
    return f"what was decided is recorded; go on with:\n  {again}"


def _way_on(context: typer.Context, source: str, error: Exception | None) -> str:
    """What to do about a run that ended early; the same command alone would not help one whose budget is used up."""
    used_up = re.match(r"(budget\.run\.\w+) is ([^;]+);", str(error))
    if used_up is None:
        return _go_on(_again(context, source))
    key, limit = used_up.groups()
    remedy = f"raise {key} above {limit}, in the spec or here, and go on with"
    return f"what was decided is recorded; {remedy}:\n  {_again(context, source, key)}"


@contextmanager
def _progress(tally: Tally) -> Iterator[None]:
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


def _say_batches(now: Standing) -> None:
    if not now.batches:
        return
    batches = "1 batch" if now.batches == 1 else f"{now.batches} batches"
    failed = f", {now.failed:,} failed" if now.failed else ""
    done = f"{now.completed:,} of {now.requests:,} requests done{failed}"
    note(f"{batches} under way: {done}; next look in {_time(now.seconds)}")


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
            parts.append(_dollars(tally.cost_usd))
        return parts

    def _next(self, now: float, rate: float) -> tuple[str, ...]:
        """What is to come, or what is waited for."""
        left = self._tally.rows - self._tally.done
        if not left:
            return ("writing OUT",)
        if now - self._moved >= _QUIET:
            return ("waiting for the endpoint", f"no row for {_time(now - self._moved)}")
        return (f"about {_time(left / rate)} left" if rate else "begun",)

    def _where(self) -> tuple[int, int]:
        return self._tally.done, self._tally.again


def _show(summary: Summary) -> None:
    tally = summary.tally
    ended = [f"{count:,} {status}" for status, count in tally.statuses.items() if count]
    left = tally.rows - tally.done
    counts = [*ended, f"{left:,} to do"] if left else ended
    say(f"{_rows(tally.rows)}: {', '.join(counts)}{_when(tally)}")
    if tally.calls:
        unsure = f"; {_calls(tally.possibly_billed)} without an answer may be billed" if tally.possibly_billed else ""
        used = _tokens(tally.usage.input_tokens, tally.usage.output_tokens)
        say(f"{_calls(tally.calls)}, {used}, {_dollars(tally.cost_usd)}{unsure}")
    written = "" if summary.out is None else f"; wrote {summary.out}"
    say(f"{_time(summary.seconds)}{written}")


def _when(tally: Tally) -> str:
    """Which of the rows an earlier run had decided, and which the cache."""
    cached = f"{tally.from_cache:,} from the cache" if tally.from_cache else ""
    if not tally.resumed:
        return cached and f"; {cached}"
    now = tally.done - tally.resumed
    return f"; {tally.resumed:,} were done before" + (f", {now:,} now" if now else "") + (cached and f" ({cached})")


def _end(summary: Summary, allowed: Callable[[int], float], way_on: str) -> int:
    """Say what is left to do, and return the exit code."""
    for row in summary.unwritten:
        typer.echo(json.dumps(row, ensure_ascii=False, default=str), err=True)
    if summary.error is not None:
        note(f"error: {summary.error}{_not_before(summary.error)}")
    if summary.out is None:
        note(way_on)
        return _INTERRUPTED if summary.error is None else 1
    failed = summary.tally.statuses["failed"]
    if failed <= allowed(summary.tally.rows):
        return 0
    note(f"{_rows(failed)} failed, each with its error in OUT; to decide them again, add --retry-failed")
    return 1


def _not_before(error: Exception) -> str:
    """When an endpoint wants to be asked again, where it said so."""
    if not isinstance(error, DeadlineExceeded) or error.retry_after is None:
        return ""
    then = datetime.now().astimezone() + timedelta(seconds=error.retry_after)
    return f"; not before {then:%H:%M:%S}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count:,} calls"


def _tokens(came: int, went: int) -> str:
    return f"{came:,} + {went:,} tokens"


def _dollars(cost: float | None) -> str:
    if cost is None:
        return "at an unknown price"
    return f"${cost:,.2f}" if cost >= 1.0 else f"${cost:.4f}"


def _time(seconds: float) -> str:
    """A length of time, in the two units that matter."""
    if seconds < 60.0:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60.0)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
