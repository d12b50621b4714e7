"""The file of a store, and the folder that it is in: made, looked over, opened, and set aside."""

from __future__ import annotations

import functools
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from diskcache.core import DBNAME, DEFAULT_SETTINGS, METADATA

from decider.runtime.cache.hardened import HardenedCache
from decider.runtime.lock import exclusive

TURN = 0.3
"""Seconds to wait for another process that opens the store, which may have to make it first."""

_NAP = 0.003
"""Seconds that SQLite waits for another process by itself: asked for longer, it sleeps ever longer, and starves."""

PAGES = 2048
"""The pages of 4 kB that a connection keeps in memory: the texts that are asked for again are in front of it anyway."""

_CONNECTION = (
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA mmap_size = 0",
    f"PRAGMA synchronous = {DEFAULT_SETTINGS['sqlite_synchronous']}",
    f"PRAGMA cache_size = {PAGES}",
)
_NEW = (
    f"PRAGMA auto_vacuum = {DEFAULT_SETTINGS['sqlite_auto_vacuum']}",
    f"PRAGMA journal_mode = {DEFAULT_SETTINGS['sqlite_journal_mode']}",
)
_SCHEMA = "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || ifnull(sql, '') FROM sqlite_master"
_BESIDE = ("-journal", "-wal", "-shm")


class Foreign(Exception):
    """A file that is not what is made here."""


def open_store(path: Path, *, size: float, report: Callable[[str], None]) -> HardenedCache:
    """Open the file of a store, or make it; raises `Foreign` for what was not made here.

    To be called with the folder's turn. A store that is there is only read.
    """
    _check_files(path)
    connection = sqlite3.connect(path, timeout=_NAP, isolation_level=None, check_same_thread=False)
    new = False
    try:
        connection.text_factory = _lenient
        for pragma in _CONNECTION:
            connection.execute(pragma)
        new = not _schema(connection)
        if new:
            for pragma in _NEW:
                connection.execute(pragma)
            connection.execute("BEGIN IMMEDIATE")  # or diskcache would wait for the lock by itself: for a minute
        else:
            _check(connection)
        cache = HardenedCache(connection, new=new, size=size, report=report)
        if new:
            connection.execute("COMMIT")
    except BaseException as error:
        connection.close()
        if not new and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            raise Foreign(str(error)) from error
        raise
    return cache


def file_of(folder: Path) -> Path:
    """Return the file of the store in a folder."""
    return folder / str(DBNAME)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name."""
    try:
        said = path.lstat()
    except FileNotFoundError:
        return None
    return said.st_dev, said.st_ino


def set_aside(path: Path) -> str:
    """Rename a damaged store, with what SQLite has written beside it, in place of an earlier one; return its name."""
    remove_aside(path)
    aside = path.with_name(f"{path.name}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    for suffix in ("", *_BESIDE):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside.name


def remove_aside(path: Path) -> None:
    """Remove what was set aside."""
    for aside in path.parent.glob(f"{path.name}.corrupt-*"):
        if not aside.is_dir():
            aside.unlink(missing_ok=True)


def prepare(folder: Path) -> bool:
    """Make the folder, for its owner alone and not for version control; False where others can write to it anyhow.

    A folder that holds other things, too, is left as it is.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    said = folder.stat()
    mine = _is_mine(said)
    if all(one.name == ".gitignore" or one.name.startswith(DBNAME) for one in folder.iterdir()):
        if mine and said.st_mode & 0o077:
            folder.chmod(0o700)
        with suppress(FileExistsError):
            descriptor = os.open(folder / ".gitignore", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, b"*\n")
            os.close(descriptor)
    return mine or not said.st_mode & 0o022


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Be the only process that opens, makes or sets aside a store; raises `TimeoutError` where that takes too long."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path.with_name(f"{path.name}.lock"), flags, 0o600)
    try:
        end = time.monotonic() + TURN
        while True:
            with exclusive(descriptor, wait=False) as alone:
                if alone:
                    yield
                    return
            if time.monotonic() > end:
                raise TimeoutError("another process has been opening it for too long")
            time.sleep(0.002)
    finally:
        os.close(descriptor)


def _check_files(path: Path) -> None:
    """Refuse links and what is no file, and keep others from reading what is.

    The store is never opened but by SQLite: closing it would give back the locks of another connection in this process.
    """
    if identity(path) is None:
        for suffix in _BESIDE:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    # A store of ours never has a journal, and one that is planted makes SQLite delete whatever file it names.
    if os.path.lexists(f"{path}-journal"):
        raise Foreign("it has a journal")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            file = path.with_name(path.name + suffix)
            said = file.lstat()
            if not stat.S_ISREG(said.st_mode):
                raise Foreign(f"{file.name} is no regular file")
            if _is_mine(said) and said.st_mode & 0o077:
                file.chmod(0o600)


def _check(connection: sqlite3.Connection) -> None:
    """Refuse tables, triggers and settings that diskcache does not make."""
    if _schema(connection) != _made_by_diskcache():
        raise Foreign("its tables are not those of a cache")
    keys = {key for (key,) in connection.execute("SELECT key FROM Settings")}
    if not keys <= {*DEFAULT_SETTINGS, *METADATA}:
        raise Foreign("its settings are not those of a cache")
    if connection.execute("PRAGMA journal_mode").fetchall() != [("wal",)]:
        raise Foreign("it keeps a journal")


def _schema(connection: sqlite3.Connection) -> frozenset[str]:
    return frozenset(said for (said,) in connection.execute(_SCHEMA))


@functools.cache
def _made_by_diskcache() -> frozenset[str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        HardenedCache(connection, new=True, size=0, report=_ignore)
        return _schema(connection)


def _ignore(_: str) -> None: ...


def _is_mine(said: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or said.st_uid == os.geteuid()


def _lenient(text: bytes) -> str:
    return text.decode(errors="replace")
