"""What somebody can leave in the folder of a cache, beside entries: none of it is followed, obeyed or lost."""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import diskcache
import pytest

from caches import Opener, key, sql, text, warnings
from decider.runtime.cache import Cache


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file outside of the folder, which nothing may read, remove or make."""
    return tmp_path / "canary"


# What is in the file beside entries.


@pytest.mark.parametrize(
    ("name", "value"),
    [("get", "x"), ("_disk", "x"), ("disk_fetch", "x"), ("disk_compress_level", 1), ("sqlite_writable_schema", 1)],
)
def test_a_store_with_settings_of_others_makes_way(
    folder: Path, cache: Cache, opened: Opener, caplog: pytest.LogCaptureFixture, name: str, value: object
) -> None:
    cache.put(key(1), text(1))
    cache.close()
    sql(folder, "INSERT INTO Settings VALUES (?, ?)", name, value)
    late = opened()
    assert late.get(key(1)) is None
    late.put(key(1), text(1))
    assert opened().get(key(1)) == text(1)
    (warning,) = warnings(caplog)
    assert (
        f"cache {folder} was damaged (its settings are not those of a cache); that is now cache.db.corrupt-" in warning
    )


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER mine AFTER INSERT ON Cache BEGIN DELETE FROM Cache; END",
        "CREATE VIEW mine AS SELECT 1",
        "CREATE TABLE mine (a)",
        "CREATE INDEX mine ON Cache (value)",
        "CREATE VIRTUAL TABLE mine USING fts5(a)",
        "ALTER TABLE Cache ADD COLUMN mine",
        "DROP TRIGGER Settings_count_insert",
        "DROP TABLE Cache",
        "DROP TABLE Settings",
    ],
)
def test_a_store_with_tables_of_others_makes_way(folder: Path, cache: Cache, opened: Opener, statement: str) -> None:
    cache.put(key(1), text(1))
    cache.close()
    sql(folder, statement)
    assert opened().get(key(1)) is None
    assert len(list(folder.glob("cache.db.corrupt-*"))) == 1


def test_a_trigger_under_a_known_name_is_known_by_its_body(folder: Path, cache: Cache, opened: Opener) -> None:
    cache.put(key(1), text(1))
    cache.close()
    sql(folder, "DROP TRIGGER Settings_count_insert")
    sql(folder, "CREATE TRIGGER Settings_count_insert AFTER INSERT ON Cache BEGIN DELETE FROM Cache; END")
    late = opened()
    late.put(key(1), text(1))
    assert opened().get(key(1)) == text(1)


def test_a_table_that_is_a_view_is_not_asked(folder: Path, cache: Cache, opened: Opener) -> None:
    cache.put(key(1), text(1))
    cache.close()
    sql(folder, "DROP TABLE Cache")
    sql(folder, "CREATE VIEW Cache AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n")
    assert opened().get(key(1)) is None


def test_a_store_that_keeps_a_journal_makes_way(folder: Path, cache: Cache, opened: Opener) -> None:
    cache.put(key(1), text(1))
    cache.close()
    sql(folder, "PRAGMA journal_mode = DELETE")
    assert opened().get(key(1)) is None
    assert sql(folder, "PRAGMA journal_mode") == [("wal",)]


# What is beside the file.


def hot_journal(file: Path, victim: Path) -> None:
    """Leave what SQLite writes before it changes two files at once, and is killed: the second names the first's."""
    size, nonce, name, magic = 4096, 7, str(victim).encode(), bytes.fromhex("d9d505f920a163d7")
    content = file.read_bytes()
    page = content[:size]
    head = (magic + struct.pack(">5I", 1, nonce, len(content) // size, 512, size)).ljust(512, b"\0")
    saved = struct.pack(">I", 1) + page + struct.pack(">I", nonce + sum(page[n] for n in range(size - 200, 0, -200)))
    named = struct.pack(">I", 0x40000000 // size + 1) + name + struct.pack(">2I", len(name), sum(name)) + magic
    Path(f"{file}-journal").write_bytes(head + saved + named)


def test_a_journal_removes_nothing_elsewhere(folder: Path, cache: Cache, opened: Opener, canary: Path) -> None:
    for harmed in (True, False):
        cache.put(key(1), text(1))
        cache.close()
        canary.write_text("precious")
        hot_journal(folder / "cache.db", canary)
        if harmed:  # SQLite as it is
            assert sql(folder, "SELECT count(*) FROM Cache") == [(1,)]
            assert not canary.exists()
    late = opened()
    assert late.get(key(1)) is None
    assert canary.exists()
    late.put(key(1), text(1))
    assert opened().get(key(1)) == text(1)


@pytest.mark.parametrize("name", ["cache.db", "cache.db-wal", "cache.db-shm", "cache.db-journal"])
def test_a_link_is_not_followed(folder: Path, cache: Cache, opened: Opener, canary: Path, name: str) -> None:
    with closing(sqlite3.connect(canary)) as connection:
        connection.execute("CREATE TABLE precious (a)")
    before = canary.read_bytes()
    cache.put(key(1), text(1))
    cache.close()
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(canary)
    late = opened()
    assert late.get(key(1)) is None
    late.put(key(1), text(1))
    assert opened().get(key(1)) == text(1)
    assert canary.read_bytes() == before
    assert not (folder / name).is_symlink()


def test_a_link_for_a_lock_is_not_followed(folder: Path, cache: Cache, canary: Path) -> None:
    folder.mkdir()
    (folder / "cache.db.lock").symlink_to(canary)
    cache.put(key(1), text(1))
    assert cache.get(key(1)) == text(1)
    assert not canary.exists()


def test_a_folder_may_be_a_link(tmp_path: Path, folder: Path, cache: Cache, opened: Opener) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    cache.put(key(1), text(1))
    assert opened().get(key(1)) == text(1)


def test_what_sqlite_left_of_a_store_that_is_gone_is_not_taken_for_its_own(
    folder: Path, cache: Cache, opened: Opener
) -> None:
    cache.put(key(1), text(1))
    log = (folder / "cache.db-wal").read_bytes()
    cache.close()
    (folder / "cache.db").unlink()
    (folder / "cache.db-wal").write_bytes(log)
    late = opened()
    late.put(key(2), text(2))
    assert [opened().get(key(1)), opened().get(key(2))] == [None, text(2)]


# Who can read it.


def test_its_owner_alone_can_read_it(folder: Path, cache: Cache) -> None:
    before = os.umask(0)
    try:
        cache.put(key(1), text(1))
    finally:
        os.umask(before)
    rights = {one.name: one.stat().st_mode & 0o777 for one in (folder, *folder.iterdir())}
    names = ".gitignore", "cache.db", "cache.db-shm", "cache.db-wal", "cache.db.lock"
    assert rights == {"cache": 0o700} | dict.fromkeys(names, 0o600)
    assert (folder / ".gitignore").read_text() == "*\n"


def test_what_others_could_read_is_closed_to_them(folder: Path, cache: Cache) -> None:
    with diskcache.Cache(folder) as plain:
        plain["a"] = "b"
        for one in folder.iterdir():
            one.chmod(0o666)
        folder.chmod(0o777)
        cache.put(key(1), text(1))
        assert {one.stat().st_mode & 0o077 for one in (folder, *folder.iterdir())} == {0}


def test_a_folder_with_other_things_in_it_is_left_as_it_is(folder: Path, cache: Cache) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "spec.yaml").touch()
    cache.put(key(1), text(1))
    assert folder.stat().st_mode & 0o777 == 0o755
    assert not (folder / ".gitignore").exists()
    assert (folder / "cache.db").stat().st_mode & 0o777 == 0o600


def test_a_gitignore_that_is_there_is_kept(folder: Path, cache: Cache) -> None:
    folder.mkdir()
    (folder / ".gitignore").write_text("mine")
    cache.put(key(1), text(1))
    assert (folder / ".gitignore").read_text() == "mine"


def test_a_folder_of_somebody_else_is_used_with_a_warning_if_others_can_write(
    folder: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    folder.mkdir()
    for mode, warned in ((0o755, 0), (0o777, 1)):
        folder.chmod(mode)
        cache = opened()
        cache.put(key(mode), text(mode))
        assert opened().delete(key(mode))
        assert folder.stat().st_mode & 0o777 == mode
        assert ["is in a folder that others can write to" in one for one in warnings(caplog)] == [True] * 2 * warned
