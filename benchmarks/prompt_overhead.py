"""What a prompted decision costs beside the same call by hand, by the plain client, and by instructor.

    python benchmarks/prompt_overhead.py [--quick] [--lanes schema tools json]

Every client asks an endpoint on loopback that answers at once, in a process of its own, so that all of the time is the
client's. Each does the whole job: messages of a text of about 430 letters, the request, and the answer as the same
Pydantic model of four fields. They take turns, and a turn opens its client anew, warms it up, and closes it again; the
first round is dropped. The machine may be busy with other work, which is why ratios count and times do not: each line
has the ratio of the medians, and the median of the ratios of each round, and an aim is met when both keep to it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Literal, TypeAlias

import aiohttp
import instructor
from httpx2 import Request as HttpRequest
from httpx2 import Response
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from decider.decider import Decider
from decider.decision import Decision, Request, Usage
from decider.draft import Draft
from decider.engines.chat import ChatEngine
from decider.prompt import render
from decider.schema import strict_schema
from decider.task import Task

CONCURRENCY = 256
LANES = ("schema", "tools", "json")
MODEL = "loopback"
KEY = "none"
INSTRUCTIONS = "Route a customer's message."
LIFE = 1800.0
"""Seconds after which the endpoint ends even where nobody ends it."""

_LIGHT = ("raw aiohttp", "decider schema")
"""Those that decide all texts several times in a turn, so that it holds its share of garbage collection."""

_NOWHERE = "http://127.0.0.1/v1"
_BLOCK = 50
"""Calls that are timed together, where one is too short for the clock."""

_LENGTH = re.compile(rb"^content-length: *(\d+)\r?$", re.IGNORECASE | re.MULTILINE)


_NOW = datetime.now(UTC)


class Ticket(BaseModel):
    """What every client is to return."""

    topic: Literal["billing", "delivery", "account", "product"]
    urgency: Literal["low", "normal", "high", "critical"]
    refund: bool
    team: Literal["payments", "logistics", "identity", "quality", "general"]


ANSWER = Ticket(topic="billing", urgency="high", refund=True, team="payments")
MESSAGE = (
    "I was charged twice for the same order last Tuesday and nobody has replied to either of my two emails so far. The "
    "first charge is right, the second one appeared a minute later with the same amount and a different reference. My "
    "bank says that I should first ask you to return it before they open a dispute. Please send the money back to the "
    "card that I paid with, and tell me in writing when that is done, since I need it before the end of the month."
)

Ask: TypeAlias = Callable[[str], Awaitable[Ticket]]
Run: TypeAlias = Callable[[Sequence[str]], Awaitable[list[Ticket]]]
"""Decides texts, `CONCURRENCY` of them at once."""

Client: TypeAlias = Callable[[str], AbstractAsyncContextManager[Run]]
"""Opens a client of the endpoint at a URL."""


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer decisions and rounds, for a first look")
    parser.add_argument("--lanes", nargs="+", choices=LANES, default=LANES, help="values of prompt.structure")
    parser.add_argument("--data", help="not needed here; taken because `make bench` gives it to every benchmark")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(_serve())
        return
    calls, rounds, repeats = (512, 2, 150) if arguments.quick else (768, 4, 500)
    with endpoint() as url:
        asyncio.run(_concurrent(url, arguments.lanes, calls, rounds))
        if "schema" in arguments.lanes:
            _sequential(url, repeats)
    if "schema" in arguments.lanes:
        asyncio.run(_own_work(repeats // 5))


async def _concurrent(url: str, lanes: Sequence[str], calls: int, rounds: int) -> None:
    texts = [f"{n}: {MESSAGE}" for n in range(calls)]
    clients = _clients(lanes)
    used: dict[str, list[float]] = {name: [] for name in clients}
    for turn in range(rounds + 1):
        for name, client in clients.items():
            passes = 4 if name in _LIGHT else 1
            seconds = await _cpu_seconds(client, url, texts, passes)
            if turn:
                used[name].append(seconds)
    print(f"{CONCURRENCY} decisions at once, medians of {rounds} rounds: client CPU per decision")
    _table(used)
    if "schema" in lanes:
        _compare("decider schema", "raw aiohttp", used, 5)
        _compare("decider schema", "instructor JSON_SCHEMA", used, 0.2)
        _compare("decider schema", "instructor TOOLS", used, 0.2)
    if "tools" in lanes:
        _compare("decider tools", "instructor TOOLS", used, 1.1)
    if "json" in lanes:
        _compare("decider json", "instructor JSON", used, 1.1)


def _clients(lanes: Sequence[str]) -> dict[str, Client]:
    """Who takes part, in the order of turns: the lanes, and what each is compared with."""
    clients: dict[str, Client] = {}
    if "schema" in lanes:
        clients["raw aiohttp"] = by_hand
        clients["decider schema"] = partial(by_decider, structure="schema")
        clients["instructor JSON_SCHEMA"] = partial(by_instructor, mode=instructor.Mode.JSON_SCHEMA)
    if "tools" in lanes:
        clients["decider tools"] = partial(by_decider, structure="tools")
    if "tools" in lanes or "schema" in lanes:
        clients["instructor TOOLS"] = partial(by_instructor, mode=instructor.Mode.TOOLS)
    if "json" in lanes:
        clients["decider json"] = partial(by_decider, structure="json")
        clients["instructor JSON"] = partial(by_instructor, mode=instructor.Mode.JSON)
    return clients


async def _cpu_seconds(client: Client, url: str, texts: Sequence[str], passes: int) -> float:
    """The CPU time of this process for one text, with every connection already open."""
    used = 0.0
    async with client(url) as run:
        await run(texts[:CONCURRENCY])
        gc.collect()
        for _ in range(passes):
            begun = time.process_time()
            answers = await run(texts)
            used += time.process_time() - begun
            # instructor's answers are of a subclass of its own, and so equal to none of ours.
            said = [answer.model_dump() for answer in answers]
            assert said == [ANSWER.model_dump()] * len(texts), "a client returned something else than the endpoint said"
    return used / passes / len(texts)


@contextlib.asynccontextmanager
async def by_hand(url: str) -> AsyncIterator[Run]:
    """The request that decider sends, by aiohttp alone."""
    frame = asked(task_of(url, "schema"), MESSAGE)
    system = frame["messages"][0]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:

        async def ask(text: str) -> Ticket:
            messages = [system, {"role": "user", "content": json.dumps(text)}]
            async with session.post(f"{url}/chat/completions", json={**frame, "messages": messages}) as response:
                completion = await response.json()
            return Ticket.model_validate_json(completion["choices"][0]["message"]["content"])

        yield partial(gathered, ask)


@contextlib.asynccontextmanager
async def by_instructor(url: str, mode: instructor.Mode) -> AsyncIterator[Run]:
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

        yield partial(gathered, ask)


@contextlib.asynccontextmanager
async def by_decider(url: str, structure: str) -> AsyncIterator[Run]:
    """A Decider, asked for all rows at once."""
    async with Decider(task_of(url, structure)) as decider:

        async def run(texts: Sequence[str]) -> list[Ticket]:
            decisions = decider.adecide_many(texts, concurrency=CONCURRENCY)
            return [decision.output async for decision in decisions]

        yield run


async def gathered(ask: Ask, texts: Sequence[str]) -> list[Ticket]:
    """The answers to all texts, `CONCURRENCY` of them asked at once."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def one(text: str) -> Ticket:
        async with slots:
            return await ask(text)

    return await asyncio.gather(*map(one, texts))


@lru_cache
def task_of(url: str, structure: str) -> Task[Ticket]:
    """The task that every Decider here decides."""
    prompt = {"model": MODEL, "base_url": url, "structure": structure}
    return Task(Ticket, name="ticket", instructions=INSTRUCTIONS, prompt=prompt)


def asked(task: Task[Ticket], text: str) -> dict[str, Any]:
    """The body of the request that decider sends for one text."""
    schema = {"name": "decision", "strict": True, "schema": strict_schema(task.fields)}
    return {
        "model": MODEL,
        "messages": render(task, Request(input=text, fields=task.fields)),
        "response_format": {"type": "json_schema", "json_schema": schema},
    }


def _sequential(url: str, repeats: int) -> None:
    """One call after another, in turns: decide() with everything that it does, beside create() alone."""
    task = task_of(url, "schema")
    body = asked(task, MESSAGE)
    walls: dict[str, list[float]] = {"decider decide()": [], "openai create()": []}
    with Decider(task) as decider, OpenAI(base_url=url, api_key=KEY) as client:
        for turn in range(-repeats // 5, repeats):
            begun = time.perf_counter()
            decision = decider.decide(MESSAGE)
            middle = time.perf_counter()
            completion = client.chat.completions.create(**body)
            ended = time.perf_counter()
            assert decision.output.model_dump_json() == completion.choices[0].message.content
            if turn >= 0:
                walls["decider decide()"].append(middle - begun)
                walls["openai create()"].append(ended - middle)
    print(f"one call after another, medians of {repeats} turns: wall per call")
    _table(walls)
    _compare("decider decide()", "openai create()", walls, 0.6)


async def _own_work(rounds: int) -> None:
    """What a decision does beside the client's post, in parts and as a whole, beside making one JSON schema.

    The parts are what turns an input into a request, a response into a valid output, and that into a `Decision`. The
    whole is a call of `adecide`, with the waiting, the deadline and the account of it all, on a loop that already runs.
    """
    names = ("request, validate, result", "adecide()", "model_json_schema()")
    times: dict[str, list[float]] = {name: [] for name in names}
    client = Prepared(base_url=_NOWHERE, api_key=KEY)
    async with client, Decider(task_of(_NOWHERE, "schema"), client=client) as decider:
        assert (await decider.adecide(MESSAGE)).output == ANSWER
        for turn in range(-rounds // 5, rounds):
            begun = time.process_time()
            for _ in range(_BLOCK):
                _parts(decider)
            parts = time.process_time()
            for _ in range(_BLOCK):
                await decider.adecide(MESSAGE)
            await asyncio.sleep(0)  # a real post lets the loop run, which then forgets the timers that are over
            whole = time.process_time()
            for _ in range(_BLOCK):
                Ticket.model_json_schema()
            spent = (parts - begun, whole - parts, time.process_time() - whole)
            if turn >= 0:
                for name, seconds in zip(names, spent, strict=True):
                    times[name].append(seconds / _BLOCK)
    print(f"without the transport, medians of {rounds} rounds of {_BLOCK}: CPU per call")
    for name, each in times.items():
        print(f"  {name:26} {statistics.median(each) * 1e6:7.1f} us")
    _compare(names[0], names[2], times, 0.2)
    _compare(names[1], names[2], times, 0.2)


def _parts(decider: Decider[Ticket]) -> Decision[Ticket]:
    """A decision without anybody who waits for it: the same functions that `adecide` calls, one after the other."""
    task = decider.task
    ((_, engine),) = decider._plan(None)
    assert isinstance(engine, ChatEngine)
    request = Request(input=task.encode(MESSAGE), fields=task.fields)
    engine._body(request)
    reply = engine._reply(_RESPONSE, request)
    record = Draft(task)
    record.read(reply, task.fields, 0)
    output = record.output()
    return Decision(
        id="0",
        task=task.name,
        version=task.version,
        status="decided",
        input=request.input,
        mode="prompt",
        engine=engine.name,
        model=engine.model,
        created_at=_NOW,
        latency_ms=0.0,
        accepted=True,
        fields=record.decisions(output),
        usage=reply.usage or Usage(),
        cost_usd=engine.cost(reply.usage or Usage()),
        attempts=1,
        answer=output,
    )


class Prepared(AsyncOpenAI):
    """A client that sends nothing: every post has the same response, its body read and not yet parsed."""

    async def post(self, *_: Any, **__: Any) -> Any:
        """Return the response."""
        return _RESPONSE


def _table(times: dict[str, list[float]]) -> None:
    for name, seconds in times.items():
        print(f"  {name:24} {statistics.median(seconds) * 1e6:8.1f} us")


def _compare(ours: str, other: str, times: dict[str, list[float]], aim: float) -> None:
    ratio = statistics.median(times[ours]) / statistics.median(times[other])
    each = statistics.median(a / b for a, b in zip(times[ours], times[other], strict=True))
    verdict = "met" if max(ratio, each) <= aim else "not met"
    print(f"  {f'{ours} / {other}':42} {ratio:6.3f} x, each round {each:6.3f} x; aim: at most {aim:g}, {verdict}")


@contextlib.contextmanager
def endpoint() -> Iterator[str]:
    """The base URL of an endpoint that answers at once, in a process that ends with the block."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"


async def _serve() -> None:
    """Answer until standard input ends: nobody writes to it, so that it is ready to read when its other end is gone."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), over.set)
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=2 * CONCURRENCY)
    print(server.sockets[0].getsockname()[1], flush=True)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), LIFE)


class Connection(asyncio.Protocol):
    """One connection, kept alive: it answers each request with a completion of the kind that was asked for."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are written to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while True:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if length is None or len(rest) < int(length[1]):
                return
            body, self._received = rest[: int(length[1])], rest[int(length[1]) :]
            tools = json.loads(body).get("tools")
            self._transport.write(_response(tools[0]["function"]["name"] if tools else None))


@lru_cache
def _response(tool: str | None) -> bytes:
    body = _completion(tool)
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _completion(tool: str | None) -> bytes:
    """A completion that holds the answer, as a call of `tool` where there is one."""
    message: dict[str, Any] = {"role": "assistant", "content": ANSWER.model_dump_json(), "refusal": None}
    if tool is not None:
        function = {"name": tool, "arguments": message["content"]}
        message |= {"content": None, "tool_calls": [{"id": "call-1", "type": "function", "function": function}]}
    choice = {"index": 0, "message": message, "finish_reason": "stop" if tool is None else "tool_calls"}
    usage = {"prompt_tokens": 200, "completion_tokens": 30, "total_tokens": 230}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL, "usage": usage}
    return json.dumps({**body, "choices": [choice]}).encode()


_RESPONSE = Response(200, content=_completion(None), request=HttpRequest("POST", f"{_NOWHERE}/chat/completions"))


if __name__ == "__main__":
    main()
