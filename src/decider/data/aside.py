"""Files written beside their place, and put into it when all of them is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from decider.errors import DataError
from decider.runtime.log.segment import failed, settle

_BUFFER = 1 << 18
"""Bytes that are handed to the system at once."""


@contextmanager
def written(out: Path) -> Iterator[BinaryIO]:
    """Write a file in place of `out`, the whole of it or nothing; raises `DataError` where it cannot be written.

    What was there before is there until the block has ended well, and nothing stays of a block that does not. An
    `OSError` of another file, one that the block reads, is raised as it is.
    """
    aside = out.with_name(f".{out.name}.{os.getpid()}.decider-part")
    try:
        with aside.open("wb", buffering=_BUFFER) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(out)
        settle(out.parent)
    except OSError as error:
        if error.filename not in (None, str(aside)):
            raise
        raise failed(out, error) from error
    finally:
        aside.unlink(missing_ok=True)


def is_same(out: Path, source: Path) -> bool:
    """Whether writing `out` would take the place of what is read: both are there, and one file by two names."""
    return out.exists() and source.exists() and out.samefile(source)


def refuse_unwritable(out: Path) -> None:
    """Raise `DataError` where a file cannot be put at `out`, before long work is done for it."""
    if out.is_dir() or not out.parent.is_dir():
        there = "is a folder" if out.is_dir() else f"there is no folder {out.parent}; make it first"
        raise DataError(there, file=str(out))
    if not os.access(out.parent, os.W_OK):
        raise DataError(f"nothing can be written into {out.parent}; allow it, or name another folder", file=str(out))
