"""`log`: what was decided, and what people say of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import TypeAdapter, ValidationError

from decider.cli.console import (
    AsJson,
    Sets,
    SpecPath,
    note,
    parse_sets,
    print_json,
    say,
)
from decider.cli.history import counted, left_out, note_unreadable, shortly, show_history, show_table
from decider.data.corrections import take_corrections, value_of
from decider.data.logged import Choice, Logged, write_rows
from decider.decider import Decider
from decider.decision import Status
from decider.runtime.log import Log
from decider.runtime.log.history import LEAST_PREFIX
from decider.runtime.log.selection import Selection
from decider.spec.values import Seconds
from decider.task import Task

_PANEL = "Log and cache"
_EXAMPLES = {
    "list": "decider log list mine/spec.yaml --since 7d --field team=billing",
    "show": "decider log show mine/spec.yaml 3f9c2a1b",
    "correct": "decider log correct mine/spec.yaml 3f9c2a1b team=billing --by ana",
    "confirm": "decider log confirm mine/spec.yaml 3f9c2a1b --by ana",
    "outcome": "decider log outcome mine/spec.yaml 3f9c2a1b refunded true",
    "forget": "decider log forget mine/spec.yaml 3f9c2a1b",
    "export": "decider log export mine/spec.yaml --checked -o rows.jsonl",
}

Name = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help=f"The decision: its id, {LEAST_PREFIX} letters of it or more, or its row's id.",
        show_default=False,
    ),
]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so.")]
Why = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why, in words.")]


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(name="log", help="What was decided, and what people say of it.", no_args_is_help=True)
    for command in (list_, show, correct, confirm, outcome, forget, export):
        name = command.__name__.rstrip("_")
        group.command(name, epilog=f"Example:  {_EXAMPLES[name]}")(command)
    app.add_typer(group, rich_help_panel=_PANEL)


def list_(
    spec: SpecPath,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most that are shown, the newest first.")] = 20,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="A day or time (UTC), or how long ago, such as 7d.")
    ] = None,
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help=f"{', '.join(get_args(Status))}.")
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="PATH=VALUE", help="The answer, as corrected; may be repeated."),
    ] = None,
    mode: Annotated[str | None, typer.Option("--mode", metavar="MODE", help="The mode that answered.")] = None,
    checked: Annotated[
        bool | None, typer.Option("--checked/--unchecked", help="Those that somebody corrected or confirmed, or not.")
    ] = None,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """List decisions, the newest first."""
    task, log = _opened(spec, sets)
    selection = Selection(
        task=task.name,
        since=moment(since),
        status=_status(status),
        mode=mode,
        checked=checked,
        fields=_wanted(fields or [], task),
    )
    histories = log.histories()
    found = selection.newest(histories, limit)
    if as_json:
        for history in found:
            print_json(history.to_json())
    elif found:
        show_table(found, task)
    else:
        note(f"no such decisions in {log.folder}")
    note_unreadable(histories.unreadable)


def show(spec: SpecPath, name: Name, as_json: AsJson = False, sets: Sets = None) -> None:
    """Show one decision, with what was said of it."""
    _, log = _opened(spec, sets)
    history = log.find(log.resolve(name))
    if as_json:
        print_json(history.to_json())
    else:
        show_history(history)


def correct(
    spec: SpecPath,
    name: Annotated[str | None, typer.Argument(metavar="ID", help="The decision, as in `log show`.")] = None,
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="PATH=VALUE…", help="The right value of each wrong field.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A table: `id`, paths of fields, perhaps `by` and `note`; empty cells change nothing.",
        ),
    ] = None,
    by: By = None,
    why: Why = None,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Say what a decision should have been."""
    if (file is None) != bool(name and pairs) or (file is not None and name):
        raise typer.BadParameter("give either ID and PATH=VALUE, such as team=billing, or --from FILE")
    task, log = _opened(spec, sets)
    if file is not None:
        _correct_all(log, file, task, by=by, why=why, as_json=as_json)
        return
    fields = _values(pairs or [], task)
    history = log.correct(log.resolve(name or ""), fields, task=task, by=by, note=why)
    if as_json:
        print_json(history.to_json())
    else:
        show_history(history)


def confirm(
    spec: SpecPath,
    names: Annotated[list[str], typer.Argument(metavar="ID…", help="The decisions, as in `log show`.")],
    by: By = None,
    why: Why = None,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Say that decisions are right."""
    task, log = _opened(spec, sets)
    ids = [log.resolve(name) for name in names]
    for one in ids:
        log.confirm(one, task=task, by=by, note=why)
    if as_json:
        print_json({"confirmed": ids})
    else:
        note(f"confirmed: {', '.join(ids)}")


def outcome(
    spec: SpecPath,
    name: Name,
    what: Annotated[str, typer.Argument(metavar="NAME", help="What it is called, such as refunded.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="JSON, such as true or 12.5; anything else is text.")],
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Say what became of what was decided."""
    _, log = _opened(spec, sets)
    history = log.outcome(log.resolve(name), what, _parsed(value))
    if as_json:
        print_json(history.to_json())
    else:
        note(f"recorded of {history.decision.id}: {what} = {shortly(_parsed(value))}")


def forget(
    spec: SpecPath,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Overwrite the text of a decision, and of all with the same input, in log, runs and cache."""
    _, log = _opened(spec, sets)
    decision = log.resolve(name)
    if not yes and sys.stdin.isatty():
        asked = f"The text of {decision}, and of every decision of the same input, is lost for good. Go on?"
        typer.confirm(asked, abort=True, err=True)
    with Decider[Any].load(spec, set=parse_sets(sets)) as decider:
        forgotten = decider.forget(decision)
    if as_json:
        print_json(forgotten.to_json())
        return
    say(f"forgotten: {', '.join(forgotten.decisions)}")
    where = f"{counted(forgotten.lines, 'line')} overwritten in {counted(len(forgotten.segments), 'file')}"
    say(f"{where}; deleted from the cache: {forgotten.cached}")
    say("not reached, and yours to look after:" + "".join(f"\n  {one}" for one in forgotten.unreachable))


def export(
    spec: SpecPath,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Where to; else stdout.")] = None,
    checked: Annotated[bool, typer.Option("--checked/--all", help="Leave out what nobody checked.")] = False,
    versions: Annotated[
        bool, typer.Option("--any-version", help="Also what other versions of the task decided.")
    ] = False,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Write a dataset: every input with its answer, as corrected."""
    task, log = _opened(spec, sets)
    rows = Logged(log, task, Choice(checked=checked, versions=versions))
    if out is None:
        count = 0
        for count, row in enumerate(rows, 1):  # noqa: B007  # how many there were
            print_json(row)
    else:
        count = write_rows(rows, out)
    if as_json and out is not None:
        print_json({"out": str(out), "rows": count, "left_out": dict(rows.left_out)})
    note(f"{counted(count, 'row')}{'' if out is None else f' written to {out}'}{left_out(rows.left_out)}")


def _opened(spec: Path, sets: list[str] | None) -> tuple[Task[Any], Log]:
    task: Task[Any] = Task.load(spec, set=parse_sets(sets))
    return task, Log.of(task)


def _correct_all(log: Log, file: Path, task: Task[Any], *, by: str | None, why: str | None, as_json: bool) -> None:
    taken = take_corrections(log, file, task, by=by, note=why)
    if as_json:
        print_json({"corrected": taken.corrected, "unchanged": taken.unchanged})
    else:
        corrected = counted(taken.corrected, "decision")
        note(f"{corrected} corrected, {counted(taken.unchanged, 'row')} without a change")


def _values(pairs: list[str], task: Task[Any]) -> Mapping[str, Any]:
    """Turn `["team=billing"]` into values by path; a path that is unknown is left to whoever takes it."""
    known = {field.path: field for field in task.fields}
    found = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is not PATH=VALUE, such as {task.fields[0].path}=…")
        found[path] = value_of(known[path], text) if path in known else text
    return found


def _wanted(pairs: list[str], task: Task[Any]) -> Mapping[str, Any]:
    """Values to look for, of fields that there are: nothing would be found in any other."""
    found = _values(pairs, task)
    known = [field.path for field in task.fields]
    for path in found:
        if path not in known:
            raise typer.BadParameter(f"the task {task.name!r} has no field {path!r}; it has {', '.join(known)}")
    return found


def _status(given: str | None) -> Status | None:
    found: Status | None = next((one for one in get_args(Status) if one == given), None)
    if given is not None and found is None:
        raise typer.BadParameter(f"--status must be one of {', '.join(get_args(Status))}, not {given!r}")
    return found


def moment(given: str | None, option: str = "--since") -> datetime | None:
    """Return the day (from its beginning), the time, or the time so long ago that an option names."""
    if given is None:
        return None
    try:
        said = datetime.fromisoformat(given)
        return said if said.tzinfo else said.replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        return datetime.now(UTC) - timedelta(seconds=TypeAdapter(Seconds).validate_python(given))
    except (ValidationError, OverflowError) as error:
        raise typer.BadParameter(
            f"{option} {given} is neither a time, such as 2026-11-25, nor how long ago, such as 7d"
        ) from error


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
