"""The card of a dataset folder: what it decides, its columns, its labels with their counts, and how it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from decider.data.tables import Column, text_of
from decider.decision import Example
from decider.schema import Field, pick
from decider.task import Task

_TYPES = {
    "text": "string", "json": "string (JSON)", "bool": "bool", "integer": "int64", "number": "float64",
    "date": "date32", "texts": "list of string", "integers": "list of int64",
}  # fmt: skip


class Counts:
    """How many rows of each side have each label; filled while rows are written."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = [field for field in fields if field.closed]
        self.labels: dict[tuple[str, str], Counter[Any]] = {}
        """By side and path of a field."""

    def add(self, side: str, example: Example) -> None:
        """Count one row."""
        for field in self._fields:
            value = pick(example.output, field.path)
            found = self.labels.setdefault((side, field.path), Counter())
            found.update(value or () if field.kind == "tags" else (value,))


def card(
    task: Task[Any], rows: Mapping[str, int], counts: Counts, columns: Sequence[Column], made: Sequence[str]
) -> str:
    """Return the README.md of a dataset folder; `rows` counts those of each side, `made` says how it came about.

    The licence is left to the author: only they know what the texts allow.
    """
    sides = [side for side in ("train", "validation", "test") if rows.get(side)]
    files = [{"split": side, "path": f"data/{side}-*"} for side in sides]
    head = yaml.safe_dump(
        {"configs": [{"config_name": "default", "data_files": files}], "task_categories": ["text-classification"]},
        sort_keys=False,
    )
    parts = [
        f"---\n{head}---",
        f"# {_line(task.name)}",
        _line(task.instructions),
        "## Rows\n\n" + _table(("split", "rows"), ((side, f"{rows[side]:,}") for side in sides)),
        "## Columns\n\n" + _table(("column", "type"), ((one.name, _TYPES[one.kind]) for one in columns)),
        *(_labels(field, counts, sides) for field in task.fields if field.closed),
        "## How it was made\n\n" + "\n".join(f"- {_line(one)}" for one in made),
        "## Licence\n\nNot chosen yet. Write `license:` into the head of this file before you publish the dataset.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _labels(field: Field, counts: Counts, sides: Sequence[str]) -> str:
    """The labels of a field, those that no row has as well."""
    found = [counts.labels.get((side, field.path), Counter()) for side in sides]
    described = {option.value: option.description for option in field.options}
    lines = ((text_of(one), described.get(one, ""), *(f"{count[one]:,}" for count in found)) for one in field.labels)
    said = f"{_line(field.description)}\n\n" if field.description else ""
    return f"## Labels of {_line(field.path)}\n\n{said}" + _table(("label", "meaning", *sides), lines)


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_line(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _line(text: str) -> str:
    """A text on one line, in which Markdown finds no HTML."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
