"""Splitting by time: when each row was, and the moments at which a side ends."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from decider.data.split.state import Cutoffs
from decider.decision import Example
from decider.errors import DataError

_SECONDS = re.compile(r"\d{9,10}(\.\d+)?")
_MOST_NAMED = 5


def moments_of(examples: Sequence[Example]) -> list[datetime]:
    """Return when each row was, in UTC, as `moment_of` reads it; raises `DataError`, naming the first it cannot."""
    moments, wrong = [], []
    for example in examples:
        moment = moment_of(example)
        if moment is None:
            wrong.append(f"  row {example.id}: {'no time' if example.time is None else repr(example.time)}")
        else:
            moments.append(moment)
    if wrong:
        more = [f"  and {len(wrong) - _MOST_NAMED} more"] if len(wrong) > _MOST_NAMED else []
        named = "\n".join([*wrong[:_MOST_NAMED], *more])
        raise DataError(
            f"{len(wrong)} of {len(examples)} rows do not say when they were; a time is ISO 8601, such as "
            f"2026-03-01T12:30:00Z, or seconds since 1970, in `time` of each row or in the column that `data.time` "
            f"of the spec names\n{named}"
        )
    return moments


def moment_of(example: Example) -> datetime | None:
    """Return when a row was, in UTC; None where it does not say so in a way that can be read.

    A time is a date or a time of ISO 8601, of UTC where it names no zone, or seconds since 1970.
    """
    if example.time is None:
        return None
    text = example.time.strip()
    try:
        if _SECONDS.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC)
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def cutoffs_of(moments: Sequence[datetime], shares: Mapping[str, float]) -> Cutoffs:
    """Return where sides end, so that each has its share of the rows; rows of one moment are on one side."""
    ordered = sorted(moments)
    train = _end(ordered, shares["train"])
    return Cutoffs(train=train, validation=_end(ordered, shares["train"] + shares["validation"]))


def _end(ordered: Sequence[datetime], share: float) -> datetime | None:
    """The moment of the last row of the first `share`; None where that is all rows, also those to come."""
    if share >= 1 - 1e-9:
        return None
    return ordered[max(round(share * len(ordered)), 1) - 1]
