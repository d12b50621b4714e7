"""A table of corrections, as people make it in a spreadsheet: checked as a whole, then written into the log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from decider.data.files import format_of, read_rows, typed
from decider.errors import DataError
from decider.runtime.log import Log
from decider.runtime.log.corrections import correction
from decider.runtime.log.history import History, meant
from decider.schema import Field
from decider.task import Task

_ABOUT = ("id", "by", "note")
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one row says of one decision; `name` is an id, the beginning of one, or a row's id."""

    row: int
    name: str
    fields: Mapping[str, Any]
    by: str | None
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How many rows changed something, and how many named nothing to change, which says nothing of a decision."""

    corrected: int
    unchanged: int


def take_corrections(log: Log, file: Path, task: Task[Any], *, by: str | None = None, note: str | None = None) -> Taken:
    """Write every row of a file into the log as a correction; raises `DataError`, naming all rows that are wrong.

    The columns are `id`, paths of fields, and perhaps `by` and `note`; an empty cell changes nothing. Where one row is
    wrong, none is written.
    """
    changes, problems = _read(file, task)
    changed = [one for one in changes if one.fields]
    records = _checked(changed, log, task, problems, by=by, note=note)
    if problems:
        named = [f"  row {row}: {problems[row]}" for row in sorted(problems)[:_MOST_NAMED]]
        more = len(problems) - len(named)
        said = "\n".join([*named, f"  and {more} more"] if more else named)
        raise DataError(
            f"{len(problems)} of {_count(changes, problems)} rows are wrong, and none was taken\n{said}", file=str(file)
        )
    for record in records:
        log.write(record)
    return Taken(corrected=len(records), unchanged=len(changes) - len(changed))


def value_of(field: Field, text: str) -> Any:
    """Return what a text stands for as a value of a field: `null` where it may be missing, a label, a list, JSON."""
    if field.optional and text == "null" and text not in field.labels:
        return None
    return _json(text) if field.kind == "other" else typed(field, text)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _count(changes: Sequence[Change], problems: Mapping[int, str]) -> int:
    return len({one.row for one in changes} | set(problems))


def _read(file: Path, task: Task[Any]) -> tuple[list[Change], dict[int, str]]:
    """The rows of a file, and what is wrong with some."""
    changes: list[Change] = []
    problems: dict[int, str] = {}
    if not file.is_file():
        raise DataError("there is no such file", file=str(file))
    with file.open("rb") as lines:
        for row in read_rows(lines, format_of(file), str(file)):
            said = row.problem
            if said is None and not isinstance(row.value, dict):
                said = "is not a JSON object"
            if said is not None:
                problems[row.place] = said
                continue
            _refuse_columns(row.value, task, file)
            changes.append(_change(row.place, row.value, task))
    return changes, problems


def _refuse_columns(row: Mapping[str, Any], task: Task[Any], file: Path) -> None:
    known = [*_ABOUT, *(field.path for field in task.fields)]
    for name in row:
        if name not in known:
            close = get_close_matches(name, known, 1)
            remedy = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
            raise DataError(
                f"has a column {name!r}, which is no field of the task {task.name!r}; {remedy}", file=str(file)
            )
    if "id" not in row:
        raise DataError("has no column 'id', which names the decision", file=str(file))


def _change(place: int, row: Mapping[str, Any], task: Task[Any]) -> Change:
    fields = {
        field.path: value_of(field, cell) if isinstance(cell, str) else cell
        for field in task.fields
        if (cell := row.get(field.path)) not in (None, "")
    }
    by, note = (str(row[name]) if row.get(name) else None for name in ("by", "note"))
    return Change(row=place, name=str(row["id"] or ""), fields=fields, by=by, note=note)


def _checked(
    changes: Sequence[Change],
    log: Log,
    task: Task[Any],
    problems: dict[int, str],
    *,
    by: str | None,
    note: str | None,
) -> list[dict[str, Any]]:
    """The records to write; what is wrong with a row is added to the problems."""
    records = []
    histories = _histories(changes, log, problems)
    for change in changes:
        if change.row in problems:
            continue
        said_by, said = change.by or by, change.note or note
        try:
            records.append(correction(histories[change.row], change.fields, task, by=said_by, note=said))
        except DataError as error:
            problems[change.row] = error.message
    return records


def _histories(changes: Iterable[Change], log: Log, problems: dict[int, str]) -> dict[int, History]:
    """The decision that each row is about; two rows about the same contradict each other."""
    matches = log.matches({change.name for change in changes})
    ids: dict[str, int] = {}
    for change in changes:
        try:
            decision = meant(change.name, matches[change.name], log.folder)
        except DataError as error:
            problems[change.row] = error.message
            continue
        if decision in ids:
            problems[change.row] = f"names the same decision as row {ids[decision]}; make one row of both"
        else:
            ids[decision] = change.row
    return {ids[one.decision.id]: one for one in log.histories(ids)}
