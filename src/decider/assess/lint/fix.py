"""`fix`: a copy of a dataset with what is mechanical mended; all else is left as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from decider.assess.lint.mend import STEPS, Change, Mending
from decider.assess.lint.rejected import has_id
from decider.data.aside import written
from decider.data.rows import Checked, encoded
from decider.decision import Example
from decider.task import Task

FIXABLE = tuple(STEPS)
"""The codes that `fix` does something about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Rows as they are mended, in their order, and what was done to which."""

    task: Task[Any]
    rows: tuple[Checked, ...]
    changes: tuple[Change, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of changes by code, in the order in which they were made."""
        found = Counter(one.code for one in self.changes)
        return {code: found[code] for code in FIXABLE if found[code]}

    def save(self, out: Path) -> None:
        """Write all rows as JSONL, the whole file or nothing; raises `DataError` where it cannot be written.

        Each row has the id that it was called by, also where that was its number. A row that is no example stands where
        it stood, as it was.
        """
        with written(out) as file:
            file.writelines(self._line(one) for one in self.rows)

    def _line(self, one: Checked) -> bytes:
        if isinstance(one, Example):
            return encoded(replace(one, numbered=False))
        if one.problems[0].kind == "unreadable" and isinstance(one.value, str):
            return one.value.encode() + b"\n"
        value = one.value
        if isinstance(value, Mapping) and not has_id(one, self.task):
            value = {"id": one.id, **{key: cell for key, cell in value.items() if key != "id"}}
        return to_json(value, fallback=str) + b"\n"


def fix(task: Task[Any], rows: Iterable[Checked], *, codes: Collection[str] = FIXABLE) -> Fixed:
    """Mend what is mechanical, and leave all else as it is; `codes` says which of `FIXABLE`.

    Texts that were decoded with the wrong character set are decoded anew. A label that is an option but for its
    spelling becomes it. Rows without any input are dropped. Where rows with one input have different labels, and those
    that somebody checked have one, the others get it; a majority decides nothing. Of rows with the same input and
    output one is kept: the first that somebody checked, or else the first. Raises `ImportError` where a text needs the
    extra `data`.
    """
    mending = Mending(task, dict(enumerate(rows)), [])
    for code, step in STEPS.items():
        if code in codes:
            step(mending)
    changes = sorted(mending.changes, key=lambda one: one.n)
    return Fixed(task=task, rows=tuple(mending.rows.values()), changes=tuple(changes))
