"""What can be wrong with a disk: none of it is raised, and each thing is said once."""

from __future__ import annotations

import logging
import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import pytest

from caches import Clock, Opener, key, opener, run, sql, text, warnings
from decider.runtime.cache import Cache, store


@contextmanager
def locked(folder: Path, how: Literal["NORMAL", "EXCLUSIVE"]) -> Iterator[None]:
    """Keep others from writing, or from reading as well."""
    with closing(sqlite3.connect(folder / "cache.db", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA locking_mode = {how}")
        connection.execute("BEGIN EXCLUSIVE")
        yield


def aside(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.glob("cache.db.corrupt-*Z"))


# Locked.


def test_a_store_that_cannot_be_written_is_read(
    clock: Clock, cache: Cache, opened: Opener, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put(key(1), text(1))
    late = opened()
    with locked(folder, "NORMAL"):
        for n in (2, 3):
            late.put(key(n), text(n))
        assert [late.get(key(n)) for n in (1, 2, 3)] == [text(1), text(2), text(3)]
    (warning,) = warnings(caplog)
    assert warning == (
        f"cache {folder} is locked by another process; it is done without, and tried again from time to time"
    )
    late.put(key(4), text(4))
    assert opened().get(key(4)) is None  # it is left alone for a while
    clock.passes(store.PAUSE)
    late.put(key(5), text(5))
    assert opened().get(key(5)) == text(5)
    assert len(caplog.records) == 1


def test_a_store_that_cannot_be_read_is_missed(
    clock: Clock, cache: Cache, opened: Opener, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for n in (1, 2):
        cache.put(key(n), text(n))
    cache.close()
    late = opened()
    with locked(folder, "EXCLUSIVE"):
        assert [late.get(key(1)), cache.get(key(1)), late.get(key(2))] == [None, text(1), None]
    (warning,) = warnings(caplog)
    assert "is locked by another process" in warning
    assert late.get(key(1)) is None
    clock.passes(store.PAUSE)
    assert late.get(key(1)) == text(1)
    assert aside(folder) == []


def test_while_it_is_left_alone_nothing_waits(
    cache: Cache, opened: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put(key(1), text(1))
    cache.close()
    late = opened()
    with locked(folder, "EXCLUSIVE"):
        assert late.get(key(1)) is None
        monkeypatch.setattr(store, "PATIENCE", 1e9)
        assert [late.get(key(n)) for n in range(1000)] == [None] * 1000


def test_another_process_that_holds_it_for_a_moment_is_waited_for(
    cache: Cache, opened: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put(key(1), text(1))
    monkeypatch.setattr(store, "PATIENCE", 60)
    script = """
    import sqlite3, sys, threading
    connection = sqlite3.connect(sys.argv[1], isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    open(sys.argv[2], "w").close()
    threading.Event().wait(0.05)
    connection.execute("COMMIT")
    connection.close()
    """
    ready = folder.parent / "ready"
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(run, script, folder / "cache.db", ready)
        while not ready.exists():
            assert not other.done()
        cache.put(key(2), text(2))
        other.result()
    assert opened().get(key(2)) == text(2)
    assert not caplog.records


@pytest.mark.parametrize("remove", [lambda cache: cache.delete(key(1)), Cache.clear], ids=["delete", "clear"])
def test_what_could_not_be_deleted_is_said_every_time(
    cache: Cache, opened: Opener, folder: Path, caplog: pytest.LogCaptureFixture, remove: Callable[[Cache], int]
) -> None:
    cache.put(key(1), text(1))
    late = opened()
    with locked(folder, "NORMAL"):
        late.put(key(2), text(2))
        assert remove(late) == (remove is Cache.clear)  # of what is in memory
        assert remove(late) == 0
    assert ["not everything was deleted there" in one for one in warnings(caplog)] == [False, True, True]
    assert remove(late) == 1


def test_a_folder_that_somebody_is_opening_for_ever_is_done_without(
    clock: Clock, cache: Cache, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import fcntl

    folder.mkdir()
    with (folder / "cache.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert cache.get(key(1)) is None
    (warning,) = warnings(caplog)
    assert "cannot be used (another process has been opening it for too long)" in warning
    clock.passes(store.PAUSE)
    cache.put(key(1), text(1))
    cache.close()
    assert sql(folder, "SELECT count(*) FROM Cache") == [(1,)]


# Damaged.


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 // 4096 * 4096)


def tag(file: Path) -> None:
    """Have it be of some later format of SQLite's."""
    with file.open("r+b") as opened:
        opened.seek(47)
        opened.write(b"\x09")


def overwrite(file: Path) -> None:
    """Leave the first page, so that it is seen when an entry is looked for, and not before."""
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\xff" * (file.stat().st_size - 4096))


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b"garbage" * 10_000),
        lambda file: file.write_bytes(b"SQLite format 3\0" + b"\xff" * 50_000),
        lambda file: (file.unlink(), file.mkdir()),
        cut,
        tag,
        overwrite,
    ],
    ids=["garbage", "header", "folder", "cut", "format", "overwritten"],
)
def test_a_damaged_store_makes_way(
    cache: Cache,
    opened: Opener,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], object],
) -> None:
    for n in range(200):
        cache.put(key(n), "x" * 1000)
    cache.close()
    damage(folder / "cache.db")
    late = opened()
    late.put(key(1), text(1))
    assert [late.get(key(n)) for n in range(2, 200)] == [None] * 198
    assert opened().get(key(1)) == text(1)
    (warning,) = warnings(caplog)
    (name,) = aside(folder)
    assert f"cache {folder} was damaged (" in warning
    assert f"that is now {name}, and a new one takes its place" in warning
    assert late.clear() == 1
    assert [one for one in aside(folder) if (folder / one).is_file()] == []


def test_what_is_damaged_while_it_is_open_makes_way_once(
    cache: Cache, opened: Opener, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(3000):
        cache.put(key(n), "x" * 1000)
    cache.close()
    first, second = opened(), opened()
    for one in (first, second):
        assert one.get(key(0)) == "x" * 1000
    overwrite(folder / "cache.db")
    for one in (first, second):
        assert any(one.get(key(n)) is None for n in range(3000))
        one.put(key(1), text(1))
    assert len(aside(folder)) == len(warnings(caplog)) == 1  # the second one finds what the first has made
    assert opened().get(key(1)) == text(1)


def test_one_damaged_store_is_kept_and_no_more(cache: Cache, folder: Path) -> None:
    for n in range(3):
        cache.put(key(n), text(n))
        cache.close()
        (folder / "cache.db").write_bytes(b"garbage %d" % n * 1000)
        with opener(folder) as opened:
            assert opened().get(key(n)) is None
    (name,) = aside(folder)
    assert (folder / name).read_bytes().startswith(b"garbage 2")


def test_an_empty_file_becomes_a_store(cache: Cache, opened: Opener, folder: Path) -> None:
    folder.mkdir()
    (folder / "cache.db").touch()
    cache.put(key(1), text(1))
    assert opened().get(key(1)) == text(1)
    assert aside(folder) == []


def test_a_table_that_is_gone_is_a_miss(
    clock: Clock, cache: Cache, opened: Opener, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put(key(1), text(1))
    late = opened()
    assert late.get(key(2)) is None
    sql(folder, "DROP TABLE Cache")
    assert late.get(key(1)) is None
    (warning,) = warnings(caplog)
    assert "cannot be used (no such table: Cache)" in warning
    clock.passes(store.PAUSE)
    late.put(key(1), text(1))
    assert opened().get(key(1)) == text(1)


def test_entries_that_were_changed_are_misses(
    cache: Cache, opened: Opener, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def changed(row: dict[str, object]) -> dict[str, object]:
        value = str(row["value"])
        n = draw.randrange(len(value))
        other = draw.choice(rows)
        return row | draw.choice(
            [
                {"value": value[:n]},
                {"value": value[:n] + chr(ord(value[n]) ^ 1) + value[n + 1 :]},
                {"value": value + " "},
                {"value": value[8:]},  # as another version may have written it
                {"value": text(draw.random())},
                {"value": other["value"]},
                {"key": other["key"]},
                {"value": b"\xff\xfe" + value.encode()},
                {"value": draw.choice([None, 0, 1e300, "", b""])},
                {"mode": draw.choice([None, 0, 2, 3, 4, "x"])},
                {"raw": draw.choice([None, 0, 2, "x"])},
                {"filename": draw.choice(["", "x", b"\xff"])},
                {"store_time": draw.choice([None, "x", 0, 1e18, -1e18])},
            ]
        )

    draw = random.Random(1)
    for n in range(1000):
        cache.put(key(n), text(n))
    cache.close()
    columns = ["rowid", "key", "raw", "mode", "filename", "store_time", "value"]
    rows = [dict(zip(columns, row, strict=True)) for row in sql(folder, f"SELECT {', '.join(columns)} FROM Cache")]
    with closing(sqlite3.connect(folder / "cache.db")) as connection, connection:
        connection.execute("DELETE FROM Cache")
        for row in rows:
            values = tuple(changed(row).values())
            connection.execute(
                f"INSERT OR REPLACE INTO Cache ({', '.join(columns)}) VALUES (?, ?, ?, ?, ?, ?, ?)", values
            )
    late = opened()
    found = [late.get(key(n)) for n in range(1000)]
    assert all(one in {None, text(n)} for n, one in enumerate(found))
    assert sum(one is not None for one in found) < 20  # a change that changed nothing
    assert len(set(warnings(caplog))) == len(caplog.records) <= 5
    for n in range(1000):
        late.put(key(n), text(n))
    late.close()
    again = opened()
    assert sum(again.get(key(n)) == text(n) for n in range(1000)) > 950


def test_no_byte_that_is_changed_gives_a_wrong_answer(cache: Cache, folder: Path) -> None:
    draw = random.Random(1)
    for n in range(30):
        cache.put(key(n), text(n))
    cache.close()
    sound = (folder / "cache.db").read_bytes()
    for _ in range(100):
        content = bytearray(sound)
        for _ in range(draw.choice([1, 10, 100])):
            content[draw.randrange(len(content))] = draw.randrange(256)
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / "cache.db").write_bytes(content)
        with opener(folder) as opened:
            late = opened()
            assert all(late.get(key(n)) in {None, text(n)} for n in range(30))
            late.put(key(31), text(31))
            assert all(late.get(key(n)) in {None, text(n)} for n in range(32))


# Full, or not to be written.


def test_a_full_disk_is_done_without(cache: Cache, folder: Path) -> None:
    script = """
    import logging, resource, sys
    from pathlib import Path
    from decider.runtime.cache import store
    from decider.runtime.cache import Cache

    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    store.PAUSE = 0
    cache = Cache(Path(sys.argv[1]), ttl=60, size=1e9)
    for n in range(100):
        cache.put(str(n), "x" * 10_000)
    print(sum(cache.get(str(n)) == "x" * 10_000 for n in range(100)))
    cache.close()
    """
    warning, found = run(script, folder).splitlines()
    assert "cannot be used (" in warning
    assert found == "100"
    on_disk = [cache.get(str(n)) for n in range(100)]
    assert set(on_disk) == {None, "x" * 10_000}
    assert aside(folder) == []
    cache.put("0", "y")
    assert cache.clear() >= 5


@pytest.fixture
def powerless() -> Iterator[Path]:
    """A folder of somebody who may do no more than its rights say; tests often run as root, who may do everything."""
    folder = Path(tempfile.mkdtemp())
    cache = Cache(folder / "loaded", ttl=60, size=1e9)  # nothing can be imported later
    cache.put(key(1), text(1))
    cache.close()
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        shutil.rmtree(folder)


def test_a_folder_without_rights_is_done_without(powerless: Path, caplog: pytest.LogCaptureFixture) -> None:
    powerless.chmod(0o500)
    with opener(powerless / "cache") as opened:
        cache = opened()
        cache.put(key(1), text(1))
        assert [cache.get(key(1)), cache.get(key(2)), cache.delete(key(1)), cache.clear()] == [text(1), None, False, 0]
    assert ["cannot be used ([Errno 13] Permission denied: " in one for one in warnings(caplog)] == [True] * 3
    powerless.chmod(0o700)


def test_a_damaged_store_that_cannot_make_way_is_done_without(
    powerless: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opener(powerless / "cache") as opened:
        opened().put(key(1), text(1))
        folder = powerless / "cache"
    (folder / "cache.db").write_bytes(b"garbage" * 1000)
    folder.chmod(0o500)
    with opener(folder) as opened:
        cache = opened()
        cache.put(key(1), text(1))
        assert [cache.get(key(1)), cache.get(key(2))] == [text(1), None]
    folder.chmod(0o700)
    (warning,) = warnings(caplog)
    assert "cannot be used ([Errno 13] Permission denied: " in warning


def test_a_file_where_the_folder_should_be_is_done_without(
    folder: Path, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    folder.touch()
    cache.put(key(1), text(1))
    assert [cache.get(key(1)), cache.get(key(2))] == [text(1), None]
    (warning,) = warnings(caplog)
    assert "cannot be used ([Errno 17] File exists: " in warning


# Interrupted.


def test_an_interrupt_is_raised_and_leaves_nothing_locked(
    cache: Cache, opened: Opener, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Interrupt(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise KeyboardInterrupt

    for n in (1, 2):
        cache.put(key(n), text(n))
    sql(folder, "UPDATE Cache SET value = 'x' WHERE key = ?", key(1))
    late = opened()
    handler = Interrupt()
    store.logger.addHandler(handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            late.get(key(1))
    finally:
        store.logger.removeHandler(handler)
    assert late.get(key(2)) == text(2)
    late.put(key(1), text(1))
    assert opened().get(key(1)) == text(1)
