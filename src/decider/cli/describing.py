"""`data stats`: what a dataset holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from decider.assess.lint.labels import FEWEST
from decider.assess.stats.measure import measure
from decider.assess.stats.spread import Spread
from decider.assess.stats.values import FieldStats, LabelCount, Reason, Stats, Timeline, shown
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
from decider.cli.history import counted, shortly
from decider.cli.sides import SplitPath
from decider.data.aside import is_same, refuse_unwritable
from decider.data.rows import read
from decider.data.split import Split
from decider.schema import Label
from decider.task import Task

_EXAMPLE = "Example:  decider data stats decider-demo/spec.yaml decider-demo/train.jsonl --html stats.html"

_EIGHTHS = "▏▎▍▌▋▊▉█"
_BAR = 16
_SHORT_BAR = 8
_MOST_LABELS = 40
"""Labels up to which all are shown; of more, the commonest and the rarest."""

_ENDS = 15
_LONGEST = 60
_WIDEST = 20
_MOST_FIELDS = 3
"""Fields of which the commonest label is shown for each period."""


def add_to(group: typer.Typer) -> None:
    """Add this command."""
    group.command("stats", epilog=_EXAMPLE)(stats)


def stats(
    spec: SpecPath,
    data: DataPath,
    split: SplitPath = None,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write pictures, as a page.")] = None,
    sets: Sets = None,
) -> None:
    """Count what a dataset holds: labels, combinations, texts, tokens, sources, sides, and all of it over time."""
    if html is not None:
        _refuse_lost(html, spec, data, split)
    task: Task[Any] = Task.load(spec, set=parse_sets(sets))
    side_of = None if split is None else Split.load(split, task=task.name).side_of
    with row_progress("counting", quiet=as_json) as progress:
        found = measure(read(data, task), task, side_of=side_of, progress=progress)
    if html is not None:
        from decider.assess.stats.picture import write_html

        write_html(found, html, name=data.name)
        note(f"wrote {html}")
    if as_json:
        print_json(found.to_json())
    else:
        show(found, data.name)


def _refuse_lost(html: Path, *read_from: Path | None) -> None:
    """A page that cannot be written, or would take the place of what is read, is refused before any work."""
    refuse_unwritable(html)
    for path in filter(None, read_from):
        if is_same(html, path):
            raise typer.BadParameter(f"--html would write over {path}, which is read; name another file")


def show(found: Stats, name: str) -> None:
    """Print what was found, a table for each part of it."""
    rejected = f", and {found.rejected:,} that do not fit it" if found.rejected else ""
    say(f"{name}: {counted(found.rows, 'row')} of the task {found.task}{rejected}")
    if found.reasons:
        _print(_rejected(found.reasons))
    if not found.rows:
        return
    for one in found.fields:
        if one.field.closed:
            _print(_labels(one, found.sides))
            _say_lacking(one)
    _show_joint(found)
    _print(_spreads(found))
    if found.time is not None:
        _print(_periods(found.time))
    if found.unread:
        say(f"\n{counted(found.unread, 'row')} with a time that cannot be read", style="yellow")
    for what, counts in (("source", found.sources), ("checked by", found.checked_by), ("side", found.sides)):
        if counts:
            _print(_counts(what, counts, found.rows))
    if found.groups is not None:
        largest, rows = found.groups.largest[0]
        without = f"; {found.groups.without:,} rows in none" if found.groups.without else ""
        say(f"\ngroups: {found.groups.count:,}, the largest, {shortly(largest)}, of {rows:,} rows{without}")


def _rejected(reasons: Iterable[Reason]) -> Table:
    table = _table("", "rejected", "field", _number("rows"), _number("first at"), "what was wrong there")
    for one in reasons:
        message = one.message if len(one.message) <= _LONGEST else f"{one.message[:20]} … {one.message[-40:]}"
        table.add_row(one.kind, Text(one.field or ""), f"{one.rows:,}", f"{one.first:,}", Text(message, "dim"))
    return table


def _labels(one: FieldStats, sides: Mapping[str, int]) -> Table:
    some = f"; the {_ENDS} commonest and the {_ENDS} rarest" if len(one.labels) > _MOST_LABELS else ""
    title = f"{one.field.path} ({one.field.kind}, {len(one.labels)} labels{some})"
    table = _table(title, Column("label", overflow="fold"), "", _number("rows"), _number("share"), *map(_number, sides))
    most = max(one.empty if one.field.kind == "tags" else 0, *(label.rows for label in one.labels))
    size = _SHORT_BAR if sides else _BAR
    for label in _ends(one.labels):
        if label is None:
            table.add_row(f"… {len(one.labels) - 2 * _ENDS} more: --html, --json", style="dim")
            continue
        style = "" if label.rows >= FEWEST else "yellow" if label.rows else "red"
        each = (_of(label.sides[side], count) for side, count in sides.items())
        bar, share = _bar(label.rows / most, size), percent(label.rows / one.rows)
        table.add_row(Text(shortly(shown(label.label)), style), bar, f"{label.rows:,}", share, *each)
    if one.field.kind == "tags":
        table.add_row(
            Text("no tag", "dim"), _bar(one.empty / most, size), f"{one.empty:,}", percent(one.empty / one.rows)
        )
    return table


def _ends(labels: Sequence[LabelCount]) -> Sequence[LabelCount | None]:
    """All labels, or the commonest and the rarest of many with None between them."""
    if len(labels) <= _MOST_LABELS:
        return labels
    ordered = sorted(labels, key=lambda label: -label.rows)
    return [*ordered[:_ENDS], None, *ordered[-_ENDS:]]


def _say_lacking(one: FieldStats) -> None:
    if one.rare:
        named = ", ".join(f"{shortly(shown(label.label))} ({label.rows})" for label in one.rare)
        say(f"  rare, with fewer than {FEWEST} rows: {named}", style="yellow")
    if one.missing:
        say(f"  in no row: {', '.join(shortly(shown(label)) for label in one.missing)}", style="red")


def _show_joint(found: Stats) -> None:
    joint = found.combinations
    if len(joint.paths) < 2:
        return
    commonest = joint.commonest(5)
    columns = [Column(Text(path), overflow="fold") for path in joint.paths]
    table = _table("commonest records", *columns, "", _number("rows"))
    for record, count in commonest:
        cells = (Text(shortly(shown(one))) for one in record)
        table.add_row(*cells, _bar(count / commonest[0][1]), f"{count:,}")
    _print(table)
    say(f"  {joint.said()}")


def _spreads(found: Stats) -> Table:
    table = _table(
        "inputs, open fields and tokens",
        Column("of", overflow="fold"),
        "",
        *map(_number, ("distinct", "empty", "least", "median", "p95", "most", "all")),
    )
    for inp in found.inputs:
        name, counts = inp.path or "the text", (f"{inp.distinct:,}", f"{inp.empty:,}")
        _add(table, name, counts, values=inp.values, characters=inp.characters, words=inp.words)
    for one in found.fields:
        if not one.field.closed:
            counts = (f"{one.distinct:,}", f"{one.empty:,}")
            _add(table, one.field.path, counts, values=one.values, characters=one.characters)
    _add(table, "the input", ("", ""), tokens=found.input_tokens)
    _add(table, "a line to train on", ("", ""), tokens=found.line_tokens)
    return table


def _add(table: Table, name: str, counts: tuple[str, str], **spreads: Spread | None) -> None:
    there = {what: one for what, one in spreads.items() if one is not None}
    for n, (what, one) in enumerate(there.items()):
        total = "" if what == "values" else f"{one.total:,.0f}"
        numbers = (f"{value:,g}" for value in (one.least, one.median, one.p95, one.most))
        table.add_row(*((Text(name), what, *counts) if n == 0 else ("", what, "", "")), *numbers, total)
    if not there:
        table.add_row(Text(name), "", *counts)


def _periods(time: Timeline) -> Table:
    without = f"; {counted(time.without, 'row')} without a time" if time.without else ""
    most = max(one.rows for one in time.spans)
    period = Column(time.period, no_wrap=True, min_width=len(time.spans[0].name))
    bars = Column("", no_wrap=True, min_width=_SHORT_BAR)
    paths = list(time.spans[0].labels)[:_MOST_FIELDS]
    columns = [Column(Text(path), overflow="ellipsis", no_wrap=True, max_width=_WIDEST) for path in paths]
    table = _table(f"by {time.period}, with the commonest label{without}", period, bars, _number("rows"), *columns)
    for one in time.spans:
        first = (_commonest(one.labels[path], one.rows) for path in paths)
        table.add_row(one.name, _bar(one.rows / most, _SHORT_BAR), f"{one.rows:,}", *first)
    return table


def _commonest(counts: Mapping[Label, int], rows: int) -> Text:
    if not counts:
        return Text()
    label = max(counts, key=counts.__getitem__)
    return Text(f"{percent(counts[label] / rows):>7} {shortly(shown(label))}")


def _counts(what: str, counts: Mapping[str, int] | Mapping[str | None, int], rows: int) -> Table:
    table = _table("", what, "", _number("rows"), _number("share"))
    most = max(counts.values())
    for name, count in counts.items():
        table.add_row(Text(shortly(name or "(not said)")), _bar(count / most), f"{count:,}", percent(count / rows))
    return table


def _table(title: str, *columns: str | Column) -> Table:
    return Table(
        *columns,
        title=Text(title) if title else None,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        header_style="dim",
    )


def _number(name: str) -> Column:
    return Column(Text(name), justify="right", no_wrap=True, min_width=min(len(name), 5))


def _bar(share: float, size: int = _BAR) -> Text:
    """A bar of blocks, of which the last may be an eighth of one; whatever is there can be seen."""
    eighths = max(round(share * size * len(_EIGHTHS)), 1 if share else 0)
    whole, part = divmod(eighths, len(_EIGHTHS))
    return Text(_EIGHTHS[-1] * whole + (_EIGHTHS[part - 1] if part else ""), "blue")


def _of(count: int, total: int) -> str:
    return f"{count:,} {percent(count / total) if total else '':>7}"


def _print(table: Table) -> None:
    say()
    results.print(table)
