"""diskcache for a folder that others may have written to.

By itself diskcache unpickles what it reads, opens and removes files by the paths in its rows (CVE-2025-69872), and
takes its settings from the file. Here text in rows is all there is: the rest is refused, whatever it says.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Callable
from typing import Any, NoReturn

import diskcache
from diskcache.core import DEFAULT_SETTINGS, MODE_RAW

_PICKLE = "has an entry that is pickled, which could run anything; it was not read"
_KEY = "has an entry whose key is pickled, which could run anything; it was not read"
_FILE = "has an entry that names a file; the file was neither read nor removed"
_DAMAGED = "has an entry that is damaged, or of another version; it was not read"

_FIND = "SELECT raw, mode, filename, store_time, CAST(value AS BLOB) FROM Cache WHERE key = ? ORDER BY raw DESC"
_ERASE = "DELETE FROM Cache WHERE key = ?"
_ERASE_SOME = "DELETE FROM Cache WHERE rowid IN (SELECT rowid FROM Cache LIMIT 1000)"
_ERASED = "PRAGMA wal_checkpoint(TRUNCATE)"

# All of them, so that none is taken from the file. Memory-mapped, a file that somebody cuts would kill the process.
_SETTINGS = {**DEFAULT_SETTINGS, "sqlite_mmap_size": 0}


class TextDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
    """Keeps text in its row: no pickle is made or loaded, and no file is written, read or removed."""

    report: Callable[[str], None]

    def put(self, key: str) -> tuple[str, bool]:
        """Use the key as it is."""
        return key, True

    def get(self, key: Any, raw: object) -> Any:
        """Return a key that is kept as it is, and no other."""
        return key if raw else self._refuse(_KEY)

    def store(self, value: str, *_read: object, **_key: object) -> tuple[int, int, None, str]:
        """Keep the value in the row, however long it is."""
        return 0, MODE_RAW, None, value

    def fetch(self, mode: object, filename: object, value: Any, _read: object) -> Any:
        """Return a value that is in the row, and no other."""
        if filename is not None:
            self._refuse(_FILE)
        return value if mode == MODE_RAW else self._refuse(_PICKLE)

    def remove(self, _path: object) -> None:
        """Leave a file alone: none of them is ours."""
        self.report(_FILE)

    def _refuse(self, why: str) -> NoReturn:
        self.report(why)
        raise ValueError(f"the cache {why}")  # diskcache takes an OSError for an entry that is gone, and looks for ever


class HardenedCache(diskcache.Cache):  # type: ignore[misc]  # diskcache has no types
    """One connection to a store, for one thread at a time."""

    def __init__(
        self, connection: sqlite3.Connection, *, new: bool, size: float, report: Callable[[str], None]
    ) -> None:
        # To begin, diskcache writes tables and settings; where they are, it does so in memory, and nothing is locked.
        self.connection = connection if new else sqlite3.connect(":memory:", isolation_level=None)
        # The folder is one that is there: diskcache would make it, with a `$` in its name expanded, and needs none.
        super().__init__(os.sep, disk=TextDisk, **_SETTINGS | {"size_limit": int(min(size, 2**53))})
        if not new:
            self.connection.close()
            self.connection = connection
        ((self._page,),) = connection.execute("PRAGMA page_size").fetchall()
        self._disk.report = self._report = report

    @property
    def _con(self) -> sqlite3.Connection:
        """Instead of one for each thread, which only that thread could close, with pragmas taken from the file."""
        return self.connection

    def find(self, key: str) -> tuple[str, float] | None:
        """Return the text of `key` and when it was stored; None for what is not there, or not as `keep` writes it."""
        rows = self.connection.execute(_FIND, (key,)).fetchall()
        if not rows:
            return None
        raw, mode, filename, stored, sealed = rows[0]
        if raw == 1 and mode == MODE_RAW and filename is None and isinstance(stored, float):
            text = _unsealed(key, sealed)
            if text is not None:
                return text, stored
        self._report(_fault(raw, mode, filename))
        return None

    def keep(self, key: str, text: str, *, seconds: float) -> None:
        """Keep a text in place of what `key` had; the oldest go where there is no room."""
        self.set(key, _sealed(key, text), expire=seconds)

    def erase(self, key: str) -> bool:
        """Delete what there is for `key`, to the last byte once nobody reads it; False where there is nothing."""
        found: bool = self.connection.execute(_ERASE, (key,)).rowcount > 0
        self.connection.execute(_ERASED).fetchall()
        return found

    def erase_some(self) -> int:
        """Delete a number of entries, and return how many: 0 where none is left."""
        count: int = self.connection.execute(_ERASE_SOME).rowcount
        if not count:
            self.connection.execute(_ERASED).fetchall()
        return count

    def volume(self) -> int:
        """Return the bytes that are in use; diskcache would add a number that anybody can write into the file."""
        ((pages,),) = self.connection.execute("PRAGMA page_count").fetchall()
        ((free,),) = self.connection.execute("PRAGMA freelist_count").fetchall()
        used: int = self._page * (pages - free)
        return used


def _sealed(key: str, text: str) -> str:
    """A text with a checksum over itself and its key: cut, changed or moved, it is no other answer but none."""
    return f"{zlib.crc32(text.encode(), zlib.crc32(key.encode())):08x}{text}"


def _unsealed(key: str, sealed: bytes | None) -> str | None:
    if sealed is None:
        return None
    body = sealed[8:]
    if sealed[:8] != b"%08x" % zlib.crc32(body, zlib.crc32(key.encode())):
        return None
    return body.decode(errors="replace")


def _fault(raw: object, mode: object, filename: object) -> str:
    if raw != 1:
        return _KEY
    if filename is not None:
        return _FILE
    return _DAMAGED if mode == MODE_RAW else _PICKLE
