"""`run`: rows to decisions, from one file into another."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated, Any

import typer

from decider.batch.estimate import Estimate, estimate
from decider.batch.rows import Rows
from decider.batch.run import Run, Summary, Tally, opened
from decider.batch.scan import scan
from decider.cli.amounts import calls, dollars, duration, rows, tokens
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
    print_json,
    say,
)
from decider.cli.pace import progress, say_batches
from decider.data.files import Format
from decider.decider import Decider
from decider.errors import BudgetExceeded, DeadlineExceeded

_EXAMPLE = "Example:  decider run mine/spec.yaml tickets.csv -o decided.csv"
_INTERRUPTED = 130
_ASK_ABOVE = 5.0
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
                    summary = one.go_batched(passes=passes, watch=say_batches)
                else:
                    with progress(one.tally):
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
        say(f"{rows(found.rows)}, in about {duration(found.seconds)}: this machine decides, and no call is made")
        return
    say(f"{rows(found.rows)}: about {calls(found.calls)}, {tokens(found.input_tokens, found.output_tokens)}")
    cost = "about " * (found.cost_usd is not None) + dollars(found.cost_usd)
    say(f"{cost}, {'within 24 hours' if batch else f'in {duration(found.seconds)} if a call lasts a second'}")
    say("without what a model thinks before its answer, calls that fail, and answers that are cached")


def _ask(found: Estimate) -> None:
    """Ask somebody before much is spent."""
    cost = found.cost_usd or 0.0
    if cost > _ASK_ABOVE and not typer.confirm(f"{rows(found.todo)}, about {dollars(cost)}: go on?", err=True):
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
    if not isinstance(error, BudgetExceeded) or error.key is None:
        return _go_on(_again(context, source))
    remedy = f"raise {error.key} above {error.limit:g}, in the spec or here, and go on with"
    return f"what was decided is recorded; {remedy}:\n  {_again(context, source, error.key)}"


def _show(summary: Summary) -> None:
    tally = summary.tally
    ended = [f"{count:,} {status}" for status, count in tally.statuses.items() if count]
    left = tally.rows - tally.done
    counts = [*ended, f"{left:,} to do"] if left else ended
    say(f"{rows(tally.rows)}: {', '.join(counts)}{_when(tally)}")
    if tally.calls:
        unsure = f"; {calls(tally.possibly_billed)} without an answer may be billed" if tally.possibly_billed else ""
        used = tokens(tally.usage.input_tokens, tally.usage.output_tokens)
        say(f"{calls(tally.calls)}, {used}, {dollars(tally.cost_usd)}{unsure}")
    written = "" if summary.out is None else f"; wrote {summary.out}"
    say(f"{duration(summary.seconds)}{written}")


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
    note(f"{rows(failed)} failed, each with its error in OUT; to decide them again, add --retry-failed")
    return 1


def _not_before(error: Exception) -> str:
    """When an endpoint wants to be asked again, where it said so."""
    if not isinstance(error, DeadlineExceeded) or error.retry_after is None:
        return ""
    then = datetime.now().astimezone() + timedelta(seconds=error.retry_after)
    return f"; not before {then:%H:%M:%S}"
