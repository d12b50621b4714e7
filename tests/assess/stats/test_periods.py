"""Days put together into periods."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from decider.assess.stats.periods import MOST_PERIODS, Period, all_between, day_of, fitting, name_of, start_of
from decider.decision import Example

DAY = date(2026, 11, 25)


@pytest.mark.parametrize(
    ("time", "day"),
    [
        ("2026-11-25", DAY),
        ("2026-11-25T23:30:00-05:00", DAY + timedelta(days=1)),
        ("1795651200", date(2026, 11, 26)),
        ("soon", None),
        (None, None),
    ],
)
def test_the_day_of_a_row_is_in_utc(time: str | None, day: date | None) -> None:
    assert day_of(Example(input="x", output={}, time=time)) == day


@pytest.mark.parametrize(
    ("period", "start", "name"),
    [
        ("day", DAY, "2026-11-25"),
        ("week", date(2026, 11, 23), "2026-W48"),
        ("month", date(2026, 11, 1), "2026-11"),
        ("quarter", date(2026, 10, 1), "2026-Q4"),
        ("year", date(2026, 1, 1), "2026"),
    ],
)
def test_every_day_is_in_a_period(period: Period, start: date, name: str) -> None:
    assert start_of(DAY, period) == start
    assert name_of(start, period) == name


@pytest.mark.parametrize(
    ("days", "period"), [(1, "day"), (60, "week"), (500, "month"), (2000, "quarter"), (20000, "year")]
)
def test_the_shortest_period_that_can_be_looked_over(days: int, period: Period) -> None:
    last = DAY + timedelta(days=days)
    assert fitting([last, DAY]) == period
    starts = all_between(DAY, last, period)
    assert starts[0] == start_of(DAY, period)
    assert starts[-1] == start_of(last, period)
    assert starts == sorted(set(starts))
    assert len(starts) <= MOST_PERIODS or period == "year"


@pytest.mark.parametrize("period", ["day", "week", "month", "quarter", "year"])
def test_no_period_is_left_out(period: Period) -> None:
    starts = all_between(date(2019, 12, 31), date(2025, 1, 1), period)
    days = (date(2019, 12, 31) + timedelta(days=n) for n in range(1829))
    assert starts == sorted({start_of(day, period) for day in days})
