"""The log: every decision, and what people said of it, in a folder of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from decider.decision import Decision
from decider.runtime.cache import Cache
from decider.runtime.log.corrections import correction, outcome
from decider.runtime.log.forget import Forgotten, forget
from decider.runtime.log.history import Histories, History, find, matches, meant
from decider.runtime.log.record import Inputs, Record, encoded, record_of
from decider.runtime.log.segment import private
from decider.runtime.log.segments import ROTATE_BYTES, Records, Segments
from decider.task import Task


class Log:
    """Records decisions, corrections and outcomes; one log may hold those of several tasks.

    Nothing is made on the disk before the first record. `inputs` says what is kept of inputs, `keep` for how many
    seconds records are kept, `fsync` that each is safe from a power cut. Safe for threads, forks and processes; what
    cannot be written is a `DataError`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        inputs: Inputs = "text",
        keep: float | None = None,
        fsync: bool = False,
        rotate_bytes: float = ROTATE_BYTES,
    ) -> None:
        self.folder = folder
        self.inputs: Inputs = inputs
        self.fsync = fsync
        self._segments = Segments(folder, keep=keep, fsync=fsync, rotate_bytes=rotate_bytes)

    @classmethod
    def of(cls, task: Task[Any]) -> Log:
        """Return the log that a spec names; raises `SpecError` where it names none."""
        said = task.spec.log
        if said is None:
            remedy = "add  log: {folder: .decider/log}  and what is decided from then on is recorded"
            raise task.mistake("the spec has no `log:`, so that nothing is recorded", ("log",), remedy=remedy)
        folder = task.resolve(said.folder, ("log", "folder"))
        return cls(folder, inputs=said.inputs, keep=said.keep, fsync=said.fsync)

    def append(self, decision: Decision[Any], task: Task[Any]) -> None:
        """Write the record of a decision; when this returns, it is there also if the process is killed."""
        self._segments.append(encoded(record_of(decision, task, inputs=self.inputs)))

    def write(self, record: Mapping[str, Any]) -> None:
        """Write a record that is made already, such as by `correction`."""
        self._segments.append(encoded(record))

    def records(self) -> Records:
        """Return the records of all segments, also those of runs; lines that hold none are counted."""
        return self._segments.records()

    def histories(self, ids: Collection[str] | None = None) -> Histories:
        """Return all decisions, or those of some ids, each with its corrections and outcomes."""
        return Histories(self._segments, ids)

    def find(self, id: str) -> History:
        """Return a decision with its corrections and outcomes; raises `DataError` where there is none of this id."""
        return find(self._segments, id)

    def resolve(self, name: str) -> str:
        """Return the id of the decision that a name means: an id, eight letters of one or more, or a row's id."""
        return meant(name, self.matches([name])[name], self.folder)

    def matches(self, names: Collection[str]) -> dict[str, set[str]]:
        """Return the ids of all decisions that each name may mean, as in `resolve`."""
        return matches(self._segments, names)

    def correct(
        self, id: str, fields: Mapping[str, Any], *, task: Task[Any], by: str | None = None, note: str | None = None
    ) -> History:
        """Give fields of a decision other values, by path, and return what holds from now on.

        Raises `DataError` for an unknown id or path, and for a value with which the whole would not fit the schema.
        """
        history = self.find(id)
        said = correction(history, fields, task, by=by, note=note)
        self.write(said)
        return replace(history, corrections=(*history.corrections, Record.model_validate(said)))

    def confirm(self, id: str, *, task: Task[Any], by: str | None = None, note: str | None = None) -> History:
        """Say that a decision is right as it is, or as it was corrected."""
        return self.correct(id, {}, task=task, by=by, note=note)

    def outcome(self, id: str, name: str, value: Any) -> History:
        """Say what became of what was decided, such as `("refunded", True)`."""
        history = self.find(id)
        said = outcome(history, name, value)
        self.write(said)
        return replace(history, outcomes=(*history.outcomes, Record.model_validate(said)))

    def forget(self, id: str, *, task: Task[Any], cache: Cache | None = None) -> Forgotten:
        """Overwrite the text of a decision, and of all with the same input, and delete what the cache has of them."""
        return forget(self._segments, id, task, cache)

    def run_segment(self, out: Path) -> Path:
        """Return where the segment of the run that writes `out` is, in a folder that is made for it."""
        private(self.folder)
        name = hashlib.sha256(str(out.resolve()).encode()).hexdigest()
        return private(self._segments.runs) / f"{name}.jsonl"

    def close(self) -> None:
        """Close the segment that is written to; a later record opens it again."""
        self._segments.close()
