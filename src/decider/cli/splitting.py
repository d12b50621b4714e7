"""`data split`: which rows are trained on, and which are kept to measure with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.table import Table
from rich.text import Text

from decider.cli.console import (
    AsJson,
    DataPath,
    Sets,
    SpecPath,
    note,
    parse_sets,
    percent,
    print_json,
    results,
    row_progress,
    say,
)
from decider.data.aside import is_same, refuse_unwritable
from decider.data.dataset import Dataset
from decider.data.split import DEFAULT, SIDES, Report, Side, Split, report, write_sides
from decider.data.split import split as made
from decider.task import Task

_EXAMPLE = "Example:  decider data split decider-demo/spec.yaml decider-demo/train.jsonl"
_SHOWN = 5


def add_to(group: typer.Typer) -> None:
    """Add this command."""
    group.command("split", epilog=_EXAMPLE)(split)


def split(
    spec: SpecPath,
    data: DataPath,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="SPLIT.json", help="The split file; default beside DATA.")
    ] = None,
    validation: Annotated[
        float | None, typer.Option(min=0, max=1, help="Its share of the rows; default 0.1, or as in the split file.")
    ] = None,
    test: Annotated[
        float | None, typer.Option(min=0, max=1, help="Its share of the rows; default 0.1, or as in the split file.")
    ] = None,
    by_time: Annotated[bool, typer.Option("--by-time", help="The oldest rows to train, the newest to test.")] = False,
    no_near: Annotated[bool, typer.Option("--no-near", help="Do not keep near-duplicates on one side.")] = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FOLDER", help="Write each side as a .jsonl file there.")
    ] = None,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Split rows into train, validation and test: groups and near-duplicates together, labels in equal shares.

    The split file is kept: rows in it never move, and new rows join it. A new row with a `split` of its own keeps that.
    """
    path = file or data.with_suffix(".split.json")
    _refuse_lost(path, out, data)
    task: Task[Any] = Task.load(spec, set=parse_sets(sets))
    dataset = Dataset.load(data, task)
    refuse_unwritable(path)
    before = Split.load(path, task=task.name) if path.exists() else None
    shares = _shares(validation, test, before)
    with row_progress("comparing", quiet=as_json) as progress:
        found = made(dataset, task, before=before, shares=shares, by_time=by_time, near=not no_near, progress=progress)
    told = report(dataset, task, found, before=before)
    files = [] if out is None else write_sides(dataset, found, out)
    found.save(path)
    if as_json:
        print_json({"file": str(path), "files": [str(one) for one in files], **told.to_json()})
        return
    show(told)
    for one in files:
        note(f"wrote {one}")
    note(f"wrote {path}: rows in it never move, and new rows join it; to begin anew, delete it")


def _refuse_lost(file: Path, out: Path | None, data: Path) -> None:
    """A split file or a side that would take the place of all rows is refused before any work."""
    if is_same(file, data):
        raise typer.BadParameter(f"--file is for the split file, and {file} is DATA; name another file")
    if out is not None and any(is_same(out / f"{side}.jsonl", data) for side in get_args(Side)):
        raise typer.BadParameter(f"-o {out} would write one side over DATA, {data}; name another folder")


def _shares(validation: float | None, test: float | None, before: Split | None) -> Mapping[str, float]:
    """What each side should hold; what is not said stays as it was."""
    known = DEFAULT if before is None else before.shares
    held = known["validation"] if validation is None else validation
    kept = known["test"] if test is None else test
    if held + kept >= 1:
        raise typer.BadParameter(f"--validation {held:g} and --test {kept:g} leave no rows to train on")
    return {"train": 1 - held - kept, "validation": held, "test": kept}


def show(told: Report) -> None:
    """Print a split as a table, and below it where labels deviate most, and what did not come to a side."""
    came = f"{told.stayed} rows stay, {told.new} new, {told.moved} moved"
    table = Table("side", "rows", "share", "asked", title=came, title_justify="left")
    kept = sum(told.rows[side] for side in SIDES)
    for side in SIDES:
        share = told.rows[side] / max(kept, 1)
        table.add_row(side, str(told.rows[side]), percent(share), percent(told.shares[side]))
    results.print(table)
    _show_deviations(told)
    for line in _remarks(told):
        say(line)


def _show_deviations(told: Report) -> None:
    if not told.deviations:
        return
    table = Table("field", "label", "side", "share there", "of all", title="Largest deviations", title_justify="left")
    for one in told.deviations:
        table.add_row(Text(one.field), Text(one.label), one.side, percent(one.share), percent(one.overall))
    results.print(table)


def _remarks(told: Report) -> list[str]:
    """What is to be known of a split beside its shares."""
    remedy = "its share needs more rows, or labels with more rows each"
    lines = [
        f"{side} holds no rows: {'see the rows that are excluded' if told.excluded else remedy}"
        for side in SIDES
        if told.shares[side] > 0 and not told.rows[side]
    ]
    lines += [
        f"{rows} rows belong together (row {name} and those of its group or like it), more than a side should hold: "
        "they are on one side all the same"
        for name, rows in told.blocks.items()
    ]
    if told.absent:
        lines.append(f"{told.absent} rows of the split file are not in the data; they keep their sides")
    if told.excluded:
        count = len(told.excluded)
        which = "1 row is excluded, for it" if count == 1 else f"{count} rows are excluded, for they"
        lines.append(f"{which} would bring a side's rows to another:")
        lines += [f"  row {name}: {why}" for name, why in list(told.excluded.items())[:_SHOWN]]
        if len(told.excluded) > _SHOWN:
            lines.append(f"  and {len(told.excluded) - _SHOWN} more, all in the split file")
    return lines
