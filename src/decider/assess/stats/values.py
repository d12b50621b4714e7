"""What a dataset holds, counted in one pass: labels, texts, tokens, and where its rows come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Any

from pydantic_core import to_json

from decider.assess.lint.labels import FEWEST
from decider.assess.stats.periods import Period
from decider.assess.stats.spread import Spread
from decider.data.rows import ProblemKind
from decider.schema import Field, Kind, Label

NO_SIDE = "no side"
"""Where rows stand that no side of a split has, if others have one."""

_COUNTABLE = 1_000_000

Joint = tuple[Any, ...]
"""The labels of one record, of every closed field in order; of tags, a tuple."""


def shown(label: object) -> str:
    """Return a label, or the tags of a record, as people read it: a text as it is, anything else as JSON has it."""
    if isinstance(label, tuple):
        return ", ".join(map(shown, label)) or "none"
    return label if isinstance(label, str) else to_json(label).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCount:
    """How many rows have a label, all together and on each side of the split."""

    label: Label
    rows: int
    sides: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldStats:
    """The values of one output field: of a closed one its labels, in the order of the schema, else how they are spread.

    `empty` is how many rows have null, an empty text, or no tag. `distinct` counts different values. `characters` is of
    texts and of other values as JSON, `values` of numbers.
    """

    field: Field
    rows: int
    empty: int
    labels: tuple[LabelCount, ...] = ()
    distinct: int | None = None
    characters: Spread | None = None
    values: Spread | None = None

    @property
    def rare(self) -> tuple[LabelCount, ...]:
        """The labels that fewer than `FEWEST` rows have, the rarest first."""
        return tuple(sorted((one for one in self.labels if 0 < one.rows < FEWEST), key=lambda one: one.rows))

    @property
    def missing(self) -> tuple[Label, ...]:
        """The labels of the schema that no row has."""
        return tuple(one.label for one in self.labels if not one.rows)

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON types."""
        said: dict[str, Any] = {"kind": self.field.kind, "empty": self.empty}
        if self.field.closed:
            said["labels"] = [
                {"label": one.label, "rows": one.rows, "share": one.rows / max(self.rows, 1), "sides": dict(one.sides)}
                for one in self.labels
            ]
            said["rare"] = [one.label for one in self.rare]
            said["missing"] = list(self.missing)
        return said | _spreads(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputStats:
    """The values of one input field, or of the one text that is the input, whose path is empty; as in `FieldStats`."""

    path: str
    kind: Kind
    empty: int
    distinct: int
    characters: Spread | None
    words: Spread | None
    values: Spread | None

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {"kind": self.kind, "empty": self.empty} | _spreads(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Combinations:
    """The records of closed fields: `possible` is how many there could be, `half` how many make up half of the rows."""

    paths: tuple[str, ...]
    counts: Mapping[Joint, int]
    possible: int

    @property
    def distinct(self) -> int:
        """How many different ones there are."""
        return len(self.counts)

    @property
    def singletons(self) -> int:
        """How many are of one row alone."""
        return sum(count == 1 for count in self.counts.values())

    @property
    def half(self) -> int:
        """How many of the commonest hold half of all rows, or more."""
        rows = accumulate(count for _, count in self.commonest(None))
        half = sum(self.counts.values()) / 2
        return next((n for n, so_far in enumerate(rows, 1) if so_far >= half), 0)

    def commonest(self, most: int | None = 10) -> list[tuple[Joint, int]]:
        """Return the commonest with the number of their rows, the commonest first."""
        return Counter(self.counts).most_common(most)

    def said(self) -> str:
        """Return in words how many there are, and how they are concentrated."""
        possible = f" of {self.possible:,} that are possible" if self.possible < _COUNTABLE else ""
        half = "the commonest holds" if self.half == 1 else f"the {self.half:,} commonest hold"
        return (
            f"{self.distinct:,} different records{possible}; {half} half of all rows, {self.singletons:,} one row alone"
        )

    def pairs(self, first: str, second: str) -> Counter[tuple[Label, Label]]:
        """Return how many rows have each label of one field together with each of another; each tag counts."""
        a, b = self.paths.index(first), self.paths.index(second)
        found: Counter[tuple[Label, Label]] = Counter()
        for joint, count in self.counts.items():
            for one in each(joint[a]):
                for other in each(joint[b]):
                    found[one, other] += count
        return found

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON types, with the ten commonest."""
        return {
            "distinct": self.distinct,
            "possible": self.possible,
            "singletons": self.singletons,
            "half": self.half,
            "commonest": [
                {"labels": dict(zip(self.paths, joint, strict=True)), "rows": count}
                for joint, count in self.commonest()
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The rows of one period: how many, and how many of them have each label, by the path of the field."""

    name: str
    rows: int
    labels: Mapping[str, Mapping[Label, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Rows over time, as far as they say when they were; `without` say no time."""

    period: Period
    first: date
    last: date
    without: int
    spans: tuple[Span, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON types; labels that no row of a period has are left out."""
        return {
            "period": self.period,
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "without": self.without,
            "periods": [
                {"period": one.name, "rows": one.rows, "fields": {path: _pairs(of) for path, of in one.labels.items()}}
                for one in self.spans
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason for which rows were rejected: how many, the place of the first, and what was wrong with it."""

    kind: ProblemKind
    field: str | None
    rows: int
    first: int
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {name: getattr(self, name) for name in ("kind", "field", "rows", "first", "message")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The groups that rows are in: how many, and the largest with the number of its rows; `without` are in none."""

    count: int
    without: int
    largest: tuple[tuple[str, int], ...]

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON types."""
        largest = [{"group": name, "rows": rows} for name, rows in self.largest]
        return {"count": self.count, "without": self.without, "largest": largest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What a dataset holds.

    `rows` fit the task; of `rejected` ones nothing but the reasons is counted. Tokens are estimates: `input_tokens` of
    the input alone, `line_tokens` of all that a line to train on holds, instructions and answer with it. In `sources`,
    `checked_by` and `sides` None stands for rows that say nothing; they are empty where no row says anything.
    """

    task: str
    rows: int
    rejected: int
    reasons: tuple[Reason, ...]
    fields: tuple[FieldStats, ...]
    inputs: tuple[InputStats, ...]
    combinations: Combinations
    input_tokens: Spread | None
    line_tokens: Spread | None
    sources: Mapping[str | None, int]
    checked_by: Mapping[str | None, int]
    sides: Mapping[str, int]
    groups: Groups | None
    time: Timeline | None
    unread: int

    def to_json(self) -> dict[str, Any]:
        """Return all of it in JSON types."""
        return {
            "task": self.task,
            "rows": self.rows,
            "rejected": {"rows": self.rejected, "reasons": [one.to_json() for one in self.reasons]},
            "fields": {one.field.path: one.to_json() for one in self.fields},
            "inputs": {one.path: one.to_json() for one in self.inputs},
            "combinations": self.combinations.to_json(),
            "tokens": {
                "input": None if self.input_tokens is None else self.input_tokens.to_json(),
                "line": None if self.line_tokens is None else self.line_tokens.to_json(),
            },
            "sources": _named(self.sources),
            "checked_by": _named(self.checked_by),
            "sides": dict(self.sides),
            "groups": None if self.groups is None else self.groups.to_json(),
            "time": None if self.time is None else self.time.to_json(),
            "unread_times": self.unread,
        }


def each(value: Any) -> Sequence[Label]:
    """The labels in a value: those of tags one by one."""
    return value if isinstance(value, tuple) else (value,)


def _spreads(of: FieldStats | InputStats) -> dict[str, Any]:
    spreads = {name: getattr(of, name, None) for name in ("characters", "words", "values")}
    distinct = {} if of.distinct is None else {"distinct": of.distinct}
    return distinct | {name: one.to_json() for name, one in spreads.items() if one is not None}


def _pairs(counts: Mapping[Label, int]) -> list[dict[str, Any]]:
    return [{"label": label, "rows": rows} for label, rows in counts.items()]


def _named(counts: Mapping[str | None, int]) -> list[dict[str, Any]]:
    return [{"name": name, "rows": rows} for name, rows in counts.items()]
