"""What the engines that ask an endpoint have in common: the way to it, what it costs, and how much it takes in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openai import AsyncOpenAI, OpenAI
from pydantic_core import to_json

from decider.decision import Usage
from decider.engines.base import Engine
from decider.engines.endpoint import Endpoint
from decider.engines.limits import base_of
from decider.errors import InputError
from decider.runtime.prices import context_of, price_of
from decider.spec import Asked, Role

_AROUND = 1000
"""Tokens that a server may add to what is sent: the marks around messages, and instructions of its own for tools."""


def endpoint_of(asked: Asked, client: OpenAI | AsyncOpenAI | None) -> Endpoint:
    """Return the endpoint of a model, without the path of a dialect that its URL, or that of a client, may end in."""
    named = Endpoint(asked, client).asked
    base = base_of(named)
    if client is not None and base != named.url:
        client = client.with_options(base_url=base)
    return Endpoint(named.model_copy(update={"base_url": base}), client)


class RemoteEngine(Engine):
    """An engine behind an endpoint; `role` is the section of the spec that says which."""

    in_process = False

    def __init__(self, endpoint: Endpoint, role: Role) -> None:
        self._endpoint = endpoint
        self._role = role
        self._asked = endpoint.asked
        self._price = price_of(self._asked)
        self._context = context_of(self._asked)

    @property
    def place(self) -> str:
        """The endpoint."""
        return self._endpoint.url

    @property
    def model(self) -> str:
        """The model that the spec names."""
        return self._asked.model or ""

    def cost(self, usage: Usage) -> float | None:
        """The dollars that `usage` costs, by the spec or by the provider's list."""
        return None if self._price is None else self._price(usage)

    def close(self) -> None:
        """Close the sync client."""
        self._endpoint.close()

    async def aclose(self) -> None:
        """Close the async client of the running loop."""
        await self._endpoint.aclose()

    def _most(self, body: Mapping[str, Any], output: int | None) -> Usage | None:
        """The bound on a call: no token is less than a byte, and a server adds a few around each message."""
        if output is None:
            return None
        return Usage(input_tokens=len(to_json(body)) + _AROUND, output_tokens=output)

    def _refuse(self, needed: int) -> None:
        """Raise `InputError` where so many tokens are more than the model takes in."""
        if needed > self._context:
            message = f"the input would need about {needed} tokens, and {self.model!r} takes {self._context} in"
            remedy = f"shorten it, or name a model that takes more ({self._role}.context says how many it takes)"
            raise InputError(f"{message}; {remedy}")
