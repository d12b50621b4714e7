"""The dataset that a log is: what was decided, as people corrected it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from decider.data.aside import written
from decider.runtime.log import Log
from decider.runtime.log.history import History
from decider.schema import pick
from decider.task import Task

NO_TEXT = "without the text of the input"
NO_OUTPUT = "without an output"
UNSURE = "not accepted by any step, and not checked"
UNCHECKED = "not checked by anybody"
OTHER_TIME = "of another time"
OTHER_MODE = "of another mode"
OTHER_VERSION = "of another version of the task"
UNFIT = "no longer fit for the schema"
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which decisions of a task become rows; those that nobody looked at are among them unless something says no.

    `since` is the first moment, `until` the first that is too late, and `mode` the one that answered. With `checked`,
    what nobody looked at is left out; with `accepted`, only that of it which no step accepted, as it always is where
    there is no accepted answer at all. With `versions`, what other versions of the task decided is in, as long as it
    fits the schema.
    """

    since: datetime | None = None
    until: datetime | None = None
    mode: str | None = None
    checked: bool = False
    accepted: bool = False
    versions: bool = False


class Logged:
    """The rows of a dataset, from the decisions of one task; can be read again.

    `source` says `corrected`, `confirmed`, or the mode that answered; `time` is when it was decided, where the input
    does not say when the case was; `by` and `at` are who last corrected or confirmed it, and when.
    """

    def __init__(self, log: Log, task: Task[Any], choice: Choice | None = None) -> None:
        self._log = log
        self._task = task
        self._choice = choice or Choice()
        self.left_out: Counter[str] = Counter()
        """How many decisions of the last, or present, reading were left out, by the reason."""

    @property
    def folder(self) -> Path:
        """Where the log is."""
        return self._log.folder

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.left_out = Counter()
        histories = self._log.histories()
        for history in histories:
            if history.decision.task != self._task.name:
                continue
            problem = self._unchosen(history) or self._problem(history)
            if problem is None:
                yield self._row(history)
            else:
                self.left_out[problem] += 1
        if histories.unreadable:
            self.left_out[UNREADABLE] = histories.unreadable

    def _unchosen(self, history: History) -> str | None:
        """Why a decision is none of those that are asked for, or None."""
        decision, choice = history.decision, self._choice
        if choice.since is not None and decision.at < choice.since:
            return OTHER_TIME
        if choice.until is not None and decision.at >= choice.until:
            return OTHER_TIME
        if choice.mode is not None and decision.mode != choice.mode:
            return OTHER_MODE
        if not choice.versions and decision.version != self._task.version:
            return OTHER_VERSION
        return None

    def _problem(self, history: History) -> str | None:
        """Why a decision is no row, or None."""
        decision, output = history.decision, history.output
        if output is None:
            return NO_OUTPUT
        if history.checked is None:
            if self._choice.checked:
                return UNCHECKED
            if decision.status != "decided" or (self._choice.accepted and not decision.accepted):
                return UNSURE
        if decision.input is None:
            return NO_TEXT
        return None if self._fits(output) else UNFIT

    def _fits(self, output: dict[str, Any]) -> bool:
        try:
            self._task.validate(output)
        except ValidationError:
            return False
        return True

    def _row(self, history: History) -> dict[str, Any]:
        decision = history.decision
        row: dict[str, Any] = {"input": decision.input, "output": history.output, "id": decision.id}
        row["source"] = history.checked or decision.mode
        if not self._says_when(decision.input):
            row["time"] = decision.at.isoformat()
        if history.corrections:
            last = history.corrections[-1]
            row["at"] = last.at.isoformat()
            if last.by is not None:
                row["by"] = last.by
        return row

    def _says_when(self, value: Any) -> bool:
        """Whether an input says when its case was."""
        try:
            return pick(value, self._task.spec.data.time or "") is not None
        except (KeyError, TypeError):
            return False


def write_rows(rows: Iterable[dict[str, Any]], out: Path) -> int:
    """Write rows as JSONL in place of `out`, all of them or none; returns how many."""
    count = 0
    with written(out) as file:
        for row in rows:
            file.write(to_json(row) + b"\n")
            count += 1
    return count
