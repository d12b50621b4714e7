"""When models stop answering, and what is said of it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from decider.engines.lifecycle import end_of, warning_of
from decider.spec import Asked

SMALL = date(2026, 10, 23)
FIVES = date(2026, 12, 11)
FOURS = date(2027, 1, 14)


def asked(model: str | None, **more: Any) -> Asked:
    return Asked.model_validate({"model": model, **more} if model else more)


@pytest.mark.parametrize(
    ("model", "day"),
    [
        ("gpt-3.5-turbo", SMALL),
        ("gpt-3.5-turbo-0125", SMALL),
        ("gpt-4.1-nano", SMALL),
        ("gpt-4.1-nano-2025-04-14", SMALL),
        ("o4-mini", SMALL),
        ("o4-mini-2025-04-16", SMALL),
        ("gpt-5", FIVES),
        ("gpt-5-mini", FIVES),
        ("gpt-5-nano-2025-08-07", FIVES),
        ("gpt-4o", FOURS),
        ("gpt-4o-mini", FOURS),
        ("gpt-4o-2024-11-20", FOURS),
        ("gpt-4.1", FOURS),
        ("gpt-4.1-mini-2025-04-14", FOURS),
        ("ft:gpt-4o-mini-2024-07-18:acme::AbC123", FOURS),
        ("ft:gpt-4.1-nano-2025-04-14:acme:triage:AbC123", SMALL),
        ("ft:gpt-4.1", FOURS),
        ("ft:gpt-6-luna:acme::AbC123", None),
        ("ft:", None),
        ("gpt-5.1", None),
        ("gpt-5-pro", None),
        ("gpt-5.6-luna", None),
        ("gpt-6-luna", None),
        ("gpt-4o-transcribe", None),
        ("my-gpt-4o", None),
        (None, None),
    ],
)
def test_the_day_on_which_a_model_stops(model: str | None, day: date | None) -> None:
    assert end_of(asked(model)) == day


def test_only_openai_s_own_models_are_known() -> None:
    assert end_of(asked("gpt-4o", base_url="http://127.0.0.1:9/v1")) is None
    assert end_of(asked("gpt-4o", base_url="https://eu.api.openai.com/v1")) == FOURS


def test_the_warning_names_the_day_and_says_whether_it_has_come() -> None:
    said = "the model 'gpt-5' {} answering on 2026-12-11, as its provider announced; choose another"
    assert warning_of(asked("gpt-5"), FIVES - timedelta(days=1)) == said.format("stops")
    assert warning_of(asked("gpt-5"), FIVES) == said.format("stopped")
    assert warning_of(asked("gpt-6-luna"), FIVES) is None
