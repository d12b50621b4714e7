"""Exports: a dataset as the files that a trainer takes, each read back and checked before any is in its place."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from decider import prompt
from decider.data.aside import written
from decider.data.exporters.cards import Counts, card
from decider.data.exporters.lines import Lines
from decider.data.exporters.places import folders, places_of
from decider.data.exporters.sheets import LabelSheet, LineSheet, RowSheet, Sheet, TableSheet, Wrong
from decider.data.exporters.sided import SidedRows
from decider.data.exporters.targets import Sides, Target, tooled
from decider.data.flat import TEXTS
from decider.data.split import Split
from decider.data.tables import Layout, layout_of
from decider.errors import DataError
from decider.redact import Redactor
from decider.schema import Field
from decider.spec import Role
from decider.task import Task

Progress = Callable[[int], None]
"""Is told how many rows were written, or read back, until then."""

EVERYTHING = "all"
"""The side of a file that holds rows of several, each with its own in a column."""

_MOST_NAMED = 5
"""Wrong rows that an error names."""

_EVERY = 1000
"""Rows between two words of progress."""

_TABLES = ("csv", "parquet", "folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of an export: `tokens` are estimated, and None where a row is nothing that a model reads."""

    path: Path
    side: str
    rows: int
    bytes: int
    tokens: int | None

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON types."""
        counted = {"rows": self.rows, "bytes": self.bytes, "tokens": self.tokens}
        return {"path": str(self.path), "side": self.side, **counted}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written, what to know of it, and what to do next."""

    target: Target
    files: tuple[File, ...]
    notes: tuple[str, ...]
    then: str

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON types, with the keys that programs may rely on."""
        files = [one.to_json() for one in self.files]
        return {"target": self.target.name, "files": files, "notes": list(self.notes), "next": self.then}


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What to export of a file of rows, and how.

    `side` is the one side to write, in place of those that the target wants; sides are those of `split`, or those that
    the rows say themselves. `examples` asks for the messages of the prompt mode, with its few-shot examples, in place
    of those that a tuned model is asked. `label` is the path of the field that SetFit learns, where there are several.
    """

    task: Task[Any]
    data: Path
    target: Target
    split: Split | None = None
    side: Sides | None = None
    examples: bool = False
    label: str | None = None

    def write(self, out: Path, *, today: date | None = None, progress: Progress | None = None) -> Exported:
        """Write the files of the target to `out`, a folder, or one file where `out` has the ending of one.

        All files are there afterwards, or none. Raises `DataError`, with file and row, where a row does not fit the
        task or a file breaks a rule of the target, and where there is nothing to write.
        """
        work = _Work(self, out, progress)
        with folders(out, work.places), ExitStack() as stack:
            work.fill(stack)
            files = tuple(work.checked(path) for path in work.sheets)
            work.accompany(stack)
        notes = (*work.notes(), *self.target.told(today or datetime.now(UTC).date()))
        words = {"OUT": str(out), "NAME": self.task.name, "FILE": str(files[0].path)}
        then = re.sub("OUT|NAME|FILE", lambda found: words[found[0]], self.target.then)
        return Exported(target=self.target, files=files, notes=notes, then=then)


class _Work:
    """One export while it is written."""

    def __init__(self, export: Export, out: Path, progress: Progress | None) -> None:
        self._task, self._target, self._data = export.task, export.target, export.data
        self._side, self._out, self._progress = export.side, out, progress
        self._rows = SidedRows(data=export.data, task=export.task, split=export.split, redactor=_redactor(export))
        self._role: Role = "prompt" if export.examples else "finetuned"
        self._lines = _lines(export, self._role)
        self._field = _field(export)
        self.places = places_of(export.target, out, side=export.side, data=export.data)
        self.sheets: dict[Path, Sheet] = {}
        self._sizes: dict[Path, int] = {}
        self._labels = Counts(export.task.fields)
        self._counts: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        self._done = 0
        self._older = [path for path in self._named() if path.is_file()]

    @cached_property
    def _layout(self) -> Layout | None:
        """The columns of a table: of what rows may hold beside input and output, those that some row holds."""
        if self._target.form not in _TABLES:
            return None
        about = {key for _, example in self._rows for key in TEXTS if getattr(example, key) is not None}
        return layout_of(self._task, about)

    def fill(self, stack: ExitStack) -> None:
        """Write every row to the file of its side."""
        for side, example in self._rows:
            path = self.places.get(side)
            if path is None:
                self._left[side] += 1
                continue
            sheet = self.sheets.get(path)
            if sheet is None:
                sheet = self.sheets[path] = self._sheet(stack.enter_context(written(path)))
                stack.callback(sheet.close)
            sheet.write(example)
            self._counts[side] += 1
            if self._target.form == "folder":
                self._labels.add(side, example)
            self._step()
        self._refuse_empty()
        for path, sheet in self.sheets.items():
            self._sizes[path] = sheet.finish()

    def checked(self, path: Path) -> File:
        """Read a file back, and hold it and each of its rows against the rules of the target."""
        sheet, size = self.sheets[path], self._sizes[path]
        sides = [side for side, place in self.places.items() if place == path and self._counts[side]]
        problem = self._target.rules.problem(sheet.rows, size, trained=sides != ["validation"])
        if problem is not None:
            raise DataError(problem, file=str(path))
        total, wrong, count = 0, list[Wrong](), 0
        for found in sheet.read(Path(sheet.file.name)):
            if isinstance(found, Wrong):
                count += 1
                wrong += [found] if count <= _MOST_NAMED else []
            else:
                total += found
            self._step()
        if wrong:
            raise self._refusal(path, wrong, count)
        side = sides[0] if len(sides) == 1 else EVERYTHING
        tokens_told = total if self._lines is not None else None
        return File(path=path, side=side, rows=sheet.rows, bytes=size, tokens=tokens_told)

    def accompany(self, stack: ExitStack) -> None:
        """Write what stands beside the files."""
        readme, info = self._out / "README.md", self._out / "dataset_info.json"
        if self._target.form == "folder" and self._layout is not None and readme not in self._older:
            made = (f"exported by decider from {self._data.name}", *self._redacted())
            text = card(self._task, self._counts, self._labels, self._layout.columns, made)
            stack.enter_context(written(readme)).write(text.encode())
        entry = self._target.entry
        if entry is not None:
            sides = [side for side in self.places if self._counts[side]]
            entries = {f"{self._task.name}_{side}": self._entry(side, entry) for side in sides}
            text = json.dumps({**_object(info), **entries}, ensure_ascii=False, indent=2) + "\n"
            stack.enter_context(written(info)).write(text.encode())

    def notes(self) -> Iterator[str]:
        """What to know of this export."""
        if self._left:
            more = self._side is None and self._out in self.places.values() and self._left.keys() != {"excluded"}
            remedy = "; with a folder as OUT there is a file of each side" if more else ""
            yield f"left out: {_counted(self._left)}{remedy}"
        yield from self._redacted()
        if self._lines is not None:
            yield from self._how_asked()
        changed = sum(sheet.changed for sheet in self.sheets.values())
        if changed:
            yield f"rows {next(iter(self.sheets.values())).change}: {changed:,}"
        if self._layout is not None and self._layout.renamed:
            named = ", ".join(self._layout.renamed)
            yield f"columns called otherwise than their fields: {named}; decider data import reads them so"
        for path in self._older:
            if path not in self.sheets:
                remedy = "; delete it to have it written anew" if path.name == "README.md" else ""
                yield f"{path} was there before, and is as it was{remedy}"

    def _how_asked(self) -> Iterator[str]:
        if self._role == "prompt":
            yield "the messages are those of the prompt mode: ask the tuned model as `prompt: {model: …}`"
            yield "the answers of the examples are learned as well, but by trainers that learn the last answer alone"
        elif self._task.spec.finetuned.engine != "chat":
            yield "the messages are those that  finetuned: {engine: chat, model: …}  asks the tuned model"

    def _named(self) -> Iterator[Path]:
        """What an earlier export may have left in the folder."""
        if self._out not in self.places.values():
            names = [*self._target.names.values(), *(["README.md"] if self._target.form == "folder" else [])]
            yield from (self._out / name for name in names)

    def _sheet(self, file: BinaryIO) -> Sheet:
        target, layout = self._target, self._layout
        if self._lines is not None and target.shape is not None:
            return LineSheet(file, self._lines, target.shape, target.rules, marked=target.marked)
        if self._field is not None:
            return LabelSheet(file, self._task, self._field)
        if layout is not None:
            return TableSheet(file, self._task, layout, "csv" if target.form == "csv" else "parquet")
        return RowSheet(file, self._task)

    def _step(self) -> None:
        self._done += 1
        if self._progress is not None and self._done % _EVERY == 0:
            self._progress(self._done)

    def _refuse_empty(self) -> None:
        """Refuse an export without the rows that it is for."""
        wanted = self._side or ("train" if self._lines is not None else None)
        if self._counts.total() and (wanted is None or self._counts[wanted]):
            return
        lacks = "has no rows" if wanted is None else f"has no {wanted} rows"
        raise DataError(f"{lacks}; it has {_counted(self._left + self._counts)}", file=str(self._data))

    def _refusal(self, path: Path, wrong: Sequence[Wrong], count: int) -> DataError:
        """The error for a file with wrong rows, by the first of them and the rows that they come from.

        The data are read again for that, so that nothing need be kept of every row.
        """
        places = {one.place for one in wrong}
        mine = (example for side, example in self._rows if self.places.get(side) == path)
        ids = {n: example.id for n, example in enumerate(mine, 1) if n in places}
        first = wrong[0]
        message = f"{first.message}; it is row {ids[first.place]!r} of {self._data}"
        if count > 1:
            named = "".join(f"\n  {one.place}: {one.message} (row {ids[one.place]!r})" for one in wrong)
            message = f"{count} of its rows break a rule of {self._target.name}; they are of {self._data}{named}"
        return DataError(message, file=str(path), row=first.place)

    def _redacted(self) -> Iterator[str]:
        if self._rows.redactor is not None:
            as_they_were = "" if self._target.form in ("lines", "labels") else "; the ids of rows are as they were"
            yield f"texts are redacted, as the spec says{as_they_were}"

    def _entry(self, side: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """What LLaMA-Factory is told of a file: it looks for each column that it is told of in every row."""
        keys = self.sheets[self.places[side]].keys
        columns = {name: column for name, column in entry["columns"].items() if column in keys}
        return {"file_name": self._target.names[side], **entry, "columns": columns}


def _redactor(export: Export) -> Redactor | None:
    """What takes out of the rows what the spec names; endpoints that are sent the originals are trained on them."""
    redactor = Redactor.of(export.task)
    asked = export.target.form == "lines"
    return None if redactor is None or (asked and redactor.sends_original) else redactor


def _lines(export: Export, role: Role) -> Lines | None:
    task, target = export.task, export.target
    if target.shape is None:
        if export.examples:
            raise DataError(f"{target.name} has no messages, and so no few-shot examples; leave --with-examples out")
        return None
    if export.examples and not task.examples:
        raise task.mistake(
            "names no examples to show", ("prompt",), remedy="leave --with-examples out, or add examples"
        )
    if prompt.tool(task, role) is not None and not target.tools:
        said = "the model answers by calling a tool, as the spec says, which cannot be taught there"
        raise DataError(f"{target.name}: {said}; targets that can: {tooled()}; or answer in JSON: structure: schema")
    return Lines(task, target.shape, role)


def _field(export: Export) -> Field | None:
    """The field that SetFit learns; None where whole outputs are written."""
    if export.target.form != "labels":
        if export.label is not None:
            raise DataError(f"{export.target.name} is of all fields; leave --field out")
        return None
    fit = {field.path: field for field in export.task.fields if field.closed and field.kind != "tags"}
    if export.label is None and len(fit) == 1:
        return next(iter(fit.values()))
    if export.label in fit:
        return fit[export.label]
    said = "choose the field that it learns" if export.label is None else f"{export.label!r} is no field of one label"
    raise DataError(f"{export.target.name}: {said}, with --field: {', '.join(fit) or 'there is none of one label'}")


def _counted(rows: Counter[str]) -> str:
    return ", ".join(f"{count:,} {side}" for side, count in rows.items() if count) + " rows"


def _object(path: Path) -> dict[str, Any]:
    """The entries of a file that other datasets may stand in, too."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"is not JSON: {error}; repair or remove it", file=str(path)) from error
    if not isinstance(found, dict):
        raise DataError("is no JSON object; repair or remove it", file=str(path))
    return found
