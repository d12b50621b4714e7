"""What became of a decision: it, and what was said of it afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from decider.errors import DataError
from decider.runtime.log.record import Record
from decider.runtime.log.segments import Segments

Checked: TypeAlias = Literal["corrected", "confirmed"]

LEAST_PREFIX = 8
"""Letters of an id that stand for the whole of it, on the command line."""

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A decision with its corrections and outcomes, each in the order in which they were said."""

    decision: Record
    corrections: tuple[Record, ...] = ()
    outcomes: tuple[Record, ...] = ()

    @property
    def changed(self) -> dict[str, Any]:
        """The values that people gave fields, by path; the last one counts."""
        return {path: one["value"] for said in self.corrections for path, one in said.fields.items()}

    @property
    def output(self) -> dict[str, Any] | None:
        """The answer as corrected, in JSON types; None where there was none, and nobody gave one."""
        changed = self.changed
        return merged(self.decision.output or {}, changed) if changed else self.decision.output

    @property
    def checked(self) -> Checked | None:
        """Whether somebody looked at the decision, and found something to change."""
        if not self.corrections:
            return None
        return "confirmed" if self.output == self.decision.output else "corrected"

    @property
    def said(self) -> dict[str, Any]:
        """What became of what was decided, by name; of outcomes of the same name the last one counts."""
        return {one.name or "": one.value for one in self.outcomes}

    def to_json(self) -> dict[str, Any]:
        """Return all of it in JSON types."""
        return {
            **self.decision.model_dump(mode="json", exclude={"name", "value"}),
            "output": self.output,
            "checked": self.checked,
            "corrections": [one.model_dump(mode="json", include=_CORRECTION) for one in self.corrections],
            "outcomes": [one.model_dump(mode="json", include=_OUTCOME) for one in self.outcomes],
        }


_CORRECTION = {"id", "at", "fields", "by", "note"}
_OUTCOME = {"id", "at", "name", "value"}


class Histories:
    """The histories of all decisions, in the order of the segments; can be read again."""

    def __init__(self, segments: Segments, ids: Collection[str] | None = None) -> None:
        self._segments = segments
        self._ids = ids
        self.unreadable = 0
        """The lines of the last, or present, reading that hold no record."""

    def __iter__(self) -> Iterator[History]:
        """Read the log twice: what was said afterwards is little, and decisions are many."""
        only = b"" if self._ids is None or len(self._ids) != 1 else next(iter(self._ids)).encode()
        later: dict[str, list[Record]] = defaultdict(list)
        for record in self._segments.records(holding=only or _AFTERWARDS):
            if record.of is not None and (self._ids is None or record.of in self._ids):
                later[record.of].append(record)
        records = self._segments.records(holding=only)
        for record in records:
            self.unreadable = records.unreadable
            if record.kind == "decision" and (self._ids is None or record.id in self._ids):
                yield _history(record, later.get(record.id, ()))
        self.unreadable = records.unreadable


_AFTERWARDS = b'"of":"'


def find(segments: Segments, id: str) -> History:
    """Return the history of a decision; raises `DataError` where there is none."""
    found = next(iter(Histories(segments, (id,))), None)
    if found is None:
        raise _unknown(id, segments.folder)
    return found


def matches(segments: Segments, names: Collection[str]) -> dict[str, set[str]]:
    """Return the ids of decisions that each name may mean: an id, the beginning of one, or a row's id."""
    found: dict[str, set[str]] = {name: set() for name in names}
    beginnings = defaultdict(list)
    for name in found:
        if len(name) >= LEAST_PREFIX:
            beginnings[name[:LEAST_PREFIX]].append(name)
    only = next(iter(found)) if len(found) == 1 else ""
    for record in segments.records(holding=only.encode()):
        if record.kind != "decision":
            continue
        for name in beginnings.get(record.id[:LEAST_PREFIX], ()):
            if record.id.startswith(name):
                found[name].add(record.id)
        if record.row_id in found:
            found[record.row_id].add(record.id)
    return found


def meant(name: str, ids: Collection[str], folder: Path) -> str:
    """Return the one id that a name means; raises `DataError`."""
    if name in ids:
        return name
    if len(ids) == 1:
        return next(iter(ids))
    if not ids:
        raise _unknown(name, folder)
    shown = ", ".join(sorted(ids)[:_MOST_NAMED]) + (", …" if len(ids) > _MOST_NAMED else "")
    raise DataError(f"{name!r} may mean {len(ids)} decisions: {shown}; name one", file=str(folder))


def merged(output: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with the values at some paths replaced."""
    result = dict(output)
    for path, value in changed.items():
        *parents, leaf = path.split(".")
        inner = result
        for name in parents:
            inner[name] = dict(inner.get(name) or {})
            inner = inner[name]
        inner[leaf] = value
    return result


def _history(decision: Record, later: Collection[Record]) -> History:
    in_order = sorted(later, key=_when)
    return History(
        decision=decision,
        corrections=tuple(one for one in in_order if one.kind == "correction"),
        outcomes=tuple(one for one in in_order if one.kind == "outcome"),
    )


def _when(record: Record) -> datetime:
    return record.at


def _unknown(name: str, folder: Path) -> DataError:
    return DataError(f"holds no decision {name!r}; `decider log list` shows them", file=str(folder))
