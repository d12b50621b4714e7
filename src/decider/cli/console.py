"""Where the command line writes: results on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment

from decider.assess.evaluate import Progress as Told
from decider.plan import MODES

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal obeys instead of showing it: control characters, and orders to turn the writing direction round."""

_UNSENT = re.compile("[\ud800-\udfff]")
"""What no encoding has: bytes in names of files that are no UTF-8."""


class _Shown:
    """Something to print, without what its texts order a terminal to do; what Rich itself orders stays."""

    def __init__(self, what: ConsoleRenderable) -> None:
        self._what = what

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text, style, control in console.render(self._what, options):
            yield Segment(text if control else _UNSENT.sub("\ufffd", _OBEYED.sub("", text)), style, control)


class _Showing(RenderHook):
    """Takes away what data must not order, wherever it is printed: ids, labels, texts, errors that name them."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Shown(one) for one in renderables]


def _console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr)
    console.push_render_hook(_Showing())
    return console


results = _console()
notes = _console(stderr=True)


def _mode(given: str | None) -> str | None:
    if given is None or given in MODES:
        return given
    close = get_close_matches(given, MODES, 1)
    meant = f"; did you mean {close[0]}?" if close else ""
    raise typer.BadParameter(f"mode must be one of {', '.join(MODES)}, not {given!r}{meant}")


SpecPath = Annotated[Path, typer.Argument(metavar="SPEC", help="The spec file.", show_default=False)]
DataPath = Annotated[
    Path, typer.Argument(metavar="DATA", help="Rows with their true outputs: .jsonl, .csv or .parquet.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the spec for this call; may be repeated."),
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Take no answers from the cache; keep new ones.", show_default=False)
]
ModeOption = Annotated[
    str | None,
    typer.Option("--mode", metavar="MODE", help=f"{' or '.join(MODES)}, in place of the spec's own.", callback=_mode),
]


def say(text: str = "", *, style: str | None = None) -> None:
    """Print text as it is on stdout; the terminal breaks long lines, so that what is copied from it stays whole."""
    results.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def note(text: str) -> None:
    """Print text as it is on stderr."""
    notes.print(text, highlight=False, markup=False, soft_wrap=True)


def say_next(*steps: tuple[str, str]) -> None:
    """Print commands to go on with, each below what it is for; all of it can be pasted into a shell."""
    say("\nNext:" + "".join(f"\n  # {why}\n  {command}" for why, command in steps))


def print_json(value: Any) -> None:
    """Print one JSON value on a line of its own."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def parse_sets(pairs: list[str] | None) -> Mapping[str, str]:
    """Turn `["prompt.model=x"]` into a mapping; a pair without `=` is a usage error."""
    found = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"--set {pair} is not KEY=VALUE, such as --set prompt.model=gpt-6-luna")
        found[key] = value
    return found


def cache_of(refresh: bool) -> Literal["refresh"] | None:
    """Return what a Decider is told of its cache."""
    return "refresh" if refresh else None


@contextmanager
def row_progress(label: str, *, quiet: bool) -> Iterator[Told | None]:
    """Show a bar on stderr while rows are done; nothing where nobody looks."""
    if quiet or not notes.is_terminal:
        yield None
        return
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def row_count(label: str, *, quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """Count rows on stderr while nobody knows how many there are; nothing where nobody looks."""
    if quiet or not notes.is_terminal:
        yield None
        return
    columns = (TextColumn(f"{{task.completed:,}} rows {label}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True) as bar:
        shown = bar.add_task(label, total=None)
        yield lambda done: bar.update(shown, completed=done)


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal."""
    return f"{share * 100:.1f} %"
