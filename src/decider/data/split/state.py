"""`Split`: which row is on which side, as it stands in the split file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ValidationError, field_validator

from decider.data.aside import written
from decider.decision import Example, Input
from decider.errors import DataError
from decider.examples import identity

Side = Literal["train", "validation", "test", "excluded"]
SIDES: tuple[Side, ...] = get_args(Side)[:3]
"""The sides that hold rows to use; what is `excluded` is on none of them."""

DEFAULT: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}

ROUNDING = 1e-6
"""How far from 1 the sum of shares may be."""

_NAMES: Mapping[str, Side] = {
    "train": "train", "training": "train", "test": "test", "excluded": "excluded",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation", "eval": "validation",
}  # fmt: skip


def side_named(name: str | None) -> Side | None:
    """Return the side that a row names itself, as published splits call it; None where that is none that is known."""
    return None if name is None else _NAMES.get(name.strip().lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutoffs:
    """The last moment of `train` and of `validation`, in UTC, inclusive; None where there is no end."""

    train: datetime | None
    validation: datetime | None

    def side_at(self, moment: datetime) -> Side:
        """Return the side of what was at this moment."""
        if self.train is None or moment <= self.train:
            return "train"
        return "validation" if self.validation is None or moment <= self.validation else "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The side of each row, by its id, and what they were given by.

    `fingerprint` is that of the data that was split last, `shares` what each side should hold, `cutoffs` is there where
    rows are split by their time. `excluded` says of each excluded row why. `inputs` holds a hash of the input of each
    row that has no id but its number: in another place, it is another row.
    """

    task: str
    fingerprint: str
    shares: Mapping[str, float]
    sides: Mapping[str, Side]
    cutoffs: Cutoffs | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    blocks: Mapping[str, int] = field(default_factory=dict, compare=False)
    """Rows that belong together and are more than the smallest side should hold: their number, by the least id.

    It is known where they have just been placed, and does not stand in the file.
    """

    def side_of(self, example: Example) -> Side | None:
        """Return the side of a row, or None where the file does not have it.

        Raises `DataError` where rows are known by their numbers, and this number was another row.
        """
        if example.id is None:
            return None
        known = self.inputs.get(example.id)
        if known is not None and known != digest(example.input):
            raise DataError(
                f"row {example.id} is not the row that had this number when the split file was written; rows without "
                "an id are known by their number: keep their order and add new ones at the end, or give them ids "
                "(decider data import) and split anew"
            )
        return self.sides.get(example.id)

    def refuse_other(self, task: str, file: str | None = None) -> None:
        """Raise `DataError` where it is the split of another task."""
        if self.task != task:
            raise DataError(
                f"the split file is of the task {self.task!r}, not {task!r}; name another split file", file=file
            )

    @classmethod
    def load(cls, path: str | Path, *, task: str | None = None) -> Split:
        """Read a split file; raises `DataError` where there is none, or it is something else, or of another `task`."""
        file = Path(path)
        try:
            text = file.read_bytes()
        except OSError as error:
            remedy = "make it with: decider data split SPEC DATA"
            raise DataError(f"cannot be read: {error.strerror}; {remedy}", file=str(file)) from error
        try:
            found = _File.model_validate_json(text).split()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            message = first["msg"].removeprefix("Value error, ")
            said = f"{place}: {message}" if place else message
            remedy = "take it from a backup, or delete it to split anew"
            raise DataError(f"is not a split file: {said}; {remedy}", file=str(file)) from error
        if task is not None:
            found.refuse_other(task, str(file))
        return found

    def save(self, path: str | Path) -> None:
        """Write the split file, the whole of it or nothing; raises `DataError` where it cannot be written."""
        cutoffs = self.cutoffs
        value: dict[str, Any] = {
            "format": 1,
            "task": self.task,
            "fingerprint": self.fingerprint,
            "shares": dict(self.shares),
            "by_time": None if cutoffs is None else {side: _said(getattr(cutoffs, side)) for side in SIDES[:2]},
            "rows": dict(sorted(self.sides.items())),
            "excluded": dict(sorted(self.excluded.items())),
            "inputs": dict(sorted(self.inputs.items())),
        }
        text = json.dumps(value, ensure_ascii=False, indent=1)  # a row on a line: version control shows what is new
        with written(Path(path)) as file:
            file.write(text.encode("utf-8", "surrogatepass") + b"\n")


class _CutoffsInFile(BaseModel, extra="forbid", strict=True):
    train: AwareDatetime | None
    validation: AwareDatetime | None


class _File(BaseModel, extra="forbid", strict=True):
    """A split file as it stands there."""

    format: Literal[1]
    task: str
    fingerprint: str
    shares: dict[str, float]
    by_time: _CutoffsInFile | None
    rows: dict[str, Side]
    excluded: dict[str, str] = {}
    inputs: dict[str, str] = {}

    @field_validator("shares")
    @classmethod
    def _of_all_sides(cls, shares: dict[str, float]) -> dict[str, float]:
        if set(shares) != set(SIDES):
            raise ValueError("they are those of train, validation and test")
        if not all(0 <= share <= 1 for share in shares.values()) or abs(sum(shares.values()) - 1) > ROUNDING:
            raise ValueError("they are in [0, 1], and 1 together")
        return shares

    def split(self) -> Split:
        by_time = self.by_time
        return Split(
            task=self.task,
            fingerprint=self.fingerprint,
            shares=self.shares,
            sides=self.rows,
            cutoffs=None if by_time is None else Cutoffs(train=by_time.train, validation=by_time.validation),
            excluded=self.excluded,
            inputs=self.inputs,
        )


def _said(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def digest(given: Input) -> str:
    """Return what an input is recognised by: 16 hexadecimal digits, the same however it is spelled."""
    return hashlib.sha256(identity(given).encode("utf-8", "surrogatepass")).hexdigest()[:16]
