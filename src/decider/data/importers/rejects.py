"""Rows that could not be imported: named as they come, counted by reason, and kept to be mended."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any

from pydantic_core import from_json, to_json

from decider.data.aside import written
from decider.data.files import parsed
from decider.data.rows import Rejected

ENDING = ".rejected.jsonl"
"""How the name of a file ends that keeps what was rejected."""

MOST_NAMED = 20
"""Rows of which each is named; further ones are counted."""

_KEYS = {"file", "line", "reason", "row"}
_IN_MEMORY = 1 << 20
_LONGEST_NAMED = 300


def beside(out: Path) -> Path:
    """Return the file that keeps what was rejected of an import into `out`."""
    return out.with_suffix(ENDING)


def mended(row: Any) -> Any:
    """Return the row that a line of such a file keeps, perhaps mended since; any other row as it is."""
    if not isinstance(row, Mapping) or row.keys() != _KEYS:
        return row
    kept = row["row"]
    return parsed(kept, kept) if isinstance(kept, str) else kept


class Rejects:
    """Takes in the rejected rows of one import; `told` gets a sentence for each of the first. Close it.

    With `append`, what an earlier import rejected of other files stays where it is kept.
    """

    def __init__(self, told: Callable[[str], None], *, append: bool = False) -> None:
        self._told = told
        self._append = append
        self.files: set[str] = set()
        """The files that were read."""
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # closed by `__exit__`
        self.reasons: Counter[str] = Counter()
        """How many rows there are of each kind of mistake; a row counts with the first that it has."""

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def count(self) -> int:
        """How many rows were rejected."""
        return self.reasons.total()

    def add(self, file: str, rejected: Rejected) -> None:
        """Take in one row of a file."""
        first = rejected.problems[0]
        self.reasons[f"{first.kind} ({first.field})" if first.field else first.kind] += 1
        if self.count <= MOST_NAMED:
            reason = rejected.reason
            shown = reason if len(reason) <= _LONGEST_NAMED else f"{reason[:_LONGEST_NAMED]}…"
            self._told(f"{file}:{rejected.place}: {shown}")
        kept = {"file": file, "line": rejected.place, "reason": rejected.reason, "row": rejected.value}
        self._file.write(to_json(kept, inf_nan_mode="strings", bytes_mode="base64", fallback=str) + b"\n")

    def save(self, out: Path) -> Path | None:
        """Write the rows beside `out`; where there are none, what an earlier import left there is deleted."""
        path = beside(out)
        earlier = self._earlier(path)
        first = next(earlier, None)
        if not self.count and first is None:
            path.unlink(missing_ok=True)
            return None
        self._file.seek(0)
        with written(path) as file:
            file.writelines(chain([] if first is None else [first], earlier))
            shutil.copyfileobj(self._file, file)
        return path

    def _earlier(self, path: Path) -> Iterator[bytes]:
        """The rows that stay of an earlier import: those of files that this one did not read again."""
        read_itself = path.resolve() in {Path(name).resolve() for name in self.files}
        if self._append and path.is_file() and not read_itself:
            with path.open("rb") as lines:
                yield from (line.rstrip(b"\r\n") + b"\n" for line in lines if _file_of(line) not in self.files)


def _file_of(line: bytes) -> str | None:
    """The file that a kept row is of; None where somebody changed it so that it says none."""
    try:
        kept = from_json(line)
    except ValueError:
        return None
    return str(kept["file"]) if isinstance(kept, Mapping) and "file" in kept else None
