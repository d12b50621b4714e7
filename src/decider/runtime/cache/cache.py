"""Answers of endpoints, so that the same question is paid once: on disk for everybody, and in memory in front of it."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decider.runtime.cache.store import Store

ENTRIES = 4096
"""The most texts that are kept in memory."""

LETTERS = 16_000_000
"""The most letters of theirs; each takes a byte as a rule, and four at most."""


MOST_SAMPLES = 100
"""The most answers to one question that a spec can ask for."""


def of_sample(key: str, sample: int) -> str:
    """Return the key of one of several answers to a question, whose first has the key of the question."""
    return key if sample == 0 else hashlib.sha256(b"%b%d" % (key.encode(), sample)).hexdigest()


class Cache:
    """Texts by their keys, each for `ttl` seconds; safe for threads, for forks, and for processes that share `folder`.

    The folder is made, and diskcache loaded, when something is first looked for on disk; `size` is the most that is
    kept there, in bytes. What is wrong with the disk is logged once, and never raised: what cannot be read is not
    there, and what cannot be written is kept in memory alone.

    Another process that has used an entry may have it in memory until its own time is over, whatever is deleted here.
    """

    def __init__(self, folder: Path, *, ttl: float, size: float) -> None:
        self._folder = folder.absolute()
        self._ttl = ttl
        self._size = size
        self._memory = Memory()
        self._store: Store | None = None

    def get(self, key: str) -> str | None:
        """Return the text of `key`, or None where there is none that is whole and young enough."""
        text = self._memory.get(key)
        if text is None:
            found = self._disk().get(key)
            if found is not None:
                text, left = found
                self._memory.put(key, text, left)
        return text

    def put(self, key: str, text: str) -> None:
        """Keep a text in place of what `key` had."""
        self._memory.put(key, text, self._ttl)
        self._disk().put(key, text)

    def delete(self, key: str) -> bool:
        """Forget the text of `key`, on disk to the last byte; False where none was found or could be reached."""
        in_memory, on_disk = self._memory.delete(key), self._disk().delete(key)
        return on_disk is not None and (on_disk or in_memory)

    def clear(self) -> int:
        """Forget everything, also a damaged store that was set aside; return how many texts that were."""
        in_memory = self._memory.clear()
        return max(self._disk().clear(), in_memory)

    def close(self) -> None:
        """Close the file; a later use opens it again."""
        if self._store is not None:
            self._store.close()

    def _disk(self) -> Store:
        if self._store is None:
            from decider.runtime.cache.store import (
                Store,  # loads diskcache and sqlite3, which nobody needs without a cache
            )

            self._store = Store(self._folder, ttl=self._ttl, size=self._size)
        return self._store


class Memory:
    """The texts that were used last, in two generations: what nobody asked for while one filled up goes with the next.

    Each step is one operation on a dict, so that threads need no lock, which a fork could inherit locked: where two
    meet, a text is forgotten early, and nothing worse.
    """

    def __init__(self) -> None:
        self._young: dict[str, tuple[str, float]] = {}
        self._old: dict[str, tuple[str, float]] = {}
        self._letters = 0

    def get(self, key: str) -> str | None:
        """Return the text of `key` while its time lasts."""
        entry = self._young.get(key)
        if entry is None:
            entry = self._old.get(key)
            if entry is None:
                return None
            self._keep(key, entry)
        text, end = entry
        return text if time.monotonic() < end else None

    def put(self, key: str, text: str, seconds: float) -> None:
        """Keep a text for some time, or until others have taken its place."""
        self._keep(key, (text, time.monotonic() + seconds))

    def delete(self, key: str) -> bool:
        """Forget the text of `key`; False where there is none."""
        found = [entries.pop(key, None) for entries in (self._young, self._old)]
        return any(found)

    def clear(self) -> int:
        """Forget everything; return how many texts that were."""
        count = len(self._young.keys() | self._old.keys())
        self._young, self._old, self._letters = {}, {}, 0
        return count

    def _keep(self, key: str, entry: tuple[str, float]) -> None:
        size = len(entry[0])
        if len(self._young) >= ENTRIES // 2 or self._letters + size > LETTERS // 2:
            self._old, self._young, self._letters = self._young, {}, 0
        if size <= LETTERS // 2:
            self._young[key] = entry
            self._letters += size
