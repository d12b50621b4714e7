"""The dataset that a log is: what was decided, as people corrected it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from decider.errors import DataError
from decider.runtime.log import Log
from decider.runtime.log.history import History
from decider.task import Task

NO_TEXT = "without the text of the input"
NO_OUTPUT = "without an output"
UNSURE = "not accepted by any step, and not checked"
UNCHECKED = "not checked by anybody"
OTHER_VERSION = "of another version of the task"
UNFIT = "no longer fit for the schema"
UNREADABLE = "unreadable"


class Logged:
    """The rows of a dataset, from the decisions of one task; can be read again.

    `source` says `corrected`, `confirmed`, or the mode that answered. With `checked`, what nobody looked at is left
    out; with `versions`, what other versions of the task decided is in, as long as it fits the schema.
    """

    def __init__(self, log: Log, task: Task[Any], *, checked: bool = False, versions: bool = False) -> None:
        self._log = log
        self._task = task
        self._checked = checked
        self._versions = versions
        self.left_out: Counter[str] = Counter()
        """How many decisions of the last, or present, reading were left out, by the reason."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.left_out = Counter()
        histories = self._log.histories()
        for history in histories:
            if history.decision.task != self._task.name:
                continue
            problem = self._problem(history)
            if problem is None:
                yield _row(history)
            else:
                self.left_out[problem] += 1
        if histories.unreadable:
            self.left_out[UNREADABLE] = histories.unreadable

    def _problem(self, history: History) -> str | None:
        """Why a decision is no row, or None."""
        decision, output = history.decision, history.output
        if not self._versions and decision.version != self._task.version:
            return OTHER_VERSION
        if output is None:
            return NO_OUTPUT
        if history.checked is None:
            if self._checked:
                return UNCHECKED
            if decision.status != "decided":
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


def write_rows(rows: Iterable[dict[str, Any]], out: Path) -> int:
    """Write rows as JSONL in place of `out`, all of them or none; returns how many."""
    aside = out.with_name(f".{out.name}.{os.getpid()}")
    count = 0
    try:
        with aside.open("wb") as file:
            for row in rows:
                file.write(to_json(row) + b"\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        aside.replace(out)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", file=str(out)) from error
    finally:
        aside.unlink(missing_ok=True)
    return count


def _row(history: History) -> dict[str, Any]:
    decision = history.decision
    return {
        "input": decision.input,
        "output": history.output,
        "id": decision.id,
        "source": history.checked or decision.mode,
    }
