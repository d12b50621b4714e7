"""Locks on files between processes: for the length of a run, and for the moment of a change."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from decider.errors import DataError

_held: weakref.WeakSet[Lock] = weakref.WeakSet()


class Lock:
    """Holds `<path>.lock` until `release`, or until the process ends, however it ends.

    It is an `flock`, and the file holds the pid only to be told: one that a killed process left behind is no lock.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        _held.add(self)

    @classmethod
    def take(cls, path: Path) -> Lock:
        """Take the lock of `path`; raises `DataError` with the pid of whoever has it.

        Where the platform has no `flock`, everybody gets one, and holds nothing.
        """
        file = path.with_name(f"{path.name}.lock")
        try:
            import fcntl
        except ImportError:  # Windows
            return cls(file, -1)
        while True:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                pid = os.read(descriptor, 20).decode()
                os.close(descriptor)
                who = f"pid {pid}" if pid else "another process"
                raise DataError(f"is locked by {who}; wait until it has ended, or stop it", file=str(path)) from error
            if is_at(file, descriptor):
                break
            os.close(descriptor)  # its last holder took the file away after we had opened it
        try:
            os.truncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
        except OSError:  # a full disk
            os.close(descriptor)
            raise
        return cls(file, descriptor)

    def release(self) -> None:
        """Give the lock back; doing so again does nothing."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
        self.abandon()

    def abandon(self) -> None:
        """Let go of the file, and leave the lock to the process that this one was forked from."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def exclusive(descriptor: int, *, wait: bool) -> Iterator[bool]:
    """Hold the `flock` of an open file; gives False where another process has it, and nobody is to `wait`.

    Where the platform has no `flock`, it is held by everybody.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield True
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def is_at(file: Path, descriptor: int) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _leave_to_parent() -> None:  # pragma: no cover  # runs in forked children, which nothing measures
    for lock in _held:
        lock.abandon()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    # A forked child that outlives the holder would hold the lock, although the run that it belongs to is dead.
    os.register_at_fork(after_in_child=_leave_to_parent)
