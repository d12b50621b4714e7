"""When rows were: the days that their times say, put together into periods that can be looked over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import Literal

from decider.data.split.moments import moment_of
from decider.decision import Example

Period = Literal["day", "week", "month", "quarter", "year"]

MOST_PERIODS = 26
"""Half a year of weeks: where days would be more than this they are put together into weeks, and so on."""

_PERIODS: tuple[Period, ...] = ("day", "week", "month", "quarter")
_SHORTEST: Mapping[Period, int] = {"day": 1, "week": 7, "month": 28, "quarter": 90, "year": 365}
_LONGEST: Mapping[Period, int] = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}


def day_of(example: Example) -> date | None:
    """Return the day, in UTC, on which a row was, or None where it does not say so in a way that can be read."""
    moment = moment_of(example)
    return None if moment is None else moment.date()


def fitting(days: Collection[date]) -> Period:
    """Return the shortest period of which so many days, one or more, make no more than can be looked over."""
    first, last = min(days), max(days)
    return next((one for one in _PERIODS if _between(first, last, one) <= MOST_PERIODS), "year")


def start_of(day: date, period: Period) -> date:
    """Return the first day of the period that a day is in; a week begins on Monday."""
    match period:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case _:
            return day.replace(month=1, day=1)


def name_of(start: date, period: Period) -> str:
    """Return how a period is written: 2026-11-25, 2026-W48, 2026-11, 2026-Q4, 2026."""
    match period:
        case "day":
            return start.isoformat()
        case "week":
            year, week, _ = start.isocalendar()
            return f"{year}-W{week:02}"
        case "month":
            return f"{start:%Y-%m}"
        case "quarter":
            return f"{start:%Y}-Q{(start.month + 2) // 3}"
        case _:
            return f"{start:%Y}"


def all_between(first: date, last: date, period: Period) -> list[date]:
    """Return the first day of every period from that of one day to that of another."""
    start, end, found = start_of(first, period), start_of(last, period), []
    while start < end:
        found.append(start)
        start = start_of(start + timedelta(days=_LONGEST[period]), period)
    return [*found, end]


def _between(first: date, last: date, period: Period) -> int:
    days = (start_of(last, period) - start_of(first, period)).days
    return days // _SHORTEST[period] + 1
