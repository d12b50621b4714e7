"""Changes against the new schema: what becomes of every label and field, with each mistake named at its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias

from decider.data.files import typed
from decider.data.migrate.changes import Add, Change, Divide, Drop, Merge, Rename, RenameField, Retire
from decider.errors import SpecError
from decider.schema import Field, Label
from decider.spec import Document
from decider.task import Task

_ASKED = 12
"""Labels that a message lists; of more it says how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """How a divided label is told by another value: of the output as it was, or of the input."""

    side: Literal["output", "input"]
    path: str
    labels: Mapping[str, Label]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one label, by change number `n`: it is `to`, or one of `choose`, or among tags nothing."""

    n: int
    to: Label = None
    choose: tuple[Label, ...] = ()
    gone: bool = False
    by: By | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A new field, by change number `n`: its value everywhere, unless a person has to give it."""

    n: int
    field: Field
    value: Any = None
    asked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fates:
    """What becomes of rows: of fields first, then of labels, all of them as they were before any change.

    `said` names each change in words; `renamed` is the old path of a field by the new one, `dropped` the change that
    drops a path, `labels` the fate of labels by the new path of their field and their spelling.
    """

    said: tuple[str, ...]
    renamed: Mapping[str, tuple[int, str]]
    dropped: Mapping[str, int]
    added: Mapping[str, Added]
    labels: Mapping[str, Mapping[str, Fate]]
    warnings: tuple[str, ...]


_Key: TypeAlias = tuple[str | int, ...]


def fates_of(changes: Iterable[Change], document: Document, task: Task[Any]) -> Fates:
    """Hold changes against the new schema; raises a `SpecError` with every mistake and its place."""
    reading = _Reading(document, task)
    given = tuple(changes)
    for n, change in enumerate(given):
        reading.fields(n, change)
    reading.note(given)
    for n, change in enumerate(given):
        reading.take(n, change)
    if reading.errors:
        first, *others = sorted(reading.errors, key=lambda error: (error.line or 0, error.column or 0))
        raise first.with_also(tuple(others))
    return Fates(
        said=tuple(map(_said, given)),
        renamed=reading.renamed,
        dropped=reading.dropped,
        added=reading.added,
        labels=reading.labels,
        warnings=tuple(reading.warnings),
    )


def spelled(value: object) -> str:
    """Return how a label is typed in YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


class _Reading:
    """Collects the fates, and what is wrong with them."""

    def __init__(self, document: Document, task: Task[Any]) -> None:
        self._document = document
        self._fields = {field.path: field for field in task.fields}
        self._inputs = {field.path for field in task.inputs}
        self.errors: list[SpecError] = []
        self.warnings: list[str] = []
        self.renamed: dict[str, tuple[int, str]] = {}
        self.dropped: dict[str, int] = {}
        self.added: dict[str, Added] = {}
        self.labels: dict[str, dict[str, Fate]] = {}
        self._changed: dict[tuple[str, str], int] = {}

    def fields(self, n: int, change: Change) -> None:
        """Take a change of a field as a whole: those of labels depend on them."""
        match change.part:
            case RenameField() as part:
                self._rename_field(n, part)
            case Drop() as part:
                if self._is_gone(part.field, n, "drop", "field"):
                    self.dropped[part.field] = n
            case Add() as part:
                self._add(n, part)

    def note(self, changes: Iterable[Change]) -> None:
        """Take down which labels are changed, so that what becomes of one can be held against it."""
        for n, change in enumerate(changes):
            match change.part:
                case Merge(field=path, old=several):
                    self._changed |= {(path, spelled(one)): n for one in several}
                case Rename(field=path, old=one) | Divide(field=path, old=one) | Retire(field=path, label=one):
                    self._changed[path, spelled(one)] = n

    def take(self, n: int, change: Change) -> None:
        """Take a change of labels."""
        kind, part = change.kind, change.part
        if kind in ("add", "drop", "rename_field"):
            return
        field = self._closed(n, kind, part.field)
        if field is None:
            return
        match part:
            case Divide():
                self._divide(n, part, field)
            case Retire():
                self._retire(n, part, field)
            case _:
                self._move(n, kind, part.old if kind == "merge" else (part.old,), part.to, field)

    def _rename_field(self, n: int, part: RenameField) -> None:
        if self._is_gone(part.old, n, "rename_field", "from") and self._field(n, "rename_field", "to", part.to):
            if part.to in self.renamed:
                self._refuse(
                    "two fields become this one", n, "rename_field", "to", remedy="keep one, and drop the other"
                )
            self.renamed[part.to] = n, part.old

    def _add(self, n: int, part: Add) -> None:
        field = self._field(n, "add", "field", part.field)
        if field is None:
            return
        if part.field in self.added:
            self._refuse("is added twice", n, "add", "field", remedy="keep one of the changes")
        asked = "value" not in part.model_fields_set
        self.added[part.field] = Added(
            n=n, field=field, asked=asked, value=None if asked else self._value(n, part, field)
        )

    def _value(self, n: int, part: Add, field: Field) -> Any:
        """The value of a new field as JSON has it; of an open field, whether it fits is checked with each row."""
        given = str(part.value) if isinstance(part.value, str) else part.value  # and not as YAML had it
        if field.kind == "tags" and isinstance(given, list):
            return [self._label(one, field, (n, "add", "value")) for one in given]
        if given is None or (isinstance(given, str) and field.kind == "tags"):
            return [] if given is None and field.kind == "tags" and not field.optional else typed(field, given)
        if field.closed:
            return self._label(given, field, (n, "add", "value"))
        return typed(field, given)

    def _move(self, n: int, kind: str, old: Iterable[str | None], to: str | None, field: Field) -> None:
        label = self._label(to, field, (n, kind, "to"))
        for one in old:
            if one == to and kind == "rename":
                self._refuse("is the name that it has", n, kind, "to", remedy="remove the change")
            self._warn_if_there(one, field, n, kind, "from", but=(to,))
            self._decide(one, field, Fate(n=n, to=label), kind, "from")

    def _divide(self, n: int, part: Divide, field: Field) -> None:
        if len(part.into) == 1:
            self._refuse("is one label alone", n, "split", "into", remedy="write `rename`, or name a second label")
        into = tuple(self._label(one, field, (n, "split", "into")) for one in part.into)
        self._warn_if_there(part.old, field, n, "split", "from", but=part.into)
        by = self._by(n, part, field) if part.by else None
        self._decide(part.old, field, Fate(n=n, choose=into, by=by), "split", "from")

    def _by(self, n: int, part: Divide, field: Field) -> By | None:
        key = (n, "split", "by")
        if len(part.by) != 1:
            self._refuse("names more than one field", *key, remedy="write by: {FIELD: {VALUE: LABEL}}")
            return None
        (path, table), *_ = part.by.items()
        outside = sorted({spelled(one) for one in table.values()} - {spelled(one) for one in part.into})
        if outside:
            self._refuse(
                f"{outside[0]!r} is not one of `into`", *key, path, remedy=f"add it to `into` of line {self._line(n)}"
            )
        if path not in self._fields and path not in self._inputs:
            known = [*self._fields, *self._inputs]
            self._refuse(f"there is no field {path!r}", *key, path, remedy=_suggestion(path, known))
        labels = {value: self._known(label, field) for value, label in table.items()}
        side: Literal["output", "input"] = "output" if path in self._fields else "input"
        return By(side=side, path=self._old(path) if side == "output" else path, labels=labels)

    def _retire(self, n: int, part: Retire, field: Field) -> None:
        self._warn_if_there(part.label, field, n, "retire", "label")
        if "to" in part.model_fields_set:
            fate = Fate(n=n, to=self._label(part.to, field, (n, "retire", "to")))
        elif field.kind == "tags":
            fate = Fate(n=n, gone=True)
        else:
            fate = Fate(n=n, choose=field.labels)
        self._decide(part.label, field, fate, "retire", "label")

    def _decide(self, old: str | None, field: Field, fate: Fate, kind: str, key: str) -> None:
        known = self.labels.setdefault(field.path, {})
        earlier = known.get(spelled(old))
        if earlier is not None:
            message = f"{spelled(old)!r} is changed on line {self._line(earlier.n)} already"
            remedy = "keep one of the changes: each is about labels as they were, none comes after another"
            self._refuse(message, fate.n, kind, key, remedy=remedy)
        known[spelled(old)] = fate

    def _closed(self, n: int, kind: str, path: str) -> Field | None:
        field = self._field(n, kind, "field", path)
        if field is not None and not field.closed:
            self._refuse(f"{path} has no labels: it is {field.kind}", n, kind, "field", remedy="remove the change")
            return None
        if field is not None and path in self.added:
            message = f"{path} is added on line {self._line(self.added[path].n)}, so that no row has a label of it"
            self._refuse(message, n, kind, "field", remedy="remove one of the changes")
        return field

    def _field(self, n: int, kind: str, key: str, path: str) -> Field | None:
        """A field of the new schema."""
        field = self._fields.get(path)
        if field is None:
            new = next((to for to, (_, old) in self.renamed.items() if old == path), None)
            remedy = f"write its new name, {new}" if new else _suggestion(path, self._fields)
            self._refuse(f"the new schema has no field {path!r}", n, kind, key, remedy=remedy)
        return field

    def _is_gone(self, path: str, n: int, kind: str, key: str) -> bool:
        """Whether a field that goes is not in the new schema, and goes once."""
        if path in self._fields:
            self._refuse(f"the new schema still has {path!r}", n, kind, key, remedy="remove it from the spec first")
            return False
        earlier = next((m for m, old in self.renamed.values() if old == path), self.dropped.get(path))
        if earlier is not None:
            message = f"{path!r} is changed on line {self._line(earlier)} already"
            self._refuse(message, n, kind, key, remedy="keep one of the changes")
        return earlier is None

    def _label(self, said: Any, field: Field, key: _Key) -> Label:
        """The label of the new schema that is meant."""
        known = {spelled(label): label for label in field.labels}
        if spelled(said) not in known:
            remedy, again = _suggestion(spelled(said), known), self._changed.get((field.path, spelled(said)))
            if again is not None:
                chain = f"line {self._line(again)} changes it again, and no change comes after another"
                remedy = f"{chain}: write what it becomes in the end"
            self._refuse(f"the new schema has no label {spelled(said)!r} in {field.path}", *key, remedy=remedy)
        return known.get(spelled(said))

    def _known(self, said: str | None, field: Field) -> Label:
        return {spelled(label): label for label in field.labels}.get(spelled(said))

    def _warn_if_there(
        self, old: str | None, field: Field, n: int, kind: str, key: str, *, but: Iterable[str | None] = ()
    ) -> None:
        """Say where a label that goes is still in the schema: rows that are right as they are would be changed, too."""
        if spelled(old) in map(spelled, field.labels) and old not in but:
            said = f"the new schema still has the label {spelled(old)!r}; every row that has it is changed all the same"
            self.warnings.append(self._document.error(said, ("changes", n, kind, key)).sentence)

    def _old(self, path: str) -> str:
        return self.renamed[path][1] if path in self.renamed else path

    def _line(self, n: int) -> int:
        return self._document.place(("changes", n)).line or 0

    def _refuse(self, message: str, *key: str | int, remedy: str) -> None:
        self.errors.append(self._document.error(message, ("changes", *key), remedy=remedy))


def listed(labels: Iterable[object]) -> str:
    """Return labels as a message lists them."""
    known = [spelled(label) for label in labels]
    return ", ".join(known[:_ASKED]) + (f" and {len(known) - _ASKED} more" if len(known) > _ASKED else "")


def _suggestion(given: str, known: Iterable[str]) -> str:
    names = list(known)
    close = get_close_matches(given, names, 1)
    return f"did you mean {close[0]!r}?" if close else f"it has {listed(names)}"


def _said(change: Change) -> str:
    """A change in words, shortly."""
    match change.part:
        case Rename(field=path, old=old, to=to):
            return f"{path}: {spelled(old)} → {spelled(to)}"
        case Merge(field=path, old=several, to=to):
            return f"{path}: {listed(several)} → {spelled(to)}"
        case Divide(field=path, old=old, into=into):
            return f"{path}: {spelled(old)} → {' or '.join(map(spelled, into))}"
        case Retire(field=path, label=label) as part:
            return f"{path}: {spelled(label)} → {_retired(part)}"
        case Add(field=path) as part:
            return f"{path}: new{_valued(part)}"
        case Drop(field=path):
            return f"{path}: dropped"
        case part:
            return f"{part.old} is {part.to}"


def _valued(part: Add) -> str:
    if "value" not in part.model_fields_set:
        return ""
    return f", {listed(part.value if isinstance(part.value, list) else [part.value]) or 'none'}"


def _retired(part: Retire) -> str:
    return spelled(part.to) if "to" in part.model_fields_set else "retired"
