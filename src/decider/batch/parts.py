"""The parts of a run that a provider decides: which rows each asks, how it stands, and what came back."""

from __future__ import annotations

import logging
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from pydantic_core import from_json

from decider.runtime.budget import Spend

logger = logging.getLogger("decider")

_ID = re.compile(r"([0-9]{1,18})-([0-9]{1,9})-([0-9a-f]{16})")


_NOTED = frozenset({"file", "batch", "told", "lost"})


class Numbers:
    """The numbers of rows, in ascending order; kept as spans, since most of them follow one another."""

    def __init__(self, spans: Iterable[Sequence[int]] = ()) -> None:
        self.spans = [(first, last) for first, last in spans]

    def add(self, n: int) -> None:
        """Take one more row, behind all others."""
        if self.spans and self.spans[-1][1] == n - 1:
            self.spans[-1] = (self.spans[-1][0], n)
        else:
            self.spans.append((n, n))

    def __contains__(self, n: int) -> bool:
        at = bisect_right(self.spans, n, key=lambda span: span[0])
        return at > 0 and n <= self.spans[at - 1][1]

    def __iter__(self) -> Iterator[int]:
        for first, last in self.spans:
            yield from range(first, last + 1)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.spans)


@dataclass(slots=True, kw_only=True)
class Part:
    """One batch of a run: its rows, in the order of its file, and what the provider calls its file and itself.

    `mark` is known to nobody else, and stands at the provider too. `most` is the worst case of what it costs, `begun`
    the Unix time. What it did not answer and why was `told`, where that ended a run: a refused key, a cancellation.
    """

    number: int
    rows: Numbers
    mark: str
    most: Spend
    begun: float
    file: str | None = None
    batch: str | None = None
    told: bool = False
    digests: set[str] = field(default_factory=set)
    """Of the bodies that it asks; not known of a part that another process submitted."""
    files: list[str] = field(default_factory=list)
    """The provider's files with what came back."""
    seconds: float = 0.0
    cut: bool = False
    """Whether it was cancelled."""
    lost: int = 0
    """The number of the last part when it turned out that what came back is not there any more; its rows began anew."""
    answers: Answers | None = None

    @property
    def name(self) -> str:
        """The name of its file at the provider."""
        return f"decider-{self.mark[:32]}.jsonl"

    def share(self, rows: int) -> Spend:
        """The worst case of so many of its rows."""
        part, most = rows / len(self.rows), self.most
        return Spend(most.usd * part, round(most.tokens * part), round(most.calls * part))

    def note(self) -> dict[str, Any]:
        """What is noted before anything of it is sent."""
        most = [self.most.usd, self.most.tokens, self.most.calls]
        return {"part": self.number, "mark": self.mark, "rows": self.rows.spans, "most": most, "begun": self.begun}

    def came(self, row: int) -> Came:
        """What it brought for a row."""
        line = None if self.answers is None else self.answers.of(row)
        return Came(batch=self.batch or "", line=line, seconds=self.seconds, cut=self.cut, told=self.told)

    def close(self) -> None:
        """Close the file with what came back."""
        if self.answers is not None:
            self.answers.close()


def parts_of(notes: Iterable[Mapping[str, Any]]) -> tuple[list[Part], int]:
    """Return the parts that are not over, by the notes of a run, and the number of the last part."""
    parts: dict[int, Part] = {}
    last = 0
    for note in notes:
        number = note["part"]
        last = max(last, number)
        if "mark" in note:
            rows, most = Numbers(note["rows"]), Spend(*note["most"])
            parts[number] = Part(number=number, rows=rows, mark=note["mark"], most=most, begun=note["begun"])
        elif note.get("over"):
            parts.pop(number, None)
        elif number in parts:
            for name in _NOTED & note.keys():
                setattr(parts[number], name, note[name])
    return list(parts.values()), last


def id_of(row: int, part: int, digest: str) -> str:
    """Return what a request is called in its file, and its answer in what comes back."""
    return f"{row}-{part}-{digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What came back for one request: the status and the body of its answer, or why there is none.

    `digest` is that of the body that was asked.
    """

    digest: str
    status: int = 0
    body: Any = None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What a batch brought for a row: a line, or None where it has none.

    `cut` says that it was cancelled; `told`, that what it did not answer is known already.
    """

    batch: str
    line: Line | None
    seconds: float
    cut: bool = False
    told: bool = False


class Answers:
    """What came back for a part: a file on this disk with a line for each request, in any order."""

    def __init__(self, folder: Path | None) -> None:
        self.file: IO[bytes] = TemporaryFile(dir=folder)  # noqa: SIM115  # the part closes it
        """It has no name, so that no kill leaves it."""
        self._at: dict[int, int] = {}

    def read(self, part: Part) -> None:
        """Take in what is in the file; what should not be there is told of, and left alone."""
        foreign: list[str] = []
        doubled: list[str] = []
        unreadable = offset = 0
        self.file.seek(0)
        for raw in self.file:
            name = _name(raw)
            row = None if name is None else _row(name, part)
            if name is None:
                unreadable += bool(raw.strip())
            elif row is None:
                foreign.append(name)
            elif self._at.setdefault(row, offset) != offset:
                doubled.append(name)
            offset += len(raw)
        _warn(part, foreign, doubled, unreadable)

    def of(self, row: int) -> Line | None:
        """Return what came back for a row, or None where nothing did."""
        offset = self._at.get(row)
        if offset is None:
            return None
        self.file.seek(offset)
        said = from_json(self.file.readline())
        digest = said["custom_id"].rpartition("-")[2]
        response, error = _mapping(said.get("response")), _mapping(said.get("error"))
        status = response.get("status_code")
        if isinstance(status, int):
            return Line(digest=digest, status=status, body=response.get("body"))
        return Line(digest=digest, code=str(error.get("code") or ""), message=str(error.get("message") or ""))

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _name(raw: bytes) -> str | None:
    """The id of a line; None where it has none."""
    with suppress(ValueError):
        said = from_json(raw)
        if isinstance(said, dict) and isinstance(said.get("custom_id"), str):
            return str(said["custom_id"])
    return None


def _row(name: str, part: Part) -> int | None:
    """The row that a line is about; None where it is none of the part's."""
    found = _ID.fullmatch(name)
    if found is None or int(found[2]) != part.number or int(found[1]) not in part.rows:
        return None
    return int(found[1])


def _mapping(said: Any) -> dict[str, Any]:
    return said if isinstance(said, dict) else {}


def _warn(part: Part, foreign: Sequence[str], doubled: Sequence[str], unreadable: int) -> None:
    """Tell what should not be there: none of it is used, and what is missing is asked again."""
    for names, what in ((foreign, "no request that it asked"), (doubled, "a request that was answered before it")):
        if names:
            logger.warning("batch %s has %d lines for %s, such as %.80r", part.batch, len(names), what, names[0])
    if unreadable:
        logger.warning("batch %s has %d lines that cannot be read", part.batch, unreadable)
