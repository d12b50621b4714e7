"""One row of an old schema as one of the new: what the changes make of it, and what they leave to a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from decider.data.files import FileRow
from decider.data.migrate.fates import Added, By, Fate, Fates, spelled
from decider.data.rows import Problem, Rejected, check
from decider.decision import Example
from decider.errors import DataError
from decider.schema import Field, pick
from decider.task import Task

OPEN = "?"
"""What stands in the output of a row where a person has to choose."""

_OURS = ("row", "needs", "unreadable")

_NO_LABEL = "the new schema has no such label, and no change says what becomes of it"
_NO_VALUE = "is new in the schema, and no change gives it a value"
_NO_FIELD = "the new schema has no such field, and no change says what becomes of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a person has to say about one field of a row: what it was, what can be chosen, and why.

    `field` is None where it is the row as a whole; `n` is the number of the change that asks, or None where none does.
    """

    field: str | None
    was: Any
    choose: tuple[Any, ...]
    why: str
    n: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {"field": self.field, "was": self.was, "choose": list(self.choose), "why": self.why}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A row on its way: `row` as it is to be checked or looked at, with the changes that were about it.

    `record` is what stands in the review file, where it has to, or may, stand there.
    """

    n: int
    row: Mapping[str, Any]
    example: Example | None
    needs: tuple[Need, ...]
    changed: bool
    used: frozenset[int] = frozenset()
    filled: bool = False

    @property
    def record(self) -> dict[str, Any]:
        """The row as a person gets it."""
        return {"row": self.n, **self.row, "needs": [need.to_json() for need in self.needs]}


def answered(row: FileRow, task: Task[Any], answer: Mapping[str, Any], file: str) -> Moved:
    """A row as a person filled it in; it stays in the review file, so that it can be given back again."""
    kept = row.value if isinstance(row.value, Mapping) else {}
    name = str(row.n if kept.get("id") is None else kept["id"])
    if str(answer.get("id", name)) != name:
        message = f"row {row.n} is {name!r} in the data, and {answer['id']!r} here: it is of other data"
        raise DataError(message, file=file)
    filled = {key: value for key, value in answer.items() if key not in _OURS}
    asked = _asked_before(answer.get("needs"))
    if "unreadable" in answer and not {"input", "output"} & filled.keys():
        return Moved(n=row.n, row={"unreadable": answer["unreadable"]}, example=None, needs=asked, changed=False)
    checked = check(filled, task, row.n)
    output = filled.get("output")
    still = [need for need in asked if need.field is not None and _is_open(output, need.field)]
    if isinstance(checked, Example) and not still:
        return Moved(n=row.n, row=_named(filled, name), example=checked, needs=asked, changed=True, filled=True)
    needs = still or list(asked)
    if isinstance(checked, Rejected):
        needs = [*still, *_needs(checked.problems, filled, task, {need.field for need in still})]
    return Moved(n=row.n, row=_named(filled, name), example=None, needs=tuple(needs), changed=True)


def _asked_before(needs: Any) -> tuple[Need, ...]:
    """The needs of a row as they came back, as far as they can still be read; some change asked for each."""
    said = [one for one in needs if isinstance(one, Mapping)] if isinstance(needs, list) else []
    return tuple(
        Need(
            field=one.get("field"),
            was=one.get("was"),
            choose=tuple(one["choose"]) if isinstance(one.get("choose"), list) else (),
            why=str(one.get("why", "")),
            n=0,
        )
        for one in said
    )


def moved(row: FileRow, task: Task[Any], fates: Fates) -> Moved:
    """A row as the changes make it."""
    if row.problem is not None or not isinstance(row.value, Mapping):
        why = f"cannot be read: {row.problem}" if row.problem else "is not a JSON object"
        need = Need(field=None, was=None, choose=(), why=why)
        return Moved(n=row.n, row={"unreadable": row.value}, example=None, needs=(need,), changed=False)
    new = _named(row.value, str(row.n))
    moving = _Moving(row.value, fates)
    if isinstance(row.value.get("output"), Mapping):
        new["output"] = moving.output()
    checked = check(new, task, row.n)
    needs = list(moving.needs)
    if isinstance(checked, Rejected):
        needs += _needs(checked.problems, new, task, {need.field for need in needs})
    return Moved(
        n=row.n,
        row=new,
        example=checked if isinstance(checked, Example) and not needs else None,
        needs=tuple(needs),
        changed=to_json(new.get("output")) != to_json(row.value.get("output")),
        used=frozenset(moving.used),
    )


def _named(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A row with an id."""
    return {**row, "id": name} if row.get("id") is None else dict(row)


class _Moving:
    """One row's output, as the changes make it; `needs` is what they leave to a person, `used` which were about it."""

    def __init__(self, row: Mapping[str, Any], fates: Fates) -> None:
        self._row = row
        self._old: Mapping[str, Any] = row.get("output", {})
        self._fates = fates
        self.needs: list[Need] = []
        self.used: set[int] = set()

    def output(self) -> dict[str, Any]:
        """Return the new output."""
        new: dict[str, Any] = deepcopy(dict(self._old))
        for path, n in self._fates.dropped.items():
            if _take(new, path) is not _ABSENT:
                self.used.add(n)
        for path, (n, old) in self._fates.renamed.items():
            self._rename_field(new, old, path, n)
        for path, labels in self._fates.labels.items():
            value = _get(new, path)
            if value is not _ABSENT:
                _put(new, path, self._relabelled(path, value, labels))
        for path, added in self._fates.added.items():
            if _get(new, path) is _ABSENT:
                _put(new, path, self._added(path, added))
        return new

    def _rename_field(self, new: dict[str, Any], old: str, path: str, n: int) -> None:
        """Move a value to its new path; where something else stands in its way, it stays for a person to look at."""
        value = _take(new, old)
        if value is _ABSENT:
            return
        self.used.add(n)
        if _is_free(new, path, value):
            _put(new, path, value)
        else:
            _put(new, old, value)
            self.needs.append(Need(field=old, was=value, choose=(), why=f"something else stands in {path}", n=n))

    def _added(self, path: str, added: Added) -> Any:
        self.used.add(added.n)
        if not added.asked:
            return added.value
        self.needs.append(Need(field=path, was=None, choose=added.field.labels, why="the field is new", n=added.n))
        return [OPEN] if added.field.kind == "tags" else OPEN

    def _relabelled(self, path: str, value: Any, labels: Mapping[str, Fate]) -> Any:
        if not isinstance(value, list):
            return self._fated(path, value, labels)[0]
        found = [label for one in value for label in self._fated(path, one, labels)]
        return [label for n, label in enumerate(found) if label not in found[:n]]

    def _fated(self, path: str, value: Any, labels: Mapping[str, Fate]) -> list[Any]:
        """What a label becomes: one label, or none among tags."""
        fate = labels.get(spelled(value))
        if fate is None:
            return [value]
        self.used.add(fate.n)
        if fate.gone:
            return []
        if not fate.choose:
            return [fate.to]
        if fate.by is not None and (told := spelled(self._told(fate.by))) in fate.by.labels:
            return [fate.by.labels[told]]
        why = self._fates.said[fate.n]
        self.needs.append(Need(field=path, was=value, choose=fate.choose, why=why, n=fate.n))
        return [OPEN]

    def _told(self, by: By) -> Any:
        """The value that tells which label it is."""
        value = _get(self._old if by.side == "output" else self._row.get("input"), by.path)
        return None if value is _ABSENT else value


def _needs(problems: Sequence[Problem], row: dict[str, Any], task: Task[Any], known: set[str | None]) -> Iterator[Need]:
    """What no change is about, and does not fit; what is asked of a person is opened in the output of `row`."""
    fields = {one.path: one for one in task.fields}
    for problem in problems:
        if problem.field is not None and problem.field in known:
            continue
        known.add(problem.field)
        if problem.field in fields:
            yield _about_a_field(problem, fields[problem.field], row["output"])
        else:
            yield from _about_others(problem, row, task.fields)


def _about_others(problem: Problem, row: dict[str, Any], fields: Sequence[Field]) -> Iterator[Need]:
    """What is about no field alone: the row, an object of fields, or what is no field of the schema."""
    path = problem.field
    inside = [one for one in fields if one.path.startswith(f"{path}.")]
    value = _ABSENT if path is None else _get(row["output"], path)
    if value is _ABSENT and inside:
        yield from (_about_a_field(problem, one, row["output"]) for one in inside)
    elif value is _ABSENT or inside:
        yield Need(field=path, was=None if value is _ABSENT else value, choose=(), why=problem.message)
    else:
        yield Need(field=path, was=value, choose=(), why=_NO_FIELD)


def _about_a_field(problem: Problem, field: Field, output: dict[str, Any]) -> Need:
    value = _get(output, field.path)
    if value is _ABSENT:
        _put(output, field.path, [OPEN] if field.kind == "tags" else OPEN)
        return Need(field=field.path, was=None, choose=field.labels, why=_NO_VALUE)
    if problem.kind != "unknown-label":
        return Need(field=field.path, was=value, choose=field.labels, why=problem.message)
    known = set(map(spelled, field.labels))
    if not isinstance(value, list):
        _put(output, field.path, OPEN)
        return Need(field=field.path, was=value, choose=field.labels, why=_NO_LABEL)
    _put(output, field.path, [one if spelled(one) in known else OPEN for one in value])
    outside = [one for one in value if spelled(one) not in known]
    return Need(field=field.path, was=outside, choose=field.labels, why=_NO_LABEL)


_ABSENT = object()


def _is_open(output: Any, path: str) -> bool:
    value = _get(output, path)
    return value == OPEN or (isinstance(value, list) and OPEN in value)


def _get(record: Any, path: str) -> Any:
    try:
        return pick(record, path)
    except (KeyError, TypeError):
        return _ABSENT


def _is_free(record: Mapping[str, Any], path: str, value: Any) -> bool:
    """Whether a value can be put at a path, and nothing is lost by it."""
    *parents, leaf = path.split(".")
    for name in parents:
        record = record.get(name, {})
        if not isinstance(record, Mapping):
            return False
    return record.get(leaf) in (None, value)


def _take(record: dict[str, Any], path: str) -> Any:
    """Take a value out of a record, with what held nothing else."""
    value = _get(record, path)
    if value is not _ABSENT:
        *parents, leaf = path.split(".")
        inner = pick(record, ".".join(parents)) if parents else record
        del inner[leaf]
        if parents and not inner:
            _take(record, ".".join(parents))
    return value


def _put(record: dict[str, Any], path: str, value: Any) -> None:
    """Put a value into a record, unless something stands in its way: that is no object, and must not be lost."""
    *parents, leaf = path.split(".")
    for name in parents:
        record = record.setdefault(name, {})
        if not isinstance(record, dict):
            return
    record[leaf] = value
