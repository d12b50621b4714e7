"""Rows written as one dataset file: each with its id, and what could not be a row beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import from_json, to_json

from decider.data.aside import refuse_unwritable, written
from decider.data.importers.ids import Ids, Seen
from decider.data.importers.reading import Found, Told, silent
from decider.data.importers.rejects import Rejects
from decider.data.rows import Checked, Rejected, encoded
from decider.decision import Example
from decider.errors import DataError

_EVERY = 1000
"""Rows between two words of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import came to: rows written, rows rejected by kind of mistake, and the file that keeps them.

    `there` rows had ids that the file had before, `different` ones of them with another input or output; `repeated`
    rows said an id that an earlier row of the sources has, the first of which is `first`.
    """

    out: Path
    rows: int
    reasons: Mapping[str, int]
    rejects: Path | None
    there: int
    different: int
    repeated: int
    first: str | None

    @property
    def rejected(self) -> int:
        """How many rows were rejected."""
        return sum(self.reasons.values())

    def to_json(self) -> dict[str, Any]:
        """Return all of it in JSON types."""
        return {
            "out": str(self.out),
            "rows": self.rows,
            "rejected": self.rejected,
            "reasons": dict(self.reasons),
            "rejects": None if self.rejects is None else str(self.rejects),
            "there": self.there,
            "different": self.different,
            "repeated": self.repeated,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """How rows become a dataset file: what of them is said, and what stays of what was there before.

    `source` says where outputs come from, of rows that do not say so. With `strict`, nothing is written where a row is
    rejected. With `append`, rows are added to the file whose ids it does not have, and what was rejected of other files
    before stays kept.
    """

    source: str | None = None
    strict: bool = False
    append: bool = False

    def write(
        self,
        rows: Iterable[Found],
        out: Path,
        *,
        told: Told | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Imported:
        """Write rows as a dataset in the place of `out`, all of it or nothing, and what was rejected beside it.

        Raises `DataError` where nothing could be written, and nothing is: no row fits, or one does not and `strict`
        is asked for. `told` names the first rejected rows.
        """
        if out.suffix.lower() not in (".jsonl", ".ndjson"):
            remedy = "name an OUT that ends in .jsonl; `decider data export` makes other formats of it"
            raise DataError(f"a dataset is written as JSONL; {remedy}", file=str(out))
        refuse_unwritable(out)
        with Rejects(told or silent, append=self.append) as rejects:
            with written(out) as file:
                writing = _Writing(file, out if self.append else None)
                for n, (name, row) in enumerate(rows, 1):
                    self._take(name, row, writing, rejects)
                    if progress is not None and n % _EVERY == 0:
                        progress(n)
                self._refuse(rejects, writing, out)
            return writing.imported(out, rejects.reasons, rejects.save(out))

    def _take(self, name: str, row: Checked, writing: _Writing, rejects: Rejects) -> None:
        rejects.files.add(name)
        if isinstance(row, Rejected):
            rejects.add(name, row)
        else:
            writing.take(row if row.source is not None else replace(row, source=self.source))

    def _refuse(self, rejects: Rejects, writing: _Writing, out: Path) -> None:
        found = rejects.count + writing.taken
        if self.strict and rejects.count:
            said = f"{rejects.count:,} of {found:,} rows do not fit: {counted(rejects.reasons)}"
            raise DataError(f"nothing was written, because of --strict: {said}", file=str(out))
        if not writing.taken:
            said = f"none of {found:,} rows fits: {counted(rejects.reasons)}" if found else "there are no rows"
            raise DataError(f"nothing was written: {said}", file=str(out))


def counted(reasons: Mapping[str, int]) -> str:
    """Return how many rows there are of each kind of mistake, the commonest first."""
    return ", ".join(f"{count:,} {reason}" for reason, count in Counter(reasons).most_common())


class _Writing:
    """A dataset file while it is written."""

    def __init__(self, file: BinaryIO, before: Path | None) -> None:
        self._file = file
        self._ids = Ids()
        self._there = Seen()
        self._same = Seen()
        self.taken = self._rows = self._known = self._different = 0
        if before is not None and before.is_file():
            self._copy(before)

    def take(self, example: Example) -> None:
        """Write a row, or count it where it is there already."""
        self.taken += 1
        row = self._ids.named(example)
        name = str(row.id)
        if name in self._there:
            self._known += 1
            self._different += _content(name, row.input, row.output) not in self._same
            return
        self._file.write(encoded(row))
        self._rows += 1

    def imported(self, out: Path, reasons: Mapping[str, int], rejects: Path | None) -> Imported:
        return Imported(
            out=out,
            rows=self._rows,
            reasons=dict(reasons),
            rejects=rejects,
            there=self._known,
            different=self._different,
            repeated=self._ids.repeated,
            first=self._ids.first,
        )

    def _copy(self, before: Path) -> None:
        """Write what was there before, and remember its ids; a row without one is known by its input."""
        ids = Ids()
        with before.open("rb") as lines:
            for n, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                row = _row(line, before, n)
                given = None if row.get("id") is None else str(row["id"])
                known = ids.named(Example(input=row["input"], output=row["output"], id=given, numbered=given is None))
                self._there.add(str(known.id))
                self._same.add(_content(str(known.id), known.input, known.output))
                self._file.write(line.rstrip(b"\r\n") + b"\n")


def _row(line: bytes, file: Path, n: int) -> dict[str, Any]:
    try:
        row = from_json(line)
    except ValueError as error:
        raise DataError(f"is not JSON, so that nothing can be added: {error}", file=str(file), row=n) from error
    if not isinstance(row, dict) or not {"input", "output"} <= row.keys():
        raise DataError('is no row, {"input": …, "output": {…}}, so that nothing can be added', file=str(file), row=n)
    return row


def _content(id: str, input: Any, output: Any) -> str:
    return to_json([id, input, output]).decode()
