"""`data export`: a dataset in the format of whoever trains on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Column, Table
from rich.text import Text

from decider.cli.console import AsJson, Sets, note, parse_sets, print_json, results, row_count, say
from decider.cli.history import counted
from decider.cli.sides import SplitPath
from decider.data.exporters import TARGETS, Export, Exported, target_of
from decider.data.split import Split
from decider.task import Task

_EXAMPLE = "Example:  decider data export decider-demo/spec.yaml decider-demo/train.jsonl --for together -o exported"


def add_to(group: typer.Typer) -> None:
    """Add this command."""
    group.command("export", epilog=_EXAMPLE)(export)


def export(
    spec: Annotated[Path | None, typer.Argument(metavar="SPEC", help="The spec file.", show_default=False)] = None,
    data: Annotated[
        Path | None, typer.Argument(metavar="DATA", help="Rows with their true outputs.", show_default=False)
    ] = None,
    target: Annotated[
        str | None, typer.Option("--for", metavar="TARGET", help="Who trains on it: see --list.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="OUT", help="A folder, or one file.", show_default=False)
    ] = None,
    split: SplitPath = None,
    side: Annotated[
        Literal["train", "validation", "test"] | None,
        typer.Option("--side", help="Write this side alone.", show_default=False),
    ] = None,
    with_examples: Annotated[
        bool, typer.Option("--with-examples", help="With the few-shot examples of the prompt mode, not a row's own.")
    ] = False,
    field: Annotated[
        str | None, typer.Option("--field", metavar="PATH", help="The field that SetFit learns.", show_default=False)
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show the targets with their rules, and leave.")] = False,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Write your rows as a trainer or provider takes them, byte for byte what a tuned model will be asked.

    Without a split, all rows are there to train on. Test rows are left out where a target does not ask for them.
    """
    if listed:
        _show_targets(as_json)
        return
    if spec is None or data is None or target is None or out is None:
        raise typer.BadParameter("give SPEC DATA --for TARGET -o OUT; --list shows the targets")
    task: Task[Any] = Task.load(spec, set=parse_sets(sets))
    work = Export(
        task=task,
        data=data,
        target=target_of(target),
        split=None if split is None else Split.load(split, task=task.name),
        side=side,
        examples=with_examples,
        label=field,
    )
    with row_count("written or read back", quiet=as_json) as progress:
        exported = work.write(out, progress=progress)
    if as_json:
        print_json(exported.to_json())
    else:
        _show(exported)


def _show(exported: Exported) -> None:
    for one in exported.files:
        tokens = "" if one.tokens is None else f", about {one.tokens:,} tokens"
        say(f"wrote {one.path}: {counted(one.rows, 'row')} ({one.side}), {one.bytes:,} bytes{tokens}")
    for said in exported.notes:
        note(said)
    say(f"next: {exported.then}")


def _show_targets(as_json: bool) -> None:
    if as_json:
        for target in TARGETS.values():
            print_json(target.to_json())
        return
    table = Table(Column("target", no_wrap=True), "a row is", "rules")
    for target in TARGETS.values():
        table.add_row(target.name, target.kept, Text(target.rules.said()))
    results.print(table)
    say(
        "and for every row of messages: one system message at most, and first; user and assistant in turns, the "
        "assistant last; no empty text; no other key"
    )
