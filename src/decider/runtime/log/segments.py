"""The folder of a log: the segment that is written to, those before it, and those of runs."""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

from decider.errors import DataError
from decider.runtime.lock import Lock, exclusive, is_at
from decider.runtime.log.record import Record
from decider.runtime.log.segment import Segment, failed, lines, private

CURRENT = "decisions.jsonl"
ROTATE_BYTES = 64_000_000
_DAY = 86400.0
_TAIL = 65536
_DOOMED = 0o700
"""The mode of a segment that is about to be deleted: whoever still has it open sees so, and writes elsewhere."""

_open: weakref.WeakSet[Segments] = weakref.WeakSet()


class Segments:
    """Appends records to the current segment, rotates it, and deletes what was kept long enough.

    Nothing is made before the first record. Threads share it, processes share its folder, and a forked child goes on
    with its parent's. A record is whole in a file of this folder when `append` returns, whoever rotates or deletes.
    """

    def __init__(self, folder: Path, *, keep: float | None, fsync: bool, rotate_bytes: float) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self._current = folder / CURRENT
        self._keep = keep
        self._fsync = fsync
        self._rotate_bytes = rotate_bytes
        self._lock = threading.Lock()
        self._segment: Segment | None = None
        self._mode = 0
        self._most = rotate_bytes
        self._until = math.inf
        _open.add(self)

    def append(self, record: bytes) -> None:
        """Write one record; raises `DataError` where that fails."""
        with self._lock:
            while True:
                segment = self._segment or self._begin()
                segment.append(record)
                there = segment.stat()
                whole = there.st_mode == self._mode and there.st_nlink != 0
                if whole and there.st_size < self._most and there.st_mtime < self._until:
                    return
                if self._turn(segment) or whole:
                    return

    def close(self) -> None:
        """Close the current segment; a later record opens it again."""
        with self._lock:
            if self._segment is not None:
                self._segment.close()
                self._segment = None

    def paths(self) -> list[Path]:
        """Return every segment that is there: those before in order, the current one, those of runs."""
        before = sorted(self.folder.glob("decisions-*.jsonl"))
        current = [self._current] if self._current.exists() else []
        return [*before, *current, *sorted(self.runs.glob("*.jsonl"))]

    def files(self, mode: Literal["rb", "r+b"] = "rb") -> Iterator[tuple[Path, BinaryIO]]:
        """Open every segment, each once, also those that are renamed meanwhile."""
        seen: set[int] = set()
        fresh = True
        while fresh:
            fresh = False
            for path in self.paths():
                try:
                    file = path.open(mode)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise failed(path, error, "read") from error
                with file:
                    inode = os.fstat(file.fileno()).st_ino
                    if inode not in seen:
                        seen.add(inode)
                        fresh = True
                        yield path, file

    def records(self, *, holding: bytes = b"") -> Records:
        """Return the records of all segments whose line holds these bytes."""
        return Records(self, holding)

    def renew(self) -> None:  # pragma: no cover  # as `_renew`
        """Make a forked child independent of the threads that it has not."""
        self._lock = threading.Lock()

    def _begin(self) -> Segment:
        """Open the current segment, where nobody had it open."""
        private(self.folder)
        segment = Segment.open(self._current, fsync=self._fsync)
        there = segment.stat()
        begun = time.time() if there.st_size == 0 else _begun(self._current, there.st_mtime)
        self._mode, self._most, self._until = there.st_mode, self._rotate_bytes, begun + _DAY
        self._segment = segment
        self._prune()
        return segment

    def _turn(self, segment: Segment) -> bool:
        """Leave a segment that is full, old, or away; False where it is away, and its last record may be, too.

        Not to turn is no failure: the record is written, and a later one, or another process, tries again.
        """
        with exclusive(segment.descriptor, wait=False) as held:
            current = is_at(self._current, segment.descriptor)
            there = segment.stat()
            self._mode = there.st_mode
            due = there.st_size >= self._most or there.st_mtime >= self._until
            rotated = current and due and held and self._rotate()
        if rotated or not current:
            segment.close()
            self._segment = None
        if rotated:
            self._prune()
        return current

    def _rotate(self) -> bool:
        """Give the current segment another name; whether that was possible."""
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        try:
            self._current.rename(self.folder / f"decisions-{now}-{os.urandom(3).hex()}.jsonl")
        except OSError:  # Windows renames no open file, and a folder may allow no new names
            self._most = self._until = math.inf
            return False
        return True

    def _prune(self) -> None:
        """Delete the segments whose newest record was kept long enough; what cannot be deleted now stays."""
        if self._keep is None:
            return
        before = time.time() - self._keep
        for path in self.paths():
            try:
                if path.parent == self.runs:
                    _delete_run(path, before)
                elif path != self._current:
                    _delete(path, before)
            except OSError:
                continue


class Records:
    """The readable records of a log, segment by segment; can be read again."""

    def __init__(self, segments: Segments, holding: bytes) -> None:
        self._segments = segments
        self._holding = holding
        self.unreadable = 0
        """The lines of the last, or present, reading that hold no record."""

    def __iter__(self) -> Iterator[Record]:
        self.unreadable = 0
        for _, file in self._segments.files():
            for _, line in lines(file):
                if self._holding not in line:
                    continue
                record = Record.read(line)
                if record is None:
                    self.unreadable += 1
                else:
                    yield record


def _begun(path: Path, otherwise: float) -> float:
    """When the first record of a segment was written; another process may rename it meanwhile."""
    try:
        with path.open("rb") as file:
            first = next((record for _, line in lines(file) if (record := Record.read(line))), None)
    except FileNotFoundError:
        return otherwise
    return otherwise if first is None else first.at.timestamp()


def _newest(file: BinaryIO) -> float:
    """When the last record of a segment was written, or the file, where its end is unreadable.

    The time of the file alone would not do: to overwrite a forgotten text would keep all others for longer.
    """
    there = os.fstat(file.fileno())
    file.seek(max(0, there.st_size - _TAIL))
    found = [record for _, line in lines(file) if (record := Record.read(line))]
    return found[-1].at.timestamp() if found else there.st_mtime


def _delete_run(path: Path, before: float) -> None:
    try:
        lock = Lock.take(path)
    except DataError:  # it is running
        return
    try:
        _delete(path, before)
    finally:
        lock.release()


def _delete(path: Path, before: float) -> None:
    """Delete a segment without a newer record; one that comes in at this moment is kept, by us or by its writer."""
    with path.open("rb") as file, exclusive(file.fileno(), wait=False) as held:
        if not held or _newest(file) >= before:
            return
        mode = os.fstat(file.fileno()).st_mode
        path.chmod(_DOOMED)
        if _newest(file) < before:
            path.unlink()
        else:
            path.chmod(mode & 0o777)


def _renew() -> None:  # pragma: no cover  # runs in forked children, which nothing measures
    for one in _open:
        one.renew()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    # Another thread of the parent may have been writing, and will never release its lock in the child.
    os.register_at_fork(after_in_child=_renew)
