"""A folder for each test of the cache, opened as other processes would, and a clock that is set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from caches import Clock, Opener, opener
from decider.runtime.cache import Cache


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def opened(folder: Path) -> Iterator[Opener]:
    with opener(folder) as opened:
        yield opened


@pytest.fixture
def cache(opened: Opener) -> Cache:
    return opened()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
