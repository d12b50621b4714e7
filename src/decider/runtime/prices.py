"""What tokens cost, and how many a model takes in: from the spec, or from the published lists of the providers."""

from __future__ import annotations

from collections.abc import Callable
from math import isclose
from typing import TYPE_CHECKING, TypeAlias

from decider.decision import Usage

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

    from decider.spec import Asked

Price: TypeAlias = Callable[[Usage], float]
"""Dollars for some usage of one model."""

MOST_TOKENS = 1_000_000
"""What is taken for the context of a model that no list knows: no model in use takes more than about this."""

_MILLION = 1_000_000
_FLAT = 32_000
"""Up to this many tokens of input, no provider on the list charges by another rate."""

_PROBE = Usage(input_tokens=3000, output_tokens=500, cached_tokens=1000)


def price_of(asked: Asked) -> Price | None:
    """Return the price of a model, or None where neither the spec nor a list knows it."""
    said = asked.price
    if said is None:
        return _listed(asked)
    return _rates(said.input, said.output, said.input if said.cached is None else said.cached, said.input)


def context_of(asked: Asked) -> int:
    """Return how many tokens a model takes in, by the spec, by a list, or by what is usual."""
    if asked.context is not None:
        return asked.context
    known = _calculated(asked, Usage(input_tokens=1))
    return (known and known.model.context_window) or MOST_TOKENS


def _rates(fresh: float, out: float, cached: float, written: float) -> Price:
    def price(usage: Usage) -> float:
        new = usage.input_tokens - usage.cached_tokens - usage.written_tokens
        kept = usage.cached_tokens * cached + usage.written_tokens * written
        return (new * fresh + kept + usage.output_tokens * out) / _MILLION

    return price


def _listed(asked: Asked) -> Price | None:
    """The price by the list; its rates are looked up once, where they are all that it depends on."""
    fresh, out, cached, written, known = (
        _calculated(asked, usage)
        for usage in (
            Usage(input_tokens=1000),
            Usage(output_tokens=1000),
            Usage(input_tokens=1000, cached_tokens=1000),
            Usage(input_tokens=1000, written_tokens=1000),
            _PROBE,
        )
    )
    if fresh is None or out is None or cached is None or written is None or known is None:
        return None
    flat = _rates(*(float(one.total_price) * 1000 for one in (fresh, out, cached, written)))
    # Some charge for each call, too, and some less by night.
    most = _FLAT if isclose(flat(_PROBE), known.total_price) and not _by_the_hour(known) else -1

    def price(usage: Usage) -> float:
        exact = None if usage.input_tokens <= most else _calculated(asked, usage)
        return flat(usage) if exact is None else float(exact.total_price)

    return price


def _by_the_hour(known: PriceCalculation) -> bool:
    from genai_prices.types import TimeOfDateConstraint

    prices = known.model.prices
    return isinstance(prices, list) and any(isinstance(one.constraint, TimeOfDateConstraint) for one in prices)


def _calculated(asked: Asked, usage: Usage) -> PriceCalculation | None:
    import genai_prices  # an endpoint alone has a price, and the lists take time to load

    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.written_tokens,
    )
    tier = asked.params.get("service_tier")
    said = {"service_tier": tier} if isinstance(tier, str) else None
    try:
        return genai_prices.calc_price(
            counted, model_ref=asked.model or "", provider_api_url=asked.url, price_context=said
        )
    except LookupError:
        return None
