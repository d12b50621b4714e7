"""A dataset of an old schema as one of the new: what can be changed is, and the rest is left to people, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import to_json

from decider.data.aside import is_same, refuse_unwritable, written
from decider.data.files import FileRow, format_of, read_rows
from decider.data.migrate.fates import Fates, listed
from decider.data.migrate.moving import Moved, Need, answered, moved
from decider.errors import DataError
from decider.task import Task

_TOLD = 1000


@dataclass(slots=True, kw_only=True)
class Migrated:
    """What became of the rows of a file: those `written` and those left for people are all of them.

    `changed` of those written are not as they were; `filled` are as somebody filled them in; `used` is how many rows
    each change was about, by its number. `unexplained` counts what did not fit and no change is about: the field, what
    stood in it, and why.
    """

    out: Path
    review: Path
    rows: int = 0
    written: int = 0
    changed: int = 0
    filled: int = 0
    open: int = 0
    used: Counter[int] = field(default_factory=Counter)
    unexplained: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def to_json(self, fates: Fates) -> dict[str, Any]:
        """Return it in JSON types."""
        counts = {name: getattr(self, name) for name in ("rows", "written", "changed", "filled")}
        return {
            "out": str(self.out),
            **counts,
            "need_a_person": self.open,
            "review": str(self.review) if self.open else None,
            "changes": [{"change": said, "rows": self.used[n]} for n, said in enumerate(fates.said)],
            "unexplained": [
                {"field": path or None, "was": was or None, "why": why, "rows": count}
                for (path, was, why), count in self.unexplained.most_common()
            ],
            "warnings": list(fates.warnings),
        }


def review_of(out: Path) -> Path:
    """Return where the rows for people are written, beside `out`."""
    return out.with_name(f"{out.name.removesuffix(out.suffix)}.review.jsonl")


def migrate(
    data: Path,
    task: Task[Any],
    fates: Fates,
    out: Path,
    *,
    filled: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Migrated:
    """Write the rows of `data` as `task` has them now to `out`, and those that need a person beside it.

    Rows keep their order, and everything but their output; one without an id gets its number as its id, so that a split
    file is still about the same rows. `filled` is a file of rows for people that came back filled in. Raises
    `DataError` where a file is not what it should be, or something would be lost.
    """
    done = Migrated(out=out, review=review_of(out))
    _refuse_lost(data, done, filled)
    answers = {} if filled is None else _answers(filled)
    with written(out) as rows, _aside(done.review) as review:
        for row in _rows(data):
            done.rows += 1
            _refuse_flat(row, task, data)
            answer = answers.pop(row.n, None)
            one = moved(row, task, fates)
            if answer is not None:
                one = replace(answered(row, task, answer, str(filled)), used=one.used)
            _write(one, rows, review, done)
            if progress is not None and row.n % _TOLD == 0:
                progress(row.n, row.n)
        if answers:
            raise DataError(f"is about row {min(answers)}, which {data} does not have", file=str(filled))
    return done


def _refuse_lost(data: Path, done: Migrated, filled: Path | None) -> None:
    """Refuse to write over the old rows, or over what people may have filled in."""
    for path in filter(None, (data, filled)):
        if not path.is_file():
            raise DataError("there is no such file", file=str(path))
        if is_same(done.out, path):
            raise DataError("is what is read, and would be lost; name another file with -o", file=str(path))
    if format_of(data) != "jsonl":
        raise DataError("only .jsonl is migrated; make it with `decider data import` and the old spec", file=str(data))
    if format_of(done.out, verb="write") != "jsonl":
        raise DataError("migrated rows are written as .jsonl; name such a file with -o", file=str(done.out))
    refuse_unwritable(done.out)
    if done.review.exists() and (filled is None or filled.resolve() != done.review.resolve()):
        remedy = f"give it back with  --filled {done.review}  or move it away"
        raise DataError(f"is there already, and somebody may have filled it in; {remedy}", file=str(done.review))


def _refuse_flat(row: FileRow, task: Task[Any], data: Path) -> None:
    """Refuse a row whose values are in columns of the spec's: changes are about outputs, and it has none."""
    flat = isinstance(row.value, Mapping) and not {"input", "output"} & row.value.keys()
    if flat and "columns" in task.spec.data.model_fields_set:
        remedy = "make rows of them with `decider data import` and the old spec, and migrate those"
        raise DataError(f"has its values in columns; {remedy}", file=str(data), row=row.place)


@contextmanager
def _aside(review: Path) -> Iterator[_Review]:
    """The file of rows for people, which is there only if there are any."""
    with ExitStack() as stack:
        yield _Review(lambda: stack.enter_context(written(review)))


class _Review:
    """Opens its file with the first row."""

    def __init__(self, open_file: Callable[[], BinaryIO]) -> None:
        self._open = open_file
        self._file: BinaryIO | None = None

    def write(self, record: Mapping[str, Any]) -> None:
        self._file = self._file or self._open()
        self._file.write(to_json(record) + b"\n")


def _rows(data: Path) -> Iterator[FileRow]:
    with data.open("rb") as file:
        yield from read_rows(file, "jsonl", str(data))


def _answers(filled: Path) -> dict[int, Mapping[str, Any]]:
    """The rows for people that came back, by their number."""
    found: dict[int, Mapping[str, Any]] = {}
    for one in _rows(filled):
        value = one.value
        if one.problem is not None or not isinstance(value, Mapping) or type(value.get("row")) is not int:
            message = one.problem or "is no row of a review file, which has the number of its row in `row`"
            raise DataError(message, file=str(filled), row=one.place)
        if value["row"] in found:
            raise DataError(f"row {value['row']} stands here twice; keep one", file=str(filled), row=one.place)
        found[value["row"]] = value
    return found


def _write(one: Moved, rows: BinaryIO, review: _Review, done: Migrated) -> None:
    done.used.update(one.used)
    if one.example is None:
        done.open += 1
        done.unexplained.update((need.field or "", _was(need), need.why) for need in one.needs if need.n is None)
    else:
        rows.write(to_json({**one.row, "output": one.example.output}) + b"\n")
        done.written += 1
        done.changed += one.changed
        done.filled += one.filled
    if one.needs or one.filled:
        review.write(one.record)


def _was(need: Need) -> str:
    return "" if need.was is None else listed(need.was if isinstance(need.was, list) else [need.was])
