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
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

import instructor
from httpx2 import Request as HttpRequest
from httpx2 import Response
from loopback import tickets
from loopback.endpoint import Behaviour, completion
from loopback.figures import compare, table
from loopback.serving import endpoint
from loopback.tickets import KEY, MESSAGE, Run, Ticket, asked, task_of
from openai import AsyncOpenAI, OpenAI

from decider.decider import Decider
from decider.decision import Decision, Request, Usage
from decider.draft import Draft
from decider.engines.chat import ChatEngine

CONCURRENCY = 256
LANES = ("schema", "tools", "json")

_LIGHT = ("raw aiohttp", "decider schema")
"""Those that decide all texts several times in a turn, so that it holds its share of garbage collection."""

_NOWHERE = "http://127.0.0.1/v1"
_BLOCK = 50
"""Calls that are timed together, where one is too short for the clock."""

_NOW = datetime.now(UTC)

ANSWER = tickets.answer_to(0)

Client: TypeAlias = Callable[[str], AbstractAsyncContextManager[Run]]
"""Opens a client of the endpoint at a URL."""


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer decisions and rounds, for a first look")
    parser.add_argument("--lanes", nargs="+", choices=LANES, default=LANES, help="values of prompt.structure")
    parser.add_argument("--data", help="not needed here; taken because `make bench` gives it to every benchmark")
    arguments = parser.parse_args()
    calls, rounds, repeats = (512, 2, 150) if arguments.quick else (768, 4, 500)
    with endpoint(Behaviour(answers=(ANSWER.model_dump_json(),))) as server:
        asyncio.run(_concurrent(server.url, arguments.lanes, calls, rounds))
        if "schema" in arguments.lanes:
            _sequential(server.url, repeats)
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
    table(used)
    if "schema" in lanes:
        compare("decider schema", "raw aiohttp", used, 5)
        compare("decider schema", "instructor JSON_SCHEMA", used, 0.2)
        compare("decider schema", "instructor TOOLS", used, 0.2)
    if "tools" in lanes:
        compare("decider tools", "instructor TOOLS", used, 1.1)
    if "json" in lanes:
        compare("decider json", "instructor JSON", used, 1.1)


def _clients(lanes: Sequence[str]) -> dict[str, Client]:
    """Who takes part, in the order of turns: the lanes, and what each is compared with."""
    clients: dict[str, Client] = {}
    by_instructor = partial(tickets.by_instructor, concurrency=CONCURRENCY)
    if "schema" in lanes:
        clients["raw aiohttp"] = partial(tickets.by_hand, concurrency=CONCURRENCY)
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
async def by_decider(url: str, structure: str) -> AsyncIterator[Run]:
    """A Decider, asked for all rows at once."""
    async with Decider(task_of(url, structure)) as decider:

        async def run(texts: Sequence[str]) -> list[Ticket]:
            decisions = decider.adecide_many(texts, concurrency=CONCURRENCY)
            return [decision.output async for decision in decisions]

        yield run


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
    table(walls)
    compare("decider decide()", "openai create()", walls, 0.6)


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
    compare(names[0], names[2], times, 0.2)
    compare(names[1], names[2], times, 0.2)


def _parts(decider: Decider[Ticket]) -> Decision[Ticket]:
    """A decision without anybody who waits for it: the same functions that `adecide` calls, one after the other."""
    task = decider.task
    ((_, engine),) = decider.plan()
    assert isinstance(engine, ChatEngine)
    request = Request(input=task.encode(MESSAGE), fields=task.fields)
    engine.body(request)
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


_BODY = json.dumps(completion(ANSWER.model_dump_json()))
_RESPONSE = Response(200, content=_BODY, request=HttpRequest("POST", f"{_NOWHERE}/chat/completions"))


if __name__ == "__main__":
    main()
