"""`data import`: rows of files, folders and the log, as one dataset."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from decider.cli.console import (
    AsJson,
    Sets,
    SpecPath,
    note,
    parse_sets,
    print_json,
    row_count,
    say,
)
from decider.cli.history import counted, left_out
from decider.cli.logbook import moment
from decider.data.aside import refuse_unwritable, written
from decider.data.importers import Import, Imported, Importer, Source
from decider.data.importers import counted as by_reason
from decider.data.importers.chats import Wording
from decider.data.importers.columns import chosen
from decider.data.importers.forms import FORMS
from decider.data.importers.label_studio import Annotated as Annotations
from decider.data.logged import Choice, Logged
from decider.runtime.log import Log
from decider.task import Task

_EXAMPLE = "Example:  decider data import decider-demo/spec.yaml decider-demo/train.jsonl -o rows.jsonl"


def add_to(group: typer.Typer) -> None:
    """Add this command."""
    group.command("import", epilog=_EXAMPLE)(import_)


def _form(given: str | None) -> str | None:
    if given is not None and given not in FORMS:
        raise typer.BadParameter(f"--from must be one of {', '.join(FORMS)}, not {given!r}")
    return given


def import_(
    spec: SpecPath,
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SOURCE…",
            help="JSONL, JSON, CSV, Parquet, a datasets folder, a Label Studio export, lines of chats.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="OUT", help="The dataset, .jsonl; one that is there is replaced as a whole."
        ),
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FORMAT", help=f"In place of what the content says: {', '.join(FORMS)}.", callback=_form
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="[PATH=]COL", help="The column of an input field; may be repeated."),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option("--output", metavar="PATH=COL", help="The column of an output field; may be repeated."),
    ] = None,
    id: Annotated[str | None, typer.Option("--id", metavar="COL", help="The column of the rows' ids.")] = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="COL", help="The column whose rows belong on one side of a split.")
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", metavar="COL", help="The column that says when a case was.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Where outputs come from, of rows that do not say.")
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Keep the rows of OUT, and add those whose ids it does not have.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Write nothing where a row is rejected; exit code 2.")
    ] = False,
    system: Annotated[
        Path | None,
        typer.Option("--system", metavar="FILE", help="Write the system message of chats, beside the spec."),
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Import what was decided, as people corrected it.")] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Log: from a day or time (UTC), or how long ago, such as 7d."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="WHEN", help="Log: to the end of a day, a time, or how long ago."),
    ] = None,
    mode: Annotated[str | None, typer.Option("--mode", metavar="MODE", help="Log: the mode that answered.")] = None,
    checked: Annotated[bool, typer.Option("--checked/--all", help="Log: leave out what nobody checked.")] = False,
    accepted: Annotated[
        bool, typer.Option("--accepted", help="Log: leave out what no step accepted and nobody checked.")
    ] = False,
    versions: Annotated[
        bool, typer.Option("--any-version", help="Log: also what other versions of the task decided.")
    ] = False,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Make a dataset of other files, or of the log: rows with ids, each checked against the schema.

    Rows that do not fit are named, and kept in OUT with the ending .rejected.jsonl, which can be mended and imported
    itself. A row without an id gets one by its input.
    """
    about_log: dict[str, Any] = {"--since": since, "--until": until, "--mode": mode}
    about_log |= {"--checked": checked, "--accepted": accepted, "--any-version": versions}
    _refuse_nothing(sources or [], log, about_log)
    named = {"data.group": group, "data.time": time}
    task: Task[Any] = Task.load(
        spec, set={**parse_sets(sets), **{key: value for key, value in named.items() if value is not None}}
    )
    if system is not None:
        _refuse_taken(system, [spec, out, *(sources or [])])
        refuse_unwritable(system)
    columns = chosen(task, inputs=inputs or [], outputs=outputs or [], id=id)
    importer = Importer(task, columns=columns, form=form, told=note)
    choice = Choice(
        since=moment(since), until=_end(until), mode=mode, checked=checked, accepted=accepted, versions=versions
    )
    logged = Logged(Log.of(task), task, choice) if log else None
    given: list[Source] = [*([] if logged is None else [logged]), *(sources or [])]
    try:
        with row_count("imported", quiet=as_json) as progress:
            done = Import(source=source, strict=strict, append=append).write(
                importer.read(*given), out, told=note, progress=progress
            )
    finally:
        _note_left_out(logged)
    _note(done, importer.annotated)
    wording = importer.chats.wording
    file = None if wording is None else _system(wording, system, spec)
    if as_json:
        print_json(_to_json(done, importer, logged, file))
    else:
        say(f"{done.out}: {counted(done.rows, 'row')}{_added(done) if append else ''}")
        _show(wording, file)


def _refuse_nothing(sources: list[Path], log: bool, about_log: Mapping[str, Any]) -> None:
    if not sources and not log:
        raise typer.BadParameter("name a SOURCE, or --log")
    given = [option for option, value in about_log.items() if value]
    if given and not log:
        raise typer.BadParameter(f"{given[0]} is about the log; add --log, or leave it out")


def _refuse_taken(system: Path, others: list[Path]) -> None:
    """Refuse to write the system message over what is read, or written besides."""
    if system.resolve() in {other.resolve() for other in others}:
        raise typer.BadParameter(f"--system {system} would be written over; name a file of its own")


def _end(until: str | None) -> datetime | None:
    """The first moment that is too late: a day counts to its end."""
    end = moment(until, "--until")
    last = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)  # there is no day behind
    return end + timedelta(days=1) if end is not None and end <= last and _is_day(until) else end


def _is_day(said: str | None) -> bool:
    try:
        date.fromisoformat(said or "")
    except ValueError:
        return False
    return True


def _note_left_out(logged: Logged | None) -> None:
    if logged is not None and logged.left_out:
        note(f"not all of the log is in it{left_out(logged.left_out)}")


def _note(done: Imported, annotated: Annotations) -> None:
    """Say what did not become rows as it was, and why."""
    if done.rejected:
        note(f"{counted(done.rejected, 'row')} rejected: {by_reason(done.reasons)}; kept in {done.rejects}")
    if done.repeated:
        said = "and has a number behind it now" if done.repeated == 1 else "and have numbers behind them now"
        note(f"{counted(done.repeated, 'id')} stood in an earlier row, the first is {done.first!r}, {said}")
    if annotated.disagreed:
        fields = ", ".join(f"{path} in {count:,}" for path, count in annotated.disagreed.most_common())
        note(
            f"annotators disagree ({fields}) in tasks such as {', '.join(annotated.tasks)}; "
            "ground truth counts, else what was updated last"
        )


def _added(done: Imported) -> str:
    said = f" added, {done.there:,} were there"
    if done.different:
        said += f", {done.different:,} of them with another input or output, and stay as they are"
    return said


def _system(wording: Wording, given: Path | None, spec: Path) -> str | None:
    """Write the system message where it is asked for; return how the spec names its file."""
    if wording.system is None:
        if given is not None:
            note(f"no system message to write to {given}")
        return None
    if given is None:
        return "system.txt"
    with written(given) as file:
        file.write(wording.system.encode() + b"\n")
    name = os.path.relpath(given.resolve(), spec.resolve().parent)
    if name.startswith(".."):
        note(f"{given} is not beside the spec, which reads files beside it only; move it to {spec.resolve().parent}")
        return given.name
    return name


def _show(wording: Wording | None, file: str | None) -> None:
    """Print the section of the spec that asks the old model in its own words."""
    if wording is None:
        return
    for sentence in wording.notes:
        note(sentence)
    if wording.known:
        note("the spec asks a tuned model in these words already")
        return
    say("\n# asks the model that was tuned on these lines in its own words; add its model: and base_url:")
    say(yaml.safe_dump(wording.block(file or ""), sort_keys=False, allow_unicode=True).rstrip())


def _to_json(done: Imported, importer: Importer, logged: Logged | None, file: str | None) -> dict[str, Any]:
    wording, annotated = importer.chats.wording, importer.annotated
    found = done.to_json()
    found["left_out"] = {} if logged is None else dict(logged.left_out)
    found["disagreed"] = dict(annotated.disagreed)
    if wording is not None:
        found |= {"spec": wording.block(file or ""), "system": wording.system, "notes": list(wording.notes)}
    return found
