"""`data lint`: what is wrong with a dataset, and a mended copy of it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any, NoReturn

import typer
from rich.table import Table
from rich.text import Text

from decider.assess.lint.finding import CODES, SEVERITIES, Finding, counted, more
from decider.assess.lint.fix import FIXABLE, Fixed, fix
from decider.assess.lint.lint import EXACT, Linted, lint, wanted
from decider.cli.console import (
    AsJson,
    DataPath,
    Sets,
    SpecPath,
    note,
    parse_sets,
    print_json,
    results,
    row_progress,
    say,
)
from decider.cli.sides import SplitPath
from decider.data.aside import is_same, refuse_unwritable
from decider.data.rows import read
from decider.data.split import Split
from decider.task import Task

_EXAMPLE = "Example:  decider data lint decider-demo/spec.yaml decider-demo/train.jsonl"
_WIDTH = 118
_FIRST: Mapping[str, int] = {"error": 5, "warning": 5, "note": 2}
"""Findings of a code that are shown, by the worst of them."""
_CHANGES = 5
_IDS = 4
_QUOTED = 90
_UNQUOTED = frozenset({"personal-data"})
"""Codes whose findings must not be shown with the texts that they are about."""


def add_to(group: typer.Typer) -> None:
    """Add this group's commands."""
    group.command("lint", epilog=_EXAMPLE)(lint_)


def _show_codes(shown: bool) -> None:
    if not shown:
        return
    table = Table("code", "", "meaning", "how to fix it", title="What data lint finds", title_justify="left")
    for code, one in CODES.items():
        table.add_row(code, one.severity, Text(one.meaning), Text(one.remedy))
    results.print(table)
    say(f"--fix does something about: {', '.join(FIXABLE)}")
    raise typer.Exit


def lint_(
    spec: SpecPath,
    data: DataPath,
    split: SplitPath = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--fix",
            metavar="OUT.jsonl",
            help="Write a copy, mended where that is mechanical; DATA itself stays as it is.",
        ),
    ] = None,
    only: Annotated[str, typer.Option("--only", metavar="CODE,…", help="Look for these alone.")] = "",
    skip: Annotated[str, typer.Option("--skip", metavar="CODE,…", help="Do not look for these.")] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="Train no models (label-error, confusable); do without the extra `data`.")
    ] = False,
    _all: Annotated[
        bool, typer.Option("--codes", help="Show all codes and leave.", callback=_show_codes, is_eager=True)
    ] = False,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Find what is wrong with a dataset before a model learns it; ends with 1 where there are errors."""
    chosen = _codes(only, skip)
    task: Task[Any] = Task.load(spec, set=parse_sets(sets))
    sides = None if split is None else Split.load(split, task=task.name)
    if out is not None:
        _refuse_lost(out, data)
        fixed = _fix(task, data, chosen=chosen, asked=bool(only))
        with row_progress("linting", quiet=as_json) as progress:
            errors = {*EXACT, "leakage"} & chosen
            left = lint(task, fixed.rows, split=sides, doubt=False, only=errors, progress=progress)
        fixed.save(out)
        _show_fixed(fixed, as_json=as_json)
        note(f"{counted(len(fixed.rows), 'row')} written to {out}")
        _end(left, ["decider", "data", "lint", spec, out, *(() if split is None else ("--split", split))])
    with row_progress("linting", quiet=as_json) as progress:
        found = lint(task, read(data, task), split=sides, doubt=not quick, only=chosen, progress=progress)
    if as_json:
        for one in found.findings:
            print_json(one.to_json())
    else:
        _show(found, task.name)
    _note_left_out(found.left_out)
    raise typer.Exit(int(found.errors))


def _codes(only: str, skip: str) -> set[str]:
    try:
        chosen = wanted(_listed(only) or None, _listed(skip))
    except ValueError as error:
        raise typer.BadParameter(f"{error}; --codes shows all") from error
    if not chosen:
        raise typer.BadParameter("--skip leaves no code to look for; name fewer")
    return chosen


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _note_left_out(left_out: Mapping[str, str]) -> None:
    by_reason: dict[str, list[str]] = {}
    for code, why in left_out.items():
        by_reason.setdefault(why, []).append(code)
    for why, codes in by_reason.items():
        note(f"not looked for: {', '.join(codes)} ({why})")


def _show(found: Linted, name: str) -> None:
    """Print a page to be read: how many of what, and of each code the first findings, the worst code first."""
    rejected = f" ({found.rejected:,} rejected)" if found.rejected else ""
    severities = ", ".join(counted(n, severity) for severity, n in found.severities.items())
    clean = f"{counted(found.clean, 'row')} without error or warning"
    say(f"{name}: {counted(found.rows, 'row')}{rejected}, {severities}; {clean}")
    by_code: dict[str, list[Finding]] = {}
    for one in found.findings:
        by_code.setdefault(one.code, []).append(one)
    ordered = sorted(by_code.items(), key=lambda one: (_worst(one[1]), [*CODES].index(one[0])))
    if ordered:
        _show_counts(ordered)
    for code, findings in ordered:
        _show_code(code, findings, found.inputs)


def _worst(findings: Sequence[Finding]) -> int:
    return min(SEVERITIES.index(one.severity) for one in findings)


def _show_counts(ordered: Iterable[tuple[str, Sequence[Finding]]]) -> None:
    table = Table("code", *(f"{one}s" for one in SEVERITIES), "rows")
    for column in table.columns[1:]:
        column.justify = "right"
    for code, findings in ordered:
        counts = Counter(one.severity for one in findings)
        rows = {row for one in findings for row in one.rows}
        table.add_row(code, *(f"{counts[one]:,}" if counts[one] else "" for one in SEVERITIES), f"{len(rows):,}")
    results.print(table)


def _show_code(code: str, findings: Sequence[Finding], inputs: Mapping[str, Any]) -> None:
    """Print what a code means, how to fix it, and its first findings; rejected rows with the same mistake are one."""
    say(f"\n{code}", style="bold")
    _say_wrapped(CODES[code].meaning, "  ")
    _say_wrapped(f"How to fix it: {CODES[code].remedy}", "  ")
    worst_first = sorted(findings, key=lambda one: SEVERITIES.index(one.severity))
    alike: dict[Any, list[Finding]] = {}
    for one in worst_first:
        alike.setdefault((one.field, one.message) if code in EXACT else id(one), []).append(one)
    most = _FIRST[worst_first[0].severity]
    for same in [*alike.values()][:most]:
        _show_finding(same, inputs)
    if len(alike) > most:
        say(f"\n  … {len(alike) - most:,} more: --only {code} --json")


def _show_finding(same: Sequence[Finding], inputs: Mapping[str, Any]) -> None:
    """Print one finding, or all that say the same; with the first of its rows, and the last where that is another."""
    first = same[0]
    rows = list(dict.fromkeys(row for one in same for row in one.rows))
    where = f"{', '.join(rows[:_IDS])}{more(len(rows) - _IDS)}  " if rows else ""
    of = f"{first.field}: " if first.field else ""
    say()
    _say_wrapped(f"{first.severity}  {where}{of}{first.message}", "  ")
    quotes = {} if first.code in _UNQUOTED else _quotes(reversed([*rows[:1], *first.rows[-1:]]), inputs)
    for quote, row in reversed(quotes.items()):
        say(f"    {row}  {quote}" if len(quotes) > 1 else f"    {quote}", style="dim")
    _say_wrapped(f"→ {first.suggestion}", "    ")


def _quotes(rows: Iterable[str], inputs: Mapping[str, Any]) -> dict[str, str]:
    """The rows by how their inputs begin; where there is nothing to read, there is nothing to quote."""
    quotes = {_quoted(inputs[row]): row for row in rows if row in inputs}
    return {quote: row for quote, row in quotes.items() if quote != _quoted("")}


def _say_wrapped(text: str, indent: str) -> None:
    say(fill(text, _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False))


def _quoted(given: Any) -> str:
    """The beginning of an input on one line."""
    text = " | ".join(_texts(given)) if isinstance(given, Mapping) else str(given)
    line = " ".join(text[: 4 * _QUOTED].split())
    return f"“{line}”" if len(line) <= _QUOTED else f"“{line[:_QUOTED].rstrip()}…”"


def _texts(given: Mapping[str, Any]) -> Iterable[str]:
    for value in given.values():
        if isinstance(value, Mapping):
            yield from _texts(value)
        elif value is not None:
            yield str(value)


def _refuse_lost(out: Path, data: Path) -> None:
    """A copy that would take the place of the data, or that is no JSONL, is refused before any work."""
    if out.suffix.lower() not in (".jsonl", ".ndjson"):
        raise typer.BadParameter(f"--fix writes JSONL; name it {out.stem or 'fixed'}.jsonl")
    if is_same(out, data):
        raise typer.BadParameter("--fix writes a copy; name another file than DATA, look at it, and move it then")
    refuse_unwritable(out)


def _fix(task: Task[Any], data: Path, *, chosen: set[str], asked: bool) -> Fixed:
    codes = chosen & {*FIXABLE}
    if "mojibake" in codes and not asked and find_spec("ftfy") is None:
        codes.remove("mojibake")
        note("left as they are: texts in the wrong character set (pip install 'decider-sdk[data]')")
    return fix(task, read(data, task), codes=codes)


def _show_fixed(fixed: Fixed, *, as_json: bool) -> None:
    if as_json:
        for one in fixed.changes:
            print_json(one.to_json())
        return
    for code, n in fixed.counts.items():
        say(f"\n{code}: {counted(n, 'change')}", style="bold")
        for one in [one for one in fixed.changes if one.code == code][:_CHANGES]:
            values = "" if one.action == "dropped" else f": {_quoted(one.before)} is now {_quoted(one.after)}"
            _say_wrapped(f"{one.row}  {one.action}{f' {one.field}' if one.field else ''}, {one.message}{values}", "  ")
        if n > _CHANGES:
            say(f"  … {n - _CHANGES:,} more: --json")
    if not fixed.changes:
        say("nothing to mend")


def _end(left: Linted, again: Sequence[object]) -> NoReturn:
    """Say which errors a person has to look at, and with which command, and end with 1 where there are any."""
    errors = Counter(one.code for one in left.findings if one.severity == "error")
    if errors:
        named = ", ".join(f"{code} {n:,}" for code, n in errors.items())
        note(f"{counted(errors.total(), 'error')} left for a person ({named}): {shlex.join(map(str, again))}")
    _note_left_out(left.left_out)
    raise typer.Exit(int(left.errors))
