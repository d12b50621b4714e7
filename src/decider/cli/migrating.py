"""`data migrate`: a dataset of an old schema as one of the new."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from decider.cli.console import (
    AsJson,
    Sets,
    SpecPath,
    note,
    parse_sets,
    print_json,
    results,
    row_progress,
    say,
    say_next,
)
from decider.cli.history import counted, shortly
from decider.data.migrate import changes as changed
from decider.data.migrate.fates import Fates, fates_of
from decider.data.migrate.moving import OPEN
from decider.data.migrate.rewriting import Migrated
from decider.data.migrate.rewriting import migrate as move
from decider.data.migrate.stale import Leftover, leftovers, load

_EXAMPLE = "Example:  decider data migrate mine/spec.yaml mine/rows.jsonl changes.yaml -o mine/new.jsonl"

_MOST_NAMED = 10


def add_to(group: typer.Typer) -> None:
    """Add this command."""
    group.command("migrate", epilog=_EXAMPLE)(migrate)


def migrate(
    spec: SpecPath,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Rows of the old schema: .jsonl.", show_default=False)],
    changes: Annotated[Path, typer.Argument(metavar="CHANGES", help="What changed: a YAML file.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="The rows of the new schema.")],
    filled: Annotated[
        Path | None, typer.Option("--filled", metavar="FILE", help="Rows for people, as they were filled in.")
    ] = None,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Rewrite a dataset after labels were renamed, merged, split or retired, or fields added; SPEC is the new one.

    Rows that need a person are written beside OUT, to be filled in and given back. Exit code 1 while there are any.
    """
    task, examples = load(spec, set=parse_sets(sets))
    fates = fates_of(*changed.read(changes), task)
    for warning in fates.warnings:
        note(f"warning: {warning}")
    with row_progress("migrating", quiet=as_json) as progress:
        done = move(data, task, fates, out, filled=filled, progress=progress)
    stale = leftovers(task, spec, changes, out, examples=examples)
    if as_json:
        print_json({**done.to_json(fates), "stale": [one.to_json() for one in stale]})
    else:
        _show(done, fates)
        _show_stale(stale)
        if done.open:
            words = ("decider", "data", "migrate", spec, data, changes, "-o", out, "--filled", done.review)
            again = shlex.join(map(str, words))
            say_next((f'after choosing what stands in place of each "{OPEN}" in {done.review}', again))
    raise typer.Exit(1 if done.open else 0)


def _show(done: Migrated, fates: Fates) -> None:
    filled = f", {done.filled:,} as they were filled in" if done.filled else ""
    say(f"{done.out}: {counted(done.written, 'row')} of {done.rows:,}, {done.changed:,} of them changed{filled}")
    if done.open:
        say(f"{done.review}: {counted(done.open, 'row')} for a person to look at", style="yellow")
    table = Table(Column("change", overflow="fold"), Column("rows", justify="right"), box=None, pad_edge=False)
    for n, said in enumerate(fates.said):
        about = f"{done.used[n]:,}" if done.used[n] else "none: is it spelled as in the rows?"
        table.add_row(Text(said), Text(about, "" if done.used[n] else "yellow"))
    say()
    results.print(table)
    if done.unexplained:
        say("\nno change is about:")
    for (path, was, why), count in done.unexplained.most_common(_MOST_NAMED):
        found = f" {shortly(was)!r}" if was else ""
        say(f"  {counted(count, 'row')}: {path or 'the row'}{found}: {why}")
    if len(done.unexplained) > _MOST_NAMED:
        say(f"  … and {len(done.unexplained) - _MOST_NAMED} more; {done.review} has all of them")


def _show_stale(stale: list[Leftover]) -> None:
    if stale:
        say("\nof the old schema:")
    for one in stale:
        say(f"  {one.what}: {one.message}")
        if one.command is not None:
            say(f"    {one.command}")
