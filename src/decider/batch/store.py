"""What a run has recorded: a header that says which run it is, and one record a row, in the order of completion."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from decider.decider import Decider
from decider.decision import Decision, Status
from decider.errors import DataError
from decider.runtime.budget import Spend
from decider.runtime.log.record import encoded, record_of
from decider.runtime.log.segment import VERSION, Reader, Segment
from decider.task import Task

STATUSES: tuple[Status, ...] = get_args(Status)

_TODO = 0
_DONE = 1  # and more: 1 + the place of the status

_SHOWN = 12
"""Digits of a hash that tell it from another."""

_BEGIN_ANEW = "name another OUT, or begin anew with --overwrite"
_WHAT = {
    "source": "the input",
    "mode": "the mode",
    "task": "the task",
    "version": "the version of the task",
    "fingerprint": "the fingerprint of what is asked (instructions, fields, examples)",
    "identity": "the identity of what answers (endpoint, model, parameters)",
}
"""What must be the same for a run to go on, by the keys of its header."""


@dataclass(slots=True)
class Recorded:
    """What a segment holds of a run of so many rows: of each row how it ended, and where its record begins."""

    rows: int
    header: Mapping[str, Any] | None = None
    notes: list[Mapping[str, Any]] = field(default_factory=list)
    mismatch: str | None = None
    """What is recorded of a row that is another one in the input."""
    spent: Spend = field(default_factory=Spend)
    """What was used for the rows that have a record."""
    states: bytearray = field(init=False)
    offsets: array[int] = field(init=False)

    def __post_init__(self) -> None:
        self.states = bytearray(self.rows + 1)
        self.offsets = array("q", bytes(8 * (self.rows + 1)))

    def take(self, record: Mapping[str, Any], offset: int, marks: array[int]) -> None:
        """Take the record of a row; the last one counts."""
        n = record["row"]
        if n > self.rows:
            self.mismatch = f"has a result for row {n}, and the input ends at row {self.rows}"
        elif record["row_hash"] not in (_hash(marks[n]), None):  # it is None where somebody wished to be forgotten
            said = f"row {n} is not the row that was decided, whose id was {record['row_id']!r}"
            self.mismatch = self.mismatch or said
        else:
            self.spent += _spent(record)
            self.states[n] = _DONE + STATUSES.index(record["status"])
            self.offsets[n] = offset


def _spent(record: Mapping[str, Any]) -> Spend:
    steps = record["steps"]
    return Spend(
        usd=sum(step["cost_usd"] or 0.0 for step in steps),
        tokens=sum(step["usage"]["input_tokens"] + step["usage"]["output_tokens"] for step in steps),
        calls=sum(step["attempts"] for step in steps),
    )


def recorded(path: Path, marks: array[int]) -> Recorded:
    """Read what a segment says of the run that was begun last."""
    rows = len(marks) - 1
    found = Recorded(rows)
    for line in Reader(path):
        match line.record:
            case {"kind": "run", "batch": dict(note)}:
                found.notes.append(note)
            case {"kind": "run"} as header:
                found = Recorded(rows, header=header)
            case {"kind": "decision", "row": int(), "row_hash": str() | None} as record:
                found.take(record, line.offset, marks)
    return found


def header_of(decider: Decider[Any], mode: str, source: str, out: Path) -> dict[str, Any]:
    """Return the header of a run, as it is begun now."""
    return {
        **_stamp(decider.task),
        "fingerprint": decider.task.prompt_fingerprint,
        "identity": decider.identity(mode),
        "mode": mode,
        "source": source,
        "out": str(out),
    }


def _stamp(task: Task[Any]) -> dict[str, Any]:
    """What begins every record of a run that is not one of a row."""
    return {
        "v": VERSION,
        "kind": "run",
        "id": os.urandom(16).hex(),
        "at": datetime.now(UTC).isoformat(),
        "task": task.name,
        "version": task.version,
    }


def refuse_other(before: Mapping[str, Any] | None, header: Mapping[str, Any], out: Path) -> None:
    """Raise `DataError` where what is there belongs to another run, by the header it had before, or to nobody."""
    if before is None:
        if out.exists():
            raise DataError(f"is there, and no run is known that wrote it; {_BEGIN_ANEW}", file=str(out))
        return
    for key, what in _WHAT.items():
        if before.get(key) != header[key]:
            shown = _SHOWN if key in ("fingerprint", "identity") else None
            was, now = (str(one)[:shown] for one in (before.get(key), header[key]))
            raise DataError(f"belongs to another run: {what} was {was}, and is {now}; {_BEGIN_ANEW}", file=str(out))


def _hash(mark: int) -> str:
    return f"{mark:016x}"


class Store:
    """The records of one run: what is appended is done, and nothing else is."""

    def __init__(
        self,
        segment: Segment,
        decider: Decider[Any],
        header: Mapping[str, Any],
        marks: array[int],
        *,
        out: Path,
        anew: bool = False,
    ) -> None:
        """Take up the run of a locked segment, or a new one; raises `DataError` where it is another one's."""
        self._segment = segment
        self._task = decider.task
        self._log = decider.log
        self._marks = marks
        self._anew = anew
        self._found = recorded(segment.path, marks)
        if anew:
            self._found = Recorded(self._found.rows)
        else:
            refuse_other(self._found.header, header, out)
            if self._found.mismatch is not None:
                raise DataError(f"belongs to other rows: {self._found.mismatch}; {_BEGIN_ANEW}", file=str(out))
        self._header = self._found.header or header

    def begin(self) -> None:
        """Write the header of a run that is new.

        One that is begun anew in a log leaves the records before it there, since corrections may stand on them.
        """
        if self._anew and self._log is None:
            self._segment.clear()
        if self._found.header is None:
            self._segment.append(encoded(self._header))
            self._found.header = self._header

    @property
    def identity(self) -> str:
        """What tells this run from one that was overwritten."""
        return str(self._header["id"])

    @property
    def folder(self) -> Path:
        """Where the segment lies."""
        return self._segment.path.parent

    @property
    def spent(self) -> Spend:
        """What was used for the rows that had their record when the run went on."""
        return self._found.spent

    def done(self, n: int) -> bool:
        """Whether the row has its record."""
        return self._found.states[n] >= _DONE

    def counts(self) -> Counter[Status]:
        """How many rows ended how."""
        states = self._found.states
        return Counter({status: states.count(_DONE + n) for n, status in enumerate(STATUSES)})

    def reopen_failed(self) -> None:
        """Let rows that failed be decided again: their next record takes the place of the last."""
        failed = bytes([_DONE + STATUSES.index("failed")])
        self._found.states = self._found.states.replace(failed, bytes([_TODO]))

    def append(self, n: int, decision: Decision[Any]) -> None:
        """Record the decision of a row; raises `DataError` where it is not on the disk afterwards."""
        inputs = "text" if self._log is None else self._log.inputs
        record = {
            **record_of(decision, self._task, inputs=inputs),
            "mode": decision.mode,
            "engine": decision.engine,
            "model": decision.model,
            "row": n,
            "row_hash": _hash(self._marks[n]),
        }
        if self._log is None:
            record["input"] = record["input_sha256"] = None  # they stand in IN, and nobody asked for another copy
        self._segment.append(encoded(record))
        self._found.states[n] = _DONE + STATUSES.index(decision.status)

    def note(self, batch: Mapping[str, Any]) -> None:
        """Record something that belongs to no row."""
        self._segment.append(encoded({**_stamp(self._task), "batch": batch}))
        self._found.notes.append(batch)

    def notes(self) -> Iterator[Mapping[str, Any]]:
        """What was recorded by `note`, in order."""
        return iter(self._found.notes)

    def records(self) -> Records:
        """The records of all rows, read anew from the disk."""
        return Records(self._segment.path, self._marks)


class Records:
    """Gives the last record of each row; a context manager."""

    def __init__(self, path: Path, marks: array[int]) -> None:
        self._offsets = recorded(path, marks).offsets
        self._reader = Reader(path)

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def of(self, n: int) -> dict[str, Any]:
        """Return the record of a row."""
        return self._reader.at(self._offsets[n])
