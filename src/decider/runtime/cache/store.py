"""The part of the cache that is on disk: nothing in here fails, and nothing waits for long."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import diskcache

from decider.runtime.cache.hardened import HardenedCache
from decider.runtime.cache.storefile import (
    Foreign,
    file_of,
    identity,
    open_store,
    prepare,
    remove_aside,
    set_aside,
    turn,
)

logger = logging.getLogger("decider")

T = TypeVar("T")

Act: TypeAlias = Literal["read", "write", "erase"]

PATIENCE = 0.1
"""Seconds to wait for another process that has the store locked."""

PAUSE = 5.0
"""Seconds for which the disk is left alone after it could not be used."""

LARGEST = 16_000_000
"""The most characters of a text that is kept."""

# What SQLite says of a damaged file may quote it, and need not be Unicode.
_FAULTS = (sqlite3.Error, OSError, diskcache.Timeout, Foreign, UnicodeDecodeError)
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_PASSING = {*_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}

_FUTURE = "has an entry from the future; it was not read: was the clock set back?"
_SHARED = "is in a folder that others can write to: what they put there may be taken for an answer"

_lock = threading.RLock()
"""Held while a store is used: SQLite has locks of its own, which a fork in between would leave locked in the child."""


class Store:
    """A folder with the texts of a `Cache`, for `ttl` seconds each and at most `size` bytes together.

    A store that cannot be used holds nothing, and is left alone for a while; a damaged one makes way for a new one.
    """

    def __init__(self, folder: Path, *, ttl: float, size: float) -> None:
        self._path = file_of(folder)
        self._ttl = ttl
        self._size = size
        self._warn = Warnings(folder)
        self._pauses = {"read": 0.0, "write": 0.0}
        self._identity: tuple[int, int] | None = None
        self._cache: HardenedCache | None = None
        self._closing: weakref.finalize[[sqlite3.Connection], Store] | None = None
        with _lock:
            _stores.add(self)

    def get(self, key: str) -> tuple[str, float] | None:
        """Return the text of `key`, and the seconds that it has left."""
        found = self._found(key)
        if found is None:
            return None
        text, stored = found
        age = time.time() - stored
        if abs(age) < self._ttl:  # a clock that was set back a little makes an entry young, and not immortal
            return text, self._ttl - max(age, 0.0)
        if age < 0:
            self._warn(_FUTURE)
        return None

    def _found(self, key: str) -> tuple[str, float] | None:
        """The straight way to what is there; where something goes wrong on it, the other way is taken."""
        with _lock:
            if self._cache is None or self._pauses["read"]:
                return self._attempt("read", lambda cache: cache.find(key))
            try:
                return self._cache.find(key)
            except _FAULTS:
                return self._attempt("read", lambda cache: cache.find(key))

    def put(self, key: str, text: str) -> None:
        """Keep a text, unless it is out of all proportion."""
        if len(text) <= min(LARGEST, self._size / 4):
            with suppress(UnicodeEncodeError):  # half a character, which SQLite cannot keep
                self._attempt("write", lambda cache: cache.keep(key, text, seconds=self._ttl))

    def delete(self, key: str) -> bool | None:
        """Erase what there is for `key`; False if nothing is, None where it was not reached, which is logged."""
        return self._attempt("erase", lambda cache: cache.erase(key))

    def clear(self) -> int:
        """Erase everything, also what was set aside; return how many texts that were."""
        count = 0
        while some := self._attempt("erase", lambda cache: cache.erase_some()):
            count += some
        if some is not None:  # it was reached
            self._attempt("erase", lambda _: remove_aside(self._path))
        return count

    def close(self) -> None:
        """Close the file; a later use opens it again."""
        with _lock:
            self._drop()

    def leave_to_parent(self) -> None:
        """Do without the connection that a forked child has from its parent, and that it must not even close."""
        if self._cache is not None and self._closing is not None:
            self._closing.detach()
            _inherited.append(self._cache)
            self._cache = None

    def _attempt(self, act: Act, work: Callable[[HardenedCache], T]) -> T | None:
        with _lock:
            if self._pauses.get(act, 0.0) > time.monotonic():
                return None
            try:
                try:
                    return self._patiently(work)
                except _FAULTS as error:
                    self._make_way(_cause(error))
                    return self._patiently(work)
            except _FAULTS as error:
                self._leave_alone(act, _cause(error))
                return None
            except BaseException:
                self._drop()  # which an interrupt may have caught between two statements, with the file locked
                raise

    def _patiently(self, work: Callable[[HardenedCache], T]) -> T:
        end = None
        while True:
            try:
                return work(self._opened())
            except _FAULTS as error:
                now = time.monotonic()
                end = end or now + PATIENCE
                if _code(_cause(error)) not in _LOCKED or now > end:
                    raise

    def _opened(self) -> HardenedCache:
        if self._cache is None:
            if not prepare(self._path.parent):
                self._warn(_SHARED)
            with turn(self._path):
                try:
                    cache = open_store(self._path, size=self._size, report=self._warn)
                finally:
                    self._identity = identity(self._path)
            self._closing = weakref.finalize(self, _close, cache.connection)
            self._cache = cache
        return self._cache

    def _drop(self) -> None:
        if self._closing is not None:
            self._closing()
        self._cache = None

    def _make_way(self, fault: Exception) -> None:
        """Set a damaged store aside, unless another process has; raises what is no damage."""
        if _code(fault) not in _DAMAGED and not isinstance(fault, Foreign | UnicodeDecodeError):
            raise fault
        self._drop()
        with turn(self._path):
            if identity(self._path) == self._identity:
                aside = set_aside(self._path)
                what = f"was damaged ({_printable(fault)})"
                self._warn(f"{what}; that is now {aside}, and a new one takes its place", "damage")

    def _leave_alone(self, act: Act, fault: Exception) -> None:
        code = _code(fault)
        if self._cache is not None and (code not in _PASSING or self._cache.connection.in_transaction):
            self._drop()
        locked = code in _LOCKED
        what = "is locked by another process" if locked else f"cannot be used ({_printable(fault)})"
        if act == "erase":
            logger.warning("cache %s %s; not everything was deleted there", self._path.parent, what)
        else:
            self._pauses[act] = time.monotonic() + PAUSE
            self._warn(f"{what}; it is done without, and tried again from time to time", "lock" if locked else "fault")


class Warnings:
    """Says what is wrong with a store, each kind of thing once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said: set[str] = set()

    def __call__(self, text: str, kind: str = "") -> None:
        """Log `text`, unless something of its kind was logged before."""
        kind = kind or text
        if kind not in self._said:
            self._said.add(kind)
            logger.warning("cache %s %s", self._folder, text)


_stores: weakref.WeakSet[Store] = weakref.WeakSet()
_inherited: list[HardenedCache] = []


def _close(connection: sqlite3.Connection) -> None:
    with _lock:
        connection.close()


def _cause(error: Exception) -> Exception:
    """What diskcache calls a timeout is whatever keeps a transaction from beginning."""
    cause = error.__context__
    return cause if isinstance(error, diskcache.Timeout) and isinstance(cause, sqlite3.Error) else error


def _code(fault: Exception) -> int:
    """The primary result code of SQLite, or 0 for what does not come from there."""
    code: int = getattr(fault, "sqlite_errorcode", 0)
    return code & 0xFF


def _printable(fault: Exception) -> str:
    """What it says, in which somebody may have hidden lines for a log or a terminal."""
    return "".join(one if one.isprintable() else "?" for one in str(fault))


def _leave_to_parent() -> None:
    for store in _stores:
        store.leave_to_parent()
    _lock.release()


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has none
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_leave_to_parent)
