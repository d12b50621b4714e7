"""What tests of the cache share: keys and texts, and a folder that is opened as other processes would."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from decider.runtime.cache import Cache

DAY = 86400.0


class Opener(Protocol):
    def __call__(self, *, ttl: float = ..., size: float = ...) -> Cache: ...


def key(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def text(name: object) -> str:
    return json.dumps({"team": "billing", "why": f"of {name}"})


@contextmanager
def opener(folder: Path) -> Iterator[Opener]:
    """Opens the folder as often as it is asked to, each time with nothing in memory."""
    caches: list[Cache] = []

    def opened(*, ttl: float = 30 * DAY, size: float = 1e9) -> Cache:
        caches.append(Cache(folder, ttl=ttl, size=size))
        return caches[-1]

    yield opened
    for cache in caches:
        cache.close()


class Clock:
    """Both clocks of the process, ahead of the real ones: the one on the wall, and the one that nobody sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = self.steady = 0.0
        wall, steady = time.time, time.monotonic
        monkeypatch.setattr(time, "time", lambda: wall() + self.wall)
        monkeypatch.setattr(time, "monotonic", lambda: steady() + self.steady)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def sql(folder: Path, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    """What somebody else does to the file."""
    with closing(sqlite3.connect(folder / "cache.db", isolation_level=None)) as connection:
        return connection.execute(statement, parameters).fetchall()


def run(script: str, *arguments: object) -> str:
    """What a Python process prints."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.strip()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {(one.name, one.levelname) for one in caplog.records} <= {("decider", "WARNING")}
    return [one.getMessage() for one in caplog.records]
