"""Amounts in words, as the command line tells them."""

from __future__ import annotations


def rows(count: int) -> str:
    """How many rows."""
    return "1 row" if count == 1 else f"{count:,} rows"


def calls(count: int) -> str:
    """How many calls."""
    return "1 call" if count == 1 else f"{count:,} calls"


def tokens(came: int, went: int) -> str:
    """Tokens that came in and went out."""
    return f"{came:,} + {went:,} tokens"


def dollars(cost: float | None) -> str:
    """What something cost, or that nobody knows."""
    if cost is None:
        return "at an unknown price"
    return f"${cost:,.2f}" if cost >= 1.0 else f"${cost:.4f}"


def duration(seconds: float) -> str:
    """A length of time, in the two units that matter."""
    if seconds < 60.0:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60.0)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
