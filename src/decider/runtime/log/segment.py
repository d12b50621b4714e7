"""One file of records: appended in single writes, read tolerantly, held by one process where it says so."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

from pydantic_core import from_json

from decider.errors import DataError
from decider.runtime.lock import Lock

VERSION = 1
"""The `v` of every record; a line with another one was written by a later decider, and counts as unreadable."""

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_flush = getattr(os, "fdatasync", os.fsync)


class Line(NamedTuple):
    """One readable line of a segment: where it begins, how many bytes it has without its end, what it says."""

    offset: int
    length: int
    record: dict[str, Any]


class Segment:
    """A file that records are appended to, by any number of processes and threads at once.

    A record is one `O_APPEND` write of its own with a line end before and behind it: what a kill or a full disk tears
    is the last record only, and the next one begins on a line of its own. Not for network file systems.
    """

    def __init__(self, path: Path, descriptor: int, *, fsync: bool, lock: Lock | None) -> None:
        self.path = path
        self.descriptor = descriptor
        self._fsync = fsync
        self._lock = lock

    @classmethod
    def open(cls, path: Path, *, fsync: bool = False, lock: bool = False) -> Segment:
        """Open or make the segment at `path`, in a folder that is there; raises `DataError`.

        With `fsync` each record is on the disk before `append` returns; with `lock` a second process is refused, and
        told the first one's pid.
        """
        held = None
        try:
            held = Lock.take(path) if lock else None
            descriptor = os.open(path, _FLAGS, 0o600)
            if fsync:
                settle(path.parent)
        except OSError as error:
            if held is not None:
                held.release()
            raise failed(path, error) from error
        return cls(path, descriptor, fsync=fsync, lock=held)

    def append(self, record: bytes) -> None:
        """Write one record, a JSON object on one line; raises `DataError` where it is not whole in the file."""
        line = b"\n%b\n" % record
        try:
            written = os.write(self.descriptor, line)
            if written < len(line):
                self._write_again(line, written)
            if self._fsync:
                _flush(self.descriptor)
        except OSError as error:
            raise failed(self.path, error) from error

    def _write_again(self, line: bytes, written: int) -> None:
        """Write the whole line again where only a piece of it went in, which readers skip; the error says why it did.

        All but the line end is enough: the next record brings its own.
        """
        if written < len(line) - 1 and os.write(self.descriptor, line) < len(line) - 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def stat(self) -> os.stat_result:
        """Return what the file is now, under whatever name."""
        return os.fstat(self.descriptor)

    def clear(self) -> None:
        """Throw all records away."""
        os.truncate(self.descriptor, 0)

    def close(self) -> None:
        """Close the file and give the lock back; closing again does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Segment:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Reader:
    """Reads a segment line by line, also while others append to it.

    Empty lines are skipped; what is no record (torn, no JSON object, of another version) is counted in `unreadable`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unreadable = 0
        """The unreadable lines of the last, or present, iteration."""
        self._file: BinaryIO | None = None

    def __iter__(self) -> Iterator[Line]:
        """Yield the readable lines in the order of the file, which is read in small pieces."""
        self.unreadable = 0
        with self._opened() as file:
            for offset, line in lines(file):
                record = parse(line)
                if record is None:
                    self.unreadable += 1
                else:
                    yield Line(offset, len(line), record)

    def at(self, offset: int) -> dict[str, Any]:
        """Return the record whose line begins at `offset`, as an iteration told it; raises `DataError`."""
        if self._file is None:
            self._file = self._opened()
        self._file.seek(offset)
        record = parse(self._file.readline())
        if record is None:
            raise DataError(f"holds no record at byte {offset}", file=str(self.path))
        return record

    def close(self) -> None:
        """Close the file that `at` reads from; closing again does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _opened(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise failed(self.path, error, "read") from error


def lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines from where a file stands on that are not empty, each with the byte at which it begins."""
    offset = file.tell()
    for raw in file:
        line = raw.removesuffix(b"\n")
        if line.strip():
            yield offset, line
        offset += len(raw)


def parse(line: bytes) -> dict[str, Any] | None:
    """Return the record that a line holds, or None where it holds none."""
    try:
        record = from_json(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.get("v") == VERSION else None


def private(folder: Path) -> Path:
    """Make a folder that only its owner may look into, and that git leaves out; raises `DataError`.

    One that holds something already stays as it is: it may be a project's own.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if next(folder.iterdir(), None) is None:
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise failed(folder, error) from error
    return folder


def settle(folder: Path) -> None:
    """Make the names in a folder safe from a power cut, where the platform can."""
    if os.name != "posix":  # pragma: no cover
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def failed(path: Path, error: OSError, verb: str = "written") -> DataError:
    """Return the error to raise for what the operating system refused, with what to do about it."""
    remedy = ""
    if error.errno in _FULL:
        remedy = "; make room on the disk, what was recorded before is whole"
    elif error.errno in _FORBIDDEN:
        remedy = "; allow it to whoever runs this, or name another folder"
    return DataError(f"cannot be {verb}: {error.strerror or error}{remedy}", file=str(path))
