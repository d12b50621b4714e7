"""Sources read as rows of a task: files, folders, frames and the log, whatever form their rows have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from decider.data.files import FileRow
from decider.data.flat import columns_of, has_column
from decider.data.frames import Frame, frame_rows
from decider.data.importers.chats import Chats
from decider.data.importers.columns import guessed
from decider.data.importers.forms import (
    CONTAINERS,
    FORMS,
    LABEL_STUDIO,
    ROWS,
    Piece,
    as_rows,
    form_of,
    peeked,
    pieces,
)
from decider.data.importers.label_studio import Annotated, gathered
from decider.data.logged import Logged
from decider.data.rows import Checked, Problem, Rejected, check, is_whole, unfit
from decider.data.shapes import SHAPES
from decider.errors import DataError
from decider.spec import Columns
from decider.task import Task

Source: TypeAlias = str | Path | Logged | Frame
"""A file or folder, the rows of a log, or a data frame of pandas or polars."""

Found: TypeAlias = tuple[str, Checked]
"""The name of a file, and one row of it."""

Told: TypeAlias = Callable[[str], None]
"""Gets a sentence for whoever imports."""

FRAME = "frame"


class Importer:
    """Reads sources as rows of a task; can be used again for further sources.

    `columns` are the names of columns in place of the spec's, as `columns.chosen` makes them; `form` is one of
    `forms.FORMS`, in place of what the content says. `chats` and `annotated` tell what was found in lines of chats and
    in exports of Label Studio.
    """

    def __init__(
        self, task: Task[Any], *, columns: Columns | None = None, form: str | None = None, told: Told | None = None
    ) -> None:
        if form is not None and form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, not {form!r}")
        spec = task.spec.data
        self._task = task
        self._columns = columns or (spec.columns if "columns" in spec.model_fields_set else None)
        self._form = form
        self._told: Told = told or silent
        self._said: set[str] = set()
        named = self._columns or Columns()
        self.chats = Chats(task, named)
        self.annotated = Annotated(task, named)

    def read(self, *sources: Source) -> Iterator[Found]:
        """Return the rows of sources, each checked; raises `DataError` where a source cannot be read at all.

        Where one cannot be read to its end, the rows before that are there, and the last is a rejected one.
        """
        for source in sources:
            if isinstance(source, Logged):
                for n, row in enumerate(source, 1):
                    yield str(source.folder), check(row, self._task, n)
            elif isinstance(source, str | Path):
                for piece in pieces(Path(source), self._form):
                    yield from self._piece(piece)
            else:
                yield from self._piece(Piece(file=FRAME, rows=frame_rows(source), tabular=True))

    def _piece(self, piece: Piece) -> Iterator[Found]:
        n = 0
        try:
            for n, row in enumerate(self._rows(piece), 1):  # noqa: B007  # how many there were
                yield piece.file, row
        except DataError as error:
            if not n:
                raise
            problem = Problem(kind="unreadable", message=f"{error.message}; nothing from here on was read")
            place = error.row or n + 1
            yield piece.file, Rejected(place=place, id=str(place), problems=(problem,), value=None)

    def _rows(self, piece: Piece) -> Iterator[Checked]:
        columns = self._columns or Columns()
        first, rows = peeked(piece.rows)
        form = form_of(first, self._task, columns) if self._form in (None, *CONTAINERS) else self._form
        if form != ROWS:
            self._tell(piece.file, f"read as {form}")
        if form == LABEL_STUDIO:
            return self._made(gathered(rows), self._annotated_row)
        if form in SHAPES:
            shape = next(one for one in SHAPES.values() if one.name == form)
            return self._made(rows, lambda row: self.chats.checked(row, shape))
        checked = as_rows(rows, self._task, columns=self._columns, file=piece.file, tabular=piece.tabular)
        if not is_whole(first):
            self._tell_columns(piece, first, columns)
        return checked

    def _tell_columns(self, piece: Piece, first: Mapping[str, Any], columns: Columns) -> None:
        """Say which columns are read that nobody named, and which are not there and need not be."""
        found = guessed(first, self._task, columns)
        inputs, outputs = columns_of(self._task, found)
        if found is not columns:
            said = [f"{path} = {name}" for named in (inputs, outputs) for path, name in named.items() if path != name]
            self._tell(piece.file, f"columns {', '.join(said)}")
        lacking = [name for name in (*inputs.values(), *outputs.values()) if not has_column(first, name)]
        if piece.tabular and lacking:
            self._tell(piece.file, f"no column {', '.join(map(repr, lacking))}; these fields are left empty")

    def _tell(self, file: str, sentence: str) -> None:
        """Say what is so in a file, of those of which it is so only in the first."""
        if sentence not in self._said:
            self._said.add(sentence)
            self._told(f"{file}: {sentence}")

    def _annotated_row(self, row: FileRow) -> Checked:
        return check(self.annotated.row(row.value), self._task, row.n, place=row.place, original=row.value)

    def _made(self, rows: Iterable[FileRow], make: Callable[[FileRow], Checked]) -> Iterator[Checked]:
        """Rows that are made of something else; what cannot be is rejected as it is."""
        for row in rows:
            if row.problem is not None:
                yield unfit(row, "unreadable", row.problem)
            elif not isinstance(row.value, Mapping):
                yield unfit(row, "row", "is not a JSON object")
            else:
                yield self._one(row, make)

    def _one(self, row: FileRow, make: Callable[[FileRow], Checked]) -> Checked:
        try:
            return make(row)
        except DataError as error:
            return unfit(row, "row", error.message)


def silent(sentence: str) -> None:
    """Tell nobody."""
    del sentence
