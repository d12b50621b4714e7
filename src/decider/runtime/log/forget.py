"""Forgetting a text: overwritten where it stands in the log, and deleted from the cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import to_json

from decider.runtime.cache import MOST_SAMPLES, Cache, of_sample
from decider.runtime.lock import exclusive
from decider.runtime.log.erasure import without_text
from decider.runtime.log.history import find
from decider.runtime.log.record import Record
from decider.runtime.log.segment import failed, lines
from decider.runtime.log.segments import Segments
from decider.task import Task

UNREACHABLE = (
    "files that `decider run` has written, and datasets that were exported",
    "files and logs at a provider that was asked",
    "models that were trained on it, and reports",
    "copies and backups of the log, and what a disk keeps of what was overwritten",
    "the memory of programs that are running, also what their cache holds there",
)
"""Where a forgotten text may still be."""

_AFTERWARDS, _OTHERS, _ITSELF = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was reached: the decisions with this input, the lines and segments overwritten, the cache entries deleted.

    `unreachable` says where else the text may be.
    """

    decisions: tuple[str, ...]
    lines: int
    segments: tuple[Path, ...]
    cached: int
    unreachable: tuple[str, ...] = UNREACHABLE

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {
            "decisions": list(self.decisions),
            "lines": self.lines,
            "segments": [str(path) for path in self.segments],
            "cached": self.cached,
            "unreachable": list(self.unreachable),
        }


def forget(segments: Segments, id: str, task: Task[Any], cache: Cache | None) -> Forgotten:
    """Forget the input of a decision: in its record, in all others with the same input, and in what was said of them.

    Lines are overwritten in place, at the same length, so that others may append meanwhile. If it fails midway, it can
    be done again.
    """
    target = _Target.of(segments, find(segments, id).decision)
    cached = 0
    for key in target.keys:
        cached += 0 if cache is None else sum(cache.delete(of_sample(key, n)) for n in range(MOST_SAMPLES))
    touched: dict[Path, None] = {}
    count = 0
    # What leads to the rest goes last: this decision tells the others, and those what was said of them.
    for part in (_AFTERWARDS, _OTHERS, _ITSELF):
        for path, file in segments.files("r+b"):
            done = _overwrite(path, file, target, part, task)
            if done:
                touched[path] = None
                count += done
    return Forgotten(decisions=tuple(target.ids), lines=count, segments=tuple(touched), cached=cached)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """Which lines are meant: those of these decisions, and torn ones of them, or that begin with this input."""

    id: str
    ids: dict[str, None]
    keys: dict[str, None]
    said: bytes

    @classmethod
    def of(cls, segments: Segments, decision: Record) -> _Target:
        """The decision with all others of the same input."""
        same = decision.input_sha256
        found = [decision]
        if same is not None:
            alike = segments.records(holding=same.encode())
            found = [one for one in alike if one.kind == "decision" and one.input_sha256 == same]
        return cls(
            id=decision.id,
            ids={one.id: None for one in found},
            keys={step["cache_key"]: None for one in found for step in one.steps if step.get("cache_key")},
            said=b"" if decision.input is None else to_json(decision.input),
        )

    def touches(self, line: bytes) -> bool:
        """Whether a line may be meant: it has the id of one of the decisions, or its input, as far as it goes."""
        if any(one.encode() in line for one in self.ids):
            return True
        _, _, rest = line.partition(b'"input":')
        return bool(rest and self.said) and (rest.startswith(self.said) or self.said.startswith(rest))

    def part(self, record: Record | None) -> int | None:
        """Return when it is the turn of a record, or of a torn line; None for what is not meant."""
        if record is None or record.of in self.ids:
            return _AFTERWARDS
        if record.id in self.ids:
            return _ITSELF if record.id == self.id else _OTHERS
        return None


def _overwrite(path: Path, file: BinaryIO, target: _Target, part: int, task: Task[Any]) -> int:
    """Overwrite what is meant in one segment; returns how many lines that were."""
    found = []
    for offset, line in lines(file):
        if not target.touches(line):
            continue
        record = Record.read(line)
        if target.part(record) == part:
            new = b" " * len(line) if record is None else without_text(line, record, task)
            found += [(offset, new)] if new != line else []
    if not found:
        return 0
    try:
        with exclusive(file.fileno(), wait=True):
            for offset, line in found:
                file.seek(offset)
                file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise failed(path, error, "overwritten") from error
    return len(found)
