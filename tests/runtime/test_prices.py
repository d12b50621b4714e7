"""What tokens cost, and how many a model takes in."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

import genai_prices
import pytest
from genai_prices import data_snapshot
from genai_prices.types import TieredPrices

from decider.decision import Usage
from decider.runtime.prices import _FLAT, MOST_TOKENS, context_of, price_of
from decider.spec import Asked

OPENAI = "https://api.openai.com/v1"
PERPLEXITY = "https://api.perplexity.ai"
DEEPSEEK = "https://api.deepseek.com"

USAGES = [
    Usage(),
    Usage(input_tokens=1),
    Usage(input_tokens=1234, output_tokens=56, cached_tokens=1000),
    Usage(input_tokens=31_999, output_tokens=1),
    Usage(input_tokens=100_001, output_tokens=10, cached_tokens=100_001),
    Usage(input_tokens=272_001, output_tokens=5000, cached_tokens=1000),
]


def asked(model: str, base_url: str = OPENAI, **more: Any) -> Asked:
    return Asked.model_validate({"model": model, "base_url": base_url, **more})


def listed(model: str, base_url: str, usage: Usage) -> float:
    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cache_read_tokens=usage.cached_tokens
    )
    return float(genai_prices.calc_price(counted, model_ref=model, provider_api_url=base_url).total_price)


def test_the_spec_s_own_price() -> None:
    price = price_of(asked("m", price={"input": 2, "output": 8, "cached": 0.5}))
    assert price is not None
    used = Usage(input_tokens=1_000_000, output_tokens=500_000, cached_tokens=400_000)
    assert price(used) == pytest.approx(0.6 * 2 + 0.5 * 8 + 0.4 * 0.5)


def test_cached_tokens_cost_as_much_as_others_where_nothing_else_is_said() -> None:
    price = price_of(asked("gpt-6-luna", price={"input": 2, "output": 0}))
    assert price is not None
    assert price(Usage(input_tokens=1000, cached_tokens=700)) == pytest.approx(0.002)


def test_a_price_of_nothing_is_a_price() -> None:
    price = price_of(asked("m", price={"input": 0, "output": 0}))
    assert price is not None
    assert price(USAGES[2]) == 0.0


@pytest.mark.parametrize("usage", USAGES)
@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("gpt-6-luna", OPENAI),
        ("gpt-6-luna-2026-09-01", OPENAI),
        ("gpt-4o-mini", OPENAI),
        ("ft:gpt-4o-mini-2024-07-18:acme::AbC123", OPENAI),
        ("gpt-6-luna", f"{OPENAI}/"),
        ("sonar", PERPLEXITY),  # charges for each call, too
        ("deepseek-v4-flash", DEEPSEEK),  # charges by the hour of the day
    ],
)
def test_the_price_of_the_list(model: str, base_url: str, usage: Usage) -> None:
    price = price_of(asked(model, base_url))
    assert price is not None
    assert price(usage) == pytest.approx(listed(model, base_url, usage))


def test_a_price_that_depends_on_the_hour_is_looked_up_at_that_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        hour_of_day = 12

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            return cls(2026, 11, 25, cls.hour_of_day, 30, tzinfo=tz)

    monkeypatch.setattr(data_snapshot, "datetime", Clock)
    used = Usage(input_tokens=1000, output_tokens=100)
    price = price_of(asked("deepseek-v4-flash", DEEPSEEK))
    assert price is not None
    by_day = price(used)
    assert by_day == pytest.approx(listed("deepseek-v4-flash", DEEPSEEK, used))
    Clock.hour_of_day = 2
    by_night = price(used)
    assert by_night == pytest.approx(listed("deepseek-v4-flash", DEEPSEEK, used))
    assert by_day != by_night


def test_the_tier_that_is_asked_for_has_its_own_price() -> None:
    used = Usage(input_tokens=1000, output_tokens=100)
    costs = []
    for tier in ("flex", "default", "priority", "unheard-of", 5):
        price = price_of(asked("gpt-6-luna", params={"service_tier": tier}))
        assert price is not None
        costs.append(price(used) / listed("gpt-6-luna", OPENAI, used))
    assert costs == pytest.approx([0.5, 1.0, 2.0, 1.0, 1.0])


def test_every_model_that_the_list_has_of_a_provider_costs_what_the_list_says() -> None:
    provider = next(one for one in data_snapshot.get_snapshot().providers if one.id == "openai")
    for model in provider.models:
        if model.id.startswith("ft:"):
            continue  # it stands for the fine-tunes of a model, and is none itself
        price = price_of(asked(model.id))
        assert price is not None
        for usage in USAGES:
            assert price(usage) == pytest.approx(listed(model.id, OPENAI, usage)), model.id


def test_no_rate_of_the_list_changes_below_the_flat_part() -> None:
    starts = [
        tier.start
        for provider in data_snapshot.get_snapshot().providers
        for model in provider.models
        for prices in (model.prices if isinstance(model.prices, list) else [model.prices])
        for price in vars(getattr(prices, "prices", prices)).values()
        if isinstance(price, TieredPrices)
        for tier in price.tiers
    ]
    assert min(starts) >= _FLAT


@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("gpt-6-luna", "http://127.0.0.1:9/v1"),
        ("gpt-6-luna", "https://eu.api.openai.com/v1"),
        ("my-own", OPENAI),
        ("ft:my-own:acme", OPENAI),
    ],
)
def test_what_no_list_knows_has_no_price(model: str, base_url: str) -> None:
    assert price_of(asked(model, base_url)) is None


def test_a_model_that_nobody_named_has_no_price() -> None:
    assert price_of(Asked.model_validate({})) is None


def test_how_many_tokens_a_model_takes_in() -> None:
    assert context_of(asked("gpt-6-luna", context=100)) == 100
    assert context_of(asked("gpt-6-luna")) == 1_050_000
    assert context_of(asked("gpt-4o")) == 128_000
    assert context_of(asked("gpt-4o", "http://127.0.0.1:9/v1")) == MOST_TOKENS
