"""One file of an export: its rows are written, and then read back from its own bytes and checked."""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, NamedTuple

from pydantic_core import from_json, to_json

from decider import prompt
from decider.data.exporters.lines import Inspector, Lines
from decider.data.exporters.targets import Rules
from decider.data.files import read_rows, spelled
from decider.data.rows import Checked, Rejected, check, encoded, read, to_row
from decider.data.shapes import Shape
from decider.data.tables import Csv, Layout, Parquet, Table, column, text_of
from decider.decision import Example
from decider.errors import DataError
from decider.schema import Field, pick
from decider.task import Task

_BUFFER = 1 << 18


class Wrong(NamedTuple):
    """A row of a file that breaks a rule: its place in the file, counted from 1, and the rule."""

    place: int
    message: str


class Sheet(ABC):
    """A file that somebody else opens and closes."""

    changed = 0
    """How many of its rows do not stand there as they were, for what its form cannot say."""
    change: ClassVar[str] = ""
    """What has become of those."""

    keys: Set[str] = frozenset()
    """The keys of its lines, once they are read back."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.rows = 0
        self._table: Table | None = None

    @abstractmethod
    def write(self, example: Example) -> None:
        """Write one row."""

    def finish(self) -> int:
        """Write what is held back; returns the size of the file in bytes."""
        if self._table is not None:
            self._table.finish()
        self.file.flush()
        return self.file.tell()

    def close(self) -> None:
        """Let go of the file, also where it is not finished, and will be thrown away."""
        if self._table is not None:
            self._table.close()

    @abstractmethod
    def read(self, path: Path) -> Iterator[int | Wrong]:
        """Read the file back and yield of each row its tokens, 0 where nobody counts them, or what is wrong with it."""


class LineSheet(Sheet):
    """Lines to train a chat model on."""

    def __init__(self, file: BinaryIO, lines: Lines, shape: Shape, rules: Rules, *, marked: bool = False) -> None:
        super().__init__(file)
        self._line = lines.line
        self._inspector = Inspector(shape, rules)
        self.keys = self._inspector.keys
        self._mark = codecs.BOM_UTF8 if marked else b""
        file.write(self._mark)

    def write(self, example: Example) -> None:
        """Write one line."""
        self.file.write(self._line(example))
        self.rows += 1

    def read(self, path: Path) -> Iterator[int | Wrong]:
        """Read each line and hold it against the rules of the target."""
        with path.open("rb", buffering=_BUFFER) as file:
            file.seek(len(self._mark))
            for n, line in enumerate(file, 1):
                try:
                    yield self._inspector.tokens(line)
                except DataError as error:
                    yield Wrong(n, error.message)


class _Same(Sheet):
    """A file that holds the rows of the dataset, to be read back as what they were: 8 bytes a row remember that."""

    def __init__(self, file: BinaryIO, task: Task[Any]) -> None:
        super().__init__(file)
        self._task = task
        self._marks = array("q")

    @abstractmethod
    def _back(self, path: Path) -> Iterator[Checked]:
        """The rows of the file, as a later command will read them."""

    def _mark(self, example: Example) -> int:
        return hash(to_json(to_row(example)))

    def read(self, path: Path) -> Iterator[int | Wrong]:
        """Read each row and compare it with what was written."""
        for n, (found, mark) in enumerate(zip(self._back(path), self._marks, strict=True), 1):
            if isinstance(found, Rejected):
                yield Wrong(n, found.reason)
            else:
                yield (
                    0 if self._mark(found) == mark else Wrong(n, "would not be read back as it is; export it as jsonl")
                )


class RowSheet(_Same):
    """Rows of a dataset as they are."""

    def write(self, example: Example) -> None:
        """Write one line."""
        self.file.write(encoded(example))
        self._marks.append(self._mark(example))
        self.rows += 1

    def _back(self, path: Path) -> Iterator[Checked]:
        with path.open("rb") as file:
            for n, line in enumerate(file, 1):
                yield check(from_json(line), self._task, n)


class TableSheet(_Same):
    """Rows of a dataset as columns."""

    change = "with an empty text that may be missing, which is then read as missing, because a table cannot tell"

    def __init__(self, file: BinaryIO, task: Task[Any], layout: Layout, form: Literal["csv", "parquet"]) -> None:
        super().__init__(file, task)
        self._layout, self._form = layout, form
        self._table = self._columns = (Csv if form == "csv" else Parquet)(file, layout.columns)
        self._blank = [one.cell for one in layout.columns if one.optional]

    def write(self, example: Example) -> None:
        """Write one row."""
        row = to_row(example)
        self._columns.write(row)
        self._marks.append(self._mark(example))
        self.rows += 1
        self.changed += any(cell(row) == "" for cell in self._blank)

    def _mark(self, example: Example) -> int:
        """The mark of the cells of a row; a text that is empty and may be missing is missing."""
        row = to_row(example)
        cells = [one.cell(row) for one in self._layout.columns]
        return hash(to_json([None if cell == "" else cell for cell in cells]))

    def _back(self, path: Path) -> Iterator[Checked]:
        return read(path, self._task, columns=self._layout.named, form=self._form)


class LabelSheet(Sheet):
    """A text and one label, as SetFit takes them."""

    change = "whose text or label begins like a formula, so that a ' stands before it and no spreadsheet runs it"

    def __init__(self, file: BinaryIO, task: Task[Any], field: Field) -> None:
        super().__init__(file)
        self._task, self._field = task, field
        self._labels = {text_of(label) for label in field.labels}
        self._table = self._columns = Csv(file, [column("text"), column("label")])

    def write(self, example: Example) -> None:
        """Write one row."""
        text, label = prompt.bare(self._task, example.input), text_of(pick(example.output, self._field.path))
        self._columns.write({"text": text, "label": label})
        self.rows += 1
        self.changed += (spelled(text), spelled(label)) != (text, label)

    def read(self, path: Path) -> Iterator[int | Wrong]:
        """Read each row and look whether it has a text and a label."""
        with path.open("rb") as file:
            for row in read_rows(file, "csv", path.name):
                problem = row.problem
                if problem is None and not (row.value["text"].strip() and row.value["label"] in self._labels):
                    problem = f"has no text, or no label of {self._field.path}"
                yield 0 if problem is None else Wrong(row.n, problem)
