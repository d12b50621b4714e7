"""The job of every client: a text of about 430 letters in, the same Pydantic model of four fields out."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import lru_cache
from itertools import product
from typing import Any, Literal, TypeAlias, get_args

import aiohttp
import instructor
from openai import AsyncOpenAI
from pydantic import BaseModel

from decider.decision import Request
from decider.prompt import render
from decider.schema import strict_schema
from decider.task import Task
from loopback.endpoint import MODEL

KEY = "none"
INSTRUCTIONS = "Route a customer's message."

Topic: TypeAlias = Literal["billing", "delivery", "account", "product"]
Urgency: TypeAlias = Literal["low", "normal", "high", "critical"]
Team: TypeAlias = Literal["payments", "logistics", "identity", "quality", "general"]


class Ticket(BaseModel):
    """What every client is to return."""

    topic: Topic
    urgency: Urgency
    refund: bool
    team: Team


MESSAGE = (
    "I was charged twice for the same order last Tuesday and nobody has replied to either of my two emails so far. The "
    "first charge is right, the second one appeared a minute later with the same amount and a different reference. My "
    "bank says that I should first ask you to return it before they open a dispute. Please send the money back to the "
    "card that I paid with, and tell me in writing when that is done, since I need it before the end of the month."
)

ANSWERS = tuple(
    Ticket(topic=topic, urgency=urgency, refund=refund, team=team)
    for team, topic, refund, urgency in product(get_args(Team), get_args(Topic), (True, False), get_args(Urgency))
)
SAID = tuple(answer.model_dump_json() for answer in ANSWERS)
"""What the endpoint answers: to each row in turn, so that an answer that went to another row is seen."""

Ask: TypeAlias = Callable[[str], Awaitable[Ticket]]
Run: TypeAlias = Callable[[Sequence[str]], Awaitable[list[Ticket]]]
"""Decides texts, as many at once as its client was opened for."""


def text_of(row: int) -> str:
    """Return the text of a row."""
    return f"Ticket {row}: {MESSAGE}"


def answer_to(row: int) -> Ticket:
    """Return what the endpoint says to a row."""
    return ANSWERS[row % len(ANSWERS)]


@lru_cache
def task_of(url: str, structure: str = "schema") -> Task[Ticket]:
    """Return the task that a Decider decides."""
    prompt = {"model": MODEL, "base_url": url, "structure": structure}
    return Task(Ticket, name="ticket", instructions=INSTRUCTIONS, prompt=prompt)


def asked(task: Task[Ticket], text: str) -> dict[str, Any]:
    """Return the body of the request that decider sends for one text."""
    schema = {"name": "decision", "strict": True, "schema": strict_schema(task.fields)}
    return {
        "model": MODEL,
        "messages": render(task, Request(input=text, fields=task.fields)),
        "response_format": {"type": "json_schema", "json_schema": schema},
    }


@contextlib.asynccontextmanager
async def by_hand(url: str, concurrency: int) -> AsyncIterator[Run]:
    """The request that decider sends, by aiohttp alone."""
    frame = asked(task_of(url), MESSAGE)
    system = frame["messages"][0]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:

        async def ask(text: str) -> Ticket:
            messages = [system, {"role": "user", "content": json.dumps(text)}]
            async with session.post(f"{url}/chat/completions", json={**frame, "messages": messages}) as response:
                completion = await response.json()
            return Ticket.model_validate_json(completion["choices"][0]["message"]["content"])

        yield lambda texts: gathered(ask, texts, concurrency)


@contextlib.asynccontextmanager
async def by_instructor(url: str, concurrency: int, *, mode: instructor.Mode) -> AsyncIterator[Run]:
    """Instructor as its documentation shows it, over a default client."""
    async with AsyncOpenAI(base_url=url, api_key=KEY) as openai:
        client = instructor.from_openai(openai, mode=mode)

        async def ask(text: str) -> Ticket:
            return await client.create(
                model=MODEL,
                response_model=Ticket,
                messages=[{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": text}],
                max_retries=0,
            )

        yield lambda texts: gathered(ask, texts, concurrency)


async def gathered(ask: Ask, texts: Sequence[str], concurrency: int) -> list[Ticket]:
    """Return the answers to all texts, `concurrency` of them asked at once."""
    slots = asyncio.Semaphore(concurrency)

    async def one(text: str) -> Ticket:
        async with slots:
            return await ask(text)

    return await asyncio.gather(*map(one, texts))
