"""What a lint finds, what it looks at, and what each code means."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from decider.data.near import Near
from decider.data.rows import Rejected
from decider.decision import Example
from decider.task import Task

Severity = Literal["error", "warning", "note"]
"""`error` must not be trained on, `warning` costs quality if it is true, `note` is worth knowing."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""All severities, the worst first."""

MOST_ROWS = 50
"""The most row ids that a finding names as JSON, where it could name thousands; its message says how many there are."""

_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with some rows, or with the whole dataset.

    `rows` are the ids of the rows it is about, the one to look at first in front. `certainty` in [0, 1] says how sure
    it is that what the message says is so: 1 where that was counted, less where it was estimated. `suggested` is the
    value of `field` that would mend it, as JSON has it, and None where nothing is suggested.
    """

    code: str
    severity: Severity
    rows: tuple[str, ...]
    message: str
    suggestion: str
    field: str | None = None
    certainty: float = 1.0
    suggested: Any = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object, with the first `MOST_ROWS` rows; `suggested` is there where it is not None."""
        shown = {
            "code": self.code,
            "severity": self.severity,
            "rows": list(self.rows[:MOST_ROWS]),
            "field": self.field,
            "message": self.message,
            "suggestion": self.suggestion,
            "certainty": round(self.certainty, 4),
        }
        return shown if self.suggested is None else shown | {"suggested": self.suggested}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A dataset as the checks look at it; numbers of rows count `examples` from 0.

    `same` gives for each row the number of the first with the same input, `near` the pairs of inputs that are nearly
    the same, by the numbers of such first rows. `sides` says for ids of rows on which side of a split they are, and is
    None where there is no split at all. `places` are the numbers of the examples in their file, from 1, where some of
    its rows are rejected.
    """

    task: Task[Any]
    examples: tuple[Example, ...]
    rejected: tuple[Rejected, ...] = ()
    sides: Mapping[str, str] | None = None
    same: Sequence[int] = ()
    near: Sequence[Near] = ()
    places: Sequence[int] = ()

    def place(self, n: int) -> int:
        """The number of a row in its file, from 1."""
        return self.places[n] if self.places else n + 1

    def clusters(self) -> dict[int, list[int]]:
        """The rows with one input, by the number of the first of them."""
        found: dict[int, list[int]] = {}
        for n, first in enumerate(self.same):
            found.setdefault(first, []).append(n)
        return found

    def id(self, n: int) -> str:
        """The id of a row."""
        return self.examples[n].id or str(n + 1)

    def ids(self, numbers: Sequence[int]) -> tuple[str, ...]:
        """The ids of rows for a finding."""
        return tuple(map(self.id, numbers))

    def side(self, n: int) -> str | None:
        """The side of a split that a row is on, None where it is on none."""
        return None if self.sides is None else self.sides.get(self.id(n))


def shown(value: Any) -> str:
    """A label, a text or another value of JSON as a message quotes it."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…{text[-1]}"


def more(n: int) -> str:
    """How many more there are than those that are named, for the end of a list; nothing where there are none."""
    return f" and {n:,} more" if n > 0 else ""


def counted(n: int, noun: str) -> str:
    """A number of things, such as `1 row` and `1,200 rows`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What a code of findings means: how bad it usually is, what is wrong, and what to do about it."""

    severity: Severity
    meaning: str
    remedy: str


CODES: Mapping[str, Code] = {
    "unreadable": Code(
        severity="error",
        meaning="A line is no JSON object, or a row lacks its input or output, or has keys that no row has.",
        remedy="Write the row as the message says, or delete it.",
    ),
    "unknown-label": Code(
        severity="error",
        meaning="A label is none of the options of its field.",
        remedy="Correct it, add it to the options, or map it with `decider data migrate`.",
    ),
    "schema": Code(
        severity="error",
        meaning="A value or a record breaks a rule of the schema: a type, a bound, or a validator.",
        remedy="Correct the row, or the rule where the rule is wrong.",
    ),
    "empty": Code(
        severity="error",
        meaning="An input has no text, so that nothing can be learned from it.",
        remedy="Delete the row, or find its text; `--fix` leaves it out.",
    ),
    "duplicate-id": Code(
        severity="error",
        meaning="Several rows have the same id; a split and a correction cannot tell them apart.",
        remedy="Give each row an id of its own.",
    ),
    "contradiction": Code(
        severity="error",
        meaning="The same input has different labels; whatever a model answers, it is wrong in some row.",
        remedy="Decide which label is right and give it to all of these rows, or add the input that tells them apart.",
    ),
    "leakage": Code(
        severity="error",
        meaning="The same or nearly the same input, or one group, is on two sides of the split: what is measured on"
        " one was seen on the other.",
        remedy="Make the split with `decider data split`, which keeps them together, or delete one of the rows.",
    ),
    "near-contradiction": Code(
        severity="warning",
        meaning="Nearly the same input has different labels.",
        remedy="Look whether the difference in the text explains the labels; else give them one label.",
    ),
    "label-error": Code(
        severity="warning",
        meaning="Models that learned from the other rows expect another label; `certainty` is the probability that this"
        " one is wrong.",
        remedy="Read the row, most certain first, and correct it where the suggestion is right.",
    ),
    "confusable": Code(
        severity="warning",
        meaning="Two labels are taken for each other; `certainty` is 1 where nothing tells them apart.",
        remedy="Sharpen the descriptions of both options, or merge them with `decider data migrate`.",
    ),
    "duplicate": Code(
        severity="warning",
        meaning="Rows have the same input and the same output; they count double in training and in every measure.",
        remedy="Keep one of them; `--fix` keeps the first.",
    ),
    "near-duplicate": Code(
        severity="note",
        meaning="Rows have nearly the same input and the same output; a model learns little from the second.",
        remedy="Keep one, or leave them: `decider data split` keeps them on one side.",
    ),
    "rare-label": Code(
        severity="warning",
        meaning="A label has too few rows to be learned and measured.",
        remedy="Label more rows with it, or merge it into another with `decider data migrate`.",
    ),
    "unused-option": Code(
        severity="warning",
        meaning="An option of the schema has no row at all.",
        remedy="Label rows with it, or retire it with `decider data migrate`.",
    ),
    "alike-labels": Code(
        severity="warning",
        meaning="Options of one field differ only in case, separators or a plural: they look like one label in two"
        " spellings.",
        remedy="Merge them with `decider data migrate`, or give them names that tell them apart.",
    ),
    "constant": Code(
        severity="warning",
        meaning="A field has the same value in all rows: there is nothing to learn in it, or from it.",
        remedy="Add rows with other values, or take the field out of the schema.",
    ),
    "imbalance": Code(
        severity="note",
        meaning="One label has most of the rows.",
        remedy="Label more rows with the other labels, and look at macro-F1 beside accuracy.",
    ),
    "drift": Code(
        severity="warning",
        meaning="The shares of the labels change over time.",
        remedy="Look what changed at that time: the cases, or who labels them and how.",
    ),
    "label-in-text": Code(
        severity="warning",
        meaning="A label stands in the text that it is to be decided from; a model learns to copy it.",
        remedy="Take it out of the text, unless it is there too when the case is decided.",
    ),
    "no-none-of-these": Code(
        severity="note",
        meaning="A field has no option for a case that fits none of the others.",
        remedy="Add an option such as `other`, or make the field optional.",
    ),
    "determined": Code(
        severity="note",
        meaning="A field follows from another field of the output in all rows, or in nearly all.",
        remedy="Compute it instead of deciding it; where a few rows break the rule, look at these rows.",
    ),
    "missing": Code(
        severity="note",
        meaning="An optional field has a value in hardly any row.",
        remedy="Look whether its values were lost on the way here; else leave it.",
    ),
    "truncated": Code(
        severity="warning",
        meaning="A text seems to have been cut off.",
        remedy="Import the whole text again, or leave the row out.",
    ),
    "mojibake": Code(
        severity="warning",
        meaning="A text was decoded with the wrong character set.",
        remedy="Read its source as UTF-8; `--fix` repairs what can be repaired.",
    ),
    "boilerplate": Code(
        severity="note",
        meaning="Many texts share a passage that says nothing of the case, such as a signature.",
        remedy="Cut it off before deciding, or leave it where it is there too when cases are decided.",
    ),
    "language": Code(
        severity="warning",
        meaning="A text is in another language than the rest.",
        remedy="Leave the row out, or label enough rows in that language.",
    ),
    "personal-data": Code(
        severity="warning",
        meaning="A text holds personal data, such as an address of e-mail.",
        remedy="Set `redact` in the spec, or take it out before the data leaves the house.",
    ),
}
"""All codes, each with its usual severity; a finding may be less severe where it is less sure, and more where it weighs
more."""
