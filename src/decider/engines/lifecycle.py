"""When models stop answering: what their providers have announced."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decider.spec import Asked

TUNING_END = date(2027, 1, 6)
"""The last day on which OpenAI takes a new fine-tuning job."""

TUNED_END = date(2027, 1, 14)
"""The day on which the last models that OpenAI lets anybody tune stop answering, tuned or not."""

_ENDS: tuple[tuple[str, date], ...] = (
    (r"gpt-3\.5-turbo.*|gpt-4\.1-nano.*|o4-mini.*", date(2026, 10, 23)),
    (r"gpt-5(-mini|-nano)?(-\d{4}-\d\d-\d\d)?", date(2026, 12, 11)),
    (r"gpt-4o(-mini)?(-\d{4}-\d\d-\d\d)?|gpt-4\.1(-mini)?(-\d{4}-\d\d-\d\d)?", TUNED_END),
)
"""OpenAI's announcements as of November 2026; a fine-tune stops together with the model that it was made from."""


def end_of(asked: Asked) -> date | None:
    """Return the day on which a model stops answering, or None where none is known."""
    if asked.model is None or not asked.is_openai:
        return None
    base = asked.model.split(":")[1] if asked.model.startswith("ft:") and ":" in asked.model[3:] else asked.model
    base = base.removeprefix("ft:")
    return next((day for pattern, day in _ENDS if re.fullmatch(pattern, base)), None)


def warning_of(asked: Asked, today: date) -> str | None:
    """Return what to tell somebody who asks a model that stops, or has stopped."""
    day = end_of(asked)
    if day is None:
        return None
    verb = "stops" if today < day else "stopped"
    return f"the model {asked.model!r} {verb} answering on {day.isoformat()}, as its provider announced; choose another"
