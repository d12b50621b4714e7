"""What somebody who can write to the folder of a cache can do: each attack works on diskcache as it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import diskcache
import pytest

from caches import DAY, Clock, Opener, key, sql, text, warnings
from decider.runtime.cache import Cache
from decider.runtime.cache.hardened import HardenedCache
from decider.runtime.cache.storefile import open_store, prepare


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file outside of the folder, which nothing may read, remove or make."""
    return tmp_path / "canary"


class Bomb:
    """What makes the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self._canary),)


def plant(folder: Path, **columns: object) -> None:
    """Change the columns of every row."""
    sql(folder, f"UPDATE Cache SET {', '.join(f'{name} = ?' for name in columns)}", *columns.values())


# The four of CVE-2025-69872, of which JSONDisk knows none.


def test_a_pickled_value_is_not_loaded(
    folder: Path, cache: Cache, canary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with diskcache.Cache(folder) as plain:
        for n in (1, 2):
            plain[key(n)] = Bomb(canary)
        plain.get(key(1))
    canary.rmdir()
    assert [cache.get(key(1)), cache.get(key(2))] == [None, None]
    assert not canary.exists()
    (warning,) = warnings(caplog)
    assert warning == f"cache {folder} has an entry that is pickled, which could run anything; it was not read"
    cache.put(key(1), text(1))
    assert Cache.get(cache, key(1)) == text(1)


def test_a_pickled_key_is_not_loaded(
    folder: Path, cache: Cache, opened: Opener, canary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with diskcache.Cache(folder) as plain:
        plain[key(1), Bomb(canary)] = text(1)
        list(plain)
        canary.rmdir()
        plain[key(2)] = text(2)
    sql(folder, "UPDATE Cache SET raw = 0")
    assert [cache.get(key(1)), cache.get(key(2))] == [None, None]
    assert not canary.exists()
    (warning,) = warnings(caplog)
    assert "has an entry whose key is pickled" in warning
    cache.put(key(2), text(3))
    assert opened().get(key(2)) == text(3)
    assert cache.clear() == 3
    assert not canary.exists()


@pytest.mark.parametrize("mode", [2, 3, 4], ids=["binary", "text", "pickle"])
def test_a_file_elsewhere_is_not_read(
    folder: Path, cache: Cache, canary: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    canary.write_text("Vprecious\n.")  # which is a pickle, too
    for n in (1, 2):
        cache.put(key(n), text(n))
    cache.close()
    plant(folder, mode=mode, filename="../canary", value=None)
    with diskcache.Cache(folder) as plain:
        assert "precious" in str(plain[key(1)])
    late = Cache(folder, ttl=60, size=1e9)
    assert [late.get(key(1)), late.get(key(2))] == [None, None]
    (warning,) = warnings(caplog)
    assert "has an entry that names a file; the file was neither read nor removed" in warning
    late.close()


@pytest.mark.parametrize(
    "remove",
    [
        lambda cache: cache.put(key(1), text(2)),
        lambda cache: cache.delete(key(1)),
        lambda cache: cache.clear(),
        lambda cache: [cache.put(key(n), "x" * 30_000) for n in range(2, 20)],
    ],
    ids=["put", "delete", "clear", "evict"],
)
@pytest.mark.parametrize("after", [0, 31 * DAY], ids=["fresh", "expired"])
@pytest.mark.parametrize("where", ["../canary", "{canary}"], ids=["relative", "absolute"])
def test_a_file_elsewhere_is_not_removed(
    folder: Path,
    opened: Opener,
    canary: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    remove: Callable[[Cache], object],
    after: float,
    where: str,
) -> None:
    canary.write_text("precious")
    cache = opened(size=300_000)
    cache.put(key(1), text(1))
    plant(folder, filename=where.format(canary=canary))
    Clock(monkeypatch).passes(after)
    remove(cache)
    remove(cache)
    assert canary.read_text() == "precious"
    assert sql(folder, "SELECT filename FROM Cache WHERE filename IS NOT NULL") == []
    assert len(warnings(caplog)) <= 1


def test_diskcache_as_it_is_removes_it(folder: Path, cache: Cache, canary: Path) -> None:
    canary.touch()
    cache.put(key(1), text(1))
    plant(folder, filename="../canary")
    with diskcache.Cache(folder) as plain:
        plain.clear()
    assert not canary.exists()


# What else diskcache has to offer.


@pytest.mark.parametrize(
    "use",
    [
        list,
        lambda plain: list(reversed(plain)),
        lambda plain: list(plain.iterkeys()),
        lambda plain: plain.get(key(0)),
        lambda plain: plain.pop(key(0)),
        lambda plain: plain.get(key(2)),
        lambda plain: plain.pop(key(2)),
        lambda plain: plain.read(key(2)),
        lambda plain: plain.peekitem(last=False),
        lambda plain: plain.expire(5e9),
        lambda plain: plain.cull(),
        lambda plain: plain.clear(),
    ],
    ids=[
        "list",
        "reversed",
        "iterkeys",
        "get-pickle",
        "pop-pickle",
        "get-file",
        "pop-file",
        "read",
        "peekitem",
        "expire",
        "cull",
        "clear",
    ],
)
def test_whatever_is_asked_of_it_nothing_is_run_read_or_removed(
    folder: Path, tmp_path: Path, canary: Path, use: Callable[[HardenedCache], object]
) -> None:
    (tmp_path / "other").write_text("precious")
    reported: list[str] = []
    prepare(folder)
    open_store(folder / "cache.db", size=0, report=reported.append).connection.close()
    with diskcache.Cache(folder, cull_limit=0) as plain:
        plain.set(key(0), Bomb(canary), expire=1)
        plain.set(Bomb(canary), text(1), expire=1)
        plain.set(key(2), text(2), expire=1)
    sql(folder, "UPDATE Cache SET mode = 3, filename = '../other', value = NULL WHERE key = ?", key(2))
    sql(folder, "UPDATE Cache SET expire_time = 4e9")
    store = open_store(folder / "cache.db", size=0, report=reported.append)
    with closing(store.connection):
        try:
            found = str(use(store))
        except ValueError as error:
            found = str(error)
    assert not canary.exists()
    assert (tmp_path / "other").read_text() == "precious"
    assert "precious" not in found
    assert reported


@pytest.mark.parametrize("value", [0, -1, 10**18, "x", "1; DROP TABLE Cache", b"\x80\x04.", None])
def test_no_setting_is_taken_from_the_file(folder: Path, cache: Cache, opened: Opener, value: object) -> None:
    cache.put(key(1), text(1))
    cache.close()
    sql(folder, "UPDATE Settings SET value = ?", value)
    late = opened()
    assert late.get(key(1)) == text(1)
    late.put(key(2), text(2))
    assert [opened().get(key(2)), late.delete(key(1)), late.clear()] == [text(2), True, 1]
