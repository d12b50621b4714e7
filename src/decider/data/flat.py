"""Flat rows: which column stands for which field, and what else a row says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from decider.data.files import typed
from decider.errors import DataError
from decider.schema import Field, nest, pick
from decider.spec import Columns
from decider.task import Task

TEXTS = ("source", "split", "group", "time", "by", "at")
"""What a row may hold beside its input, output and id; each is a text or a number."""

NO_TEXTS = (bool, list, Mapping)
"""What is neither a text nor a number."""


@dataclass(frozen=True)
class Flat:
    """Turns flat rows into such with an input and an output, by the columns that are named, or of the same names."""

    task: Task[Any]
    columns: Columns
    whole: bool
    """Whether every row has the same columns: a column that lacks is then the file's mistake, and raises."""
    file: str | None

    @cached_property
    def _about(self) -> tuple[str, ...]:
        """The columns that say something of a row beside its input and output: those that are no part of these."""
        inputs, outputs = self._named
        taken = {*inputs.values(), *outputs.values()}
        return ("id", *(key for key in TEXTS if key not in taken))

    @cached_property
    def _named(self) -> tuple[dict[str, str], dict[str, str]]:
        return columns_of(self.task, self.columns)

    def row(self, row: Mapping[str, Any], place: int) -> Mapping[str, Any]:
        """Return a flat row as one with an input and an output, which are still to be checked; `place` is its number.

        Raises `DataError` where a column lacks that every row has.
        """
        about = {key: row[key] for key in self._about if row.get(key) not in (None, "")}
        record: dict[str, Any] = {key: value for key, value in about.items() if not isinstance(value, NO_TEXTS)}
        inputs, outputs = self._named
        record["output"] = nest(self._cells(row, self.task.fields, outputs, place))
        if self.task.inputs:
            record["input"] = nest(self._cells(row, self.task.inputs, inputs, place))
        elif self._has(row, inputs["text"], place):
            record["input"] = cell(row, inputs["text"])
        data = self.task.spec.data
        for key, column in (("id", self.columns.id), ("group", data.group), ("time", data.time)):
            if column is not None and self._has(row, column, place) and cell(row, column) not in (None, ""):
                record[key] = cell(row, column)
        return record

    def _cells(
        self, row: Mapping[str, Any], fields: Sequence[Field], named: Mapping[str, str], place: int
    ) -> dict[str, Any]:
        return {
            one.path: typed(one, cell(row, named[one.path]))
            for one in fields
            if self._has(row, named[one.path], place)
            or (one.optional and "." in one.path)  # what it stands in must be there
        }

    def _has(self, row: Mapping[str, Any], column: str, place: int) -> bool:
        if self.whole and not has_column(row, column):
            raise DataError(f"has no column {column!r}; columns: {', '.join(row)}", file=self.file, row=place)
        return has_column(row, column)


def input_paths(task: Task[Any]) -> list[str]:
    """Return the paths of the inputs that columns stand for; an input of one text is `text`."""
    return [field.path for field in task.inputs] or ["text"]


def named_inputs(task: Task[Any], columns: Columns) -> dict[str, str]:
    """Return by path the columns of inputs that are named; one alone is that of the first."""
    said = columns.input
    return {input_paths(task)[0]: said} if isinstance(said, str) else dict(said or {})


def columns_of(task: Task[Any], columns: Columns) -> tuple[dict[str, str], dict[str, str]]:
    """Return by path the column of every input field, and of every output field: its path, where none is named."""
    inputs = named_inputs(task, columns)
    outputs = {field.path: columns.output.get(field.path, field.path) for field in task.fields}
    return {path: inputs.get(path, path) for path in input_paths(task)}, outputs


def has_column(row: Collection[str], column: str) -> bool:
    """Whether a flat row has a column, or one with objects in which it stands by a dotted name."""
    return column in row or ("." in column and column.partition(".")[0] in row)


def cell(row: Mapping[str, Any], column: str) -> Any:
    """Return what a flat row has in a column, which may stand inside an object; None where there is none."""
    if column in row or "." not in column:
        return row.get(column)
    try:
        return pick(row, column)
    except KeyError:
        return None
