"""Data frames of pandas and polars as rows, without importing either."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from decider.data.files import FileRow, refuse_doubled, sound

_LIBRARIES = ("pandas", "polars")


class Frame(Protocol):
    """A data frame of pandas or polars."""

    @property
    def columns(self) -> Any:
        """The names of its columns, in order."""

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows and columns it has."""


def is_frame(value: object) -> bool:
    """Whether a value is a data frame of pandas or polars, or of a class derived from one."""
    return _library(value) is not None


def frame_rows(frame: Frame) -> Iterator[FileRow]:
    """Return the rows of a frame, by the names of its columns, as JSON has their values where it can.

    NaN, NaT and NA are missing values, None. A column of whole numbers that pandas made fractions, because some are
    missing, is one of whole numbers. Raises `DataError` where two columns have the same name, and `TypeError` for a
    polars frame that is not collected yet.
    """
    if hasattr(frame, "collect"):
        raise TypeError(f"a {type(frame).__name__} holds no rows yet; give its .collect()")
    names = [str(name) for name in frame.columns]
    refuse_doubled(names, "frame")
    return _polars(frame) if _library(frame) == "polars" else _pandas(frame, names)


def _library(value: object) -> str | None:
    for base in type(value).__mro__:
        library = base.__module__.partition(".")[0]
        if library in _LIBRARIES and base.__name__ in ("DataFrame", "LazyFrame"):
            return library
    return None


def _polars(frame: Any) -> Iterator[FileRow]:
    for n, row in enumerate(frame.iter_rows(named=True), 1):
        yield FileRow(n, n, {name: _plain(value) for name, value in row.items()})


def _pandas(frame: Any, names: list[str]) -> Iterator[FileRow]:
    whole = [_whole(frame.iloc[:, at]) for at in range(len(names))]
    for n, row in enumerate(frame.itertuples(index=False, name=None), 1):
        values = map(_plain, row)
        cells = (int(value) if made and value is not None else value for value, made in zip(values, whole, strict=True))
        yield sound(FileRow(n, n, dict(zip(names, cells, strict=True))))


def _whole(column: Any) -> bool:
    """Whether a column of fractions is one of whole numbers with holes in it."""
    if getattr(column.dtype, "kind", "") != "f" or not column.hasnans:
        return False
    return all(float(value).is_integer() for value in column.dropna())


def _plain(value: Any) -> Any:
    """A cell as a Python value that JSON has; None where it says that there is nothing."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return _foreign(value)


def _foreign(value: Any) -> Any:
    """What numpy, pandas and the standard library have beside the types of JSON."""
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return _plain(value.tolist()) if hasattr(value, "tolist") else value  # an array, or one number of numpy
