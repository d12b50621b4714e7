"""Locks between processes: what is held, by whom, and what is left of them."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from pathlib import Path

import pytest

from decider.errors import DataError
from decider.runtime.lock import Lock, exclusive, is_at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.jsonl"


def test_a_lock_is_held_until_it_is_given_back(path: Path) -> None:
    lock = Lock.take(path)
    with pytest.raises(DataError, match=rf"is locked by pid {os.getpid()}"):
        Lock.take(path)
    lock.release()
    lock.release()
    assert not path.with_name("one.jsonl.lock").exists()
    again = Lock.take(path)
    again.release()


def test_who_has_not_written_its_pid_yet_holds_the_lock_too(path: Path) -> None:
    with path.with_name("one.jsonl.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="is locked by another process"):
            Lock.take(path)


def test_a_lock_that_its_holder_took_away_meanwhile_is_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Lock.take(path)
    flock = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        first.release()  # between our open and our lock
        flock(descriptor, how)

    monkeypatch.setattr("fcntl.flock", late)
    second = Lock.take(path)
    assert path.with_name("one.jsonl.lock").read_text() == str(os.getpid())
    second.release()


def test_a_forked_child_does_not_hold_the_lock_of_its_parent(path: Path) -> None:
    reading, writing = os.pipe()
    lock = Lock.take(path)
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)  # lives for as long as the parent likes
        os._exit(0)
    lock.release()
    again = Lock.take(path)
    again.release()
    os.close(writing)
    assert os.waitpid(pid, 0)[1] == 0
    os.close(reading)


def test_the_lock_of_a_moment_is_waited_for_or_not(path: Path) -> None:
    path.touch()
    with path.open("rb") as one, path.open("rb") as other, path.open("rb") as third:
        with exclusive(one.fileno(), wait=False) as first, exclusive(other.fileno(), wait=False) as second:
            assert (first, second) == (True, False)
        with exclusive(third.fileno(), wait=True) as held:
            assert held


def test_without_flock_there_are_no_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    first, second = Lock.take(path), Lock.take(path)
    first.release()
    second.release()
    assert list(path.parent.iterdir()) == []
    with exclusive(-1, wait=True) as held:
        assert held


def test_a_file_is_known_by_more_than_its_name(path: Path) -> None:
    with path.open("w") as file:
        assert is_at(path, file.fileno())
        path.rename(path.with_name("other"))
        assert not is_at(path, file.fileno())
        path.touch()
        assert not is_at(path, file.fileno())


def test_a_lock_that_cannot_be_written_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="no space left"):
            Lock.take(tmp_path / "segment")
    Lock.take(tmp_path / "segment").release()
