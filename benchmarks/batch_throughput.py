"""How close a batch comes to what the endpoint could give: `decide_many` beside instructor, and beside aiohttp alone.

    python benchmarks/batch_throughput.py [--quick]

2,000 rows against an endpoint on loopback that answers after 300 ms, give or take 20 %. Ideal is rows / concurrency x
300 ms: nobody who keeps to the concurrency can be faster. The client is held to one core and the endpoint to another.
The clients take turns, and each makes one call before its clock starts, so that nobody's imports are counted; opening
the connections is. Then the same with 10 % of the calls throttled (429, come back in a second) and 5 % of the answers
malformed: no row may be missing, or failed, or have the answer of another.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import instructor
from loopback import tickets
from loopback.endpoint import Behaviour
from loopback.figures import busy, compare, say
from loopback.runs import job
from loopback.serving import Endpoint, cores, endpoint, on_core
from loopback.tickets import SAID, Run, Ticket, answer_to, task_of, text_of

from decider.decider import Decider

ROWS = 2000
MEAN = 0.3
SPREAD = 0.2
NARROW, WIDE = 64, 256

Client: TypeAlias = Callable[[str, Sequence[str], int], tuple[float, float, list[Ticket]]]
"""Decides texts at a URL with a concurrency; returns the seconds that took, the CPU seconds, and the answers."""


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, for a first look")
    parser.add_argument("--rounds", type=int, help="rounds in which each client has its turn (default: 3)")
    parser.add_argument("--data", help="not needed here; taken because `make bench` gives it to every benchmark")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    ours, theirs = cores() or (None, None)
    calm = Behaviour(answers=SAID, latency=MEAN, spread=SPREAD)
    with endpoint(calm, core=theirs) as server, on_core(ours):
        _walls(server, rounds)
        _run(server)
        _faults(server, calm)
    print(f"  {busy()}")


def _walls(server: Endpoint, rounds: int) -> None:
    """Time every client at both concurrencies, in turns."""
    clients: dict[str, tuple[Client, int]] = {
        f"decide_many, {NARROW} at once": (by_decider, NARROW),
        f"aiohttp alone, {NARROW} at once": (by_hand, NARROW),
        f"decide_many, {WIDE} at once": (by_decider, WIDE),
        f"aiohttp alone, {WIDE} at once": (by_hand, WIDE),
        f"instructor and gather, {WIDE} at once": (by_instructor, WIDE),
    }
    walls: dict[str, list[float]] = {name: [] for name in clients}
    used: dict[str, list[float]] = {name: [] for name in clients}
    for _ in range(rounds):
        for name, (client, concurrency) in clients.items():
            wall, cpu = _turn(server, client, concurrency)
            walls[name].append(wall)
            used[name].append(cpu)
    print(f"{ROWS} rows at {MEAN * 1000:g} ms, client on one core, medians of {rounds} rounds: wall, ideal, client CPU")
    for name, (_, concurrency) in clients.items():
        wall, ideal = statistics.median(walls[name]), _ideal(concurrency)
        aim = {NARROW: 1.10, WIDE: 1.6}[concurrency] if name.startswith("decide_many") else None
        print(f"  {name:36} {wall:6.2f} s of {ideal:5.2f} s, CPU {statistics.median(used[name]):5.2f} s")
        say(f"{name}: wall / ideal", round(wall / ideal, 3), aim, unit=" x")
    compare(f"decide_many, {WIDE} at once", f"instructor and gather, {WIDE} at once", walls, 0.35)


def _turn(server: Endpoint, client: Client, concurrency: int) -> tuple[float, float]:
    server.reset()
    wall, cpu, answers = client(server.url, [text_of(row) for row in range(ROWS)], concurrency)
    said = [answer.model_dump() for answer in answers]  # instructor's are of a subclass of its own
    assert said == [answer_to(row).model_dump() for row in range(ROWS)], "a row has not the answer that it was given"
    assert server.counts().most_at_once <= concurrency, "a client asked more at once than it should"
    return wall, cpu


def _run(server: Endpoint) -> None:
    """Time the command, from the first look at the input to the results that are renamed into place."""
    print(f"{ROWS} rows at {MEAN * 1000:g} ms: decider run, with what it loads, reads, records and writes")
    for concurrency in (NARROW, WIDE):
        with TemporaryDirectory() as folder:
            summary = job(Path(folder), server.url, ROWS).run("--concurrency", str(concurrency))
        say(
            f"decider run, {concurrency} at once: wall / ideal",
            round(summary["seconds"] / _ideal(concurrency), 3),
            unit=" x",
        )


def _faults(server: Endpoint, calm: Behaviour) -> None:
    """Count what is lost where the endpoint throttles and errs."""
    shares = {"throttled": 0.10, "malformed": 0.05}
    server.behave(Behaviour(answers=SAID, latency=MEAN, spread=SPREAD, faults=shares))
    begun = time.perf_counter()
    with Decider(task_of(server.url)) as decider:
        decisions = list(decider.decide_many(map(text_of, range(ROWS)), concurrency=NARROW))
    wall = time.perf_counter() - begun
    rows = {int(decision.row_id or 0) - 1: decision for decision in decisions}
    wrong = sum(decision.get() not in (None, answer_to(row)) for row, decision in rows.items())
    print(f"the same with 10 % throttled and 5 % malformed, {NARROW} at once: decide_many")
    say("rows missing", ROWS - len(rows), 0)
    say("rows doubled", len(decisions) - len(rows), 0)
    say("rows failed", sum(decision.get() is None for decision in decisions), 0)
    say("rows with a wrong answer", wrong, 0)
    say("calls / (rows / share of calls that end well)", round(server.counts().calls / (ROWS / 0.85), 3))
    say("wall / ideal", round(wall / _ideal(NARROW), 3), unit=" x")
    server.behave(calm)


def _ideal(concurrency: int) -> float:
    return ROWS / concurrency * MEAN


def by_decider(url: str, texts: Sequence[str], concurrency: int) -> tuple[float, float, list[Ticket]]:
    """A Decider, as a caller who is not async uses it."""
    with Decider(task_of(url)) as decider:
        decider.decide(texts[0])
        begun, cpu = time.perf_counter(), time.process_time()
        answers = [decision.output for decision in decider.decide_many(texts, concurrency=concurrency)]
        return time.perf_counter() - begun, time.process_time() - cpu, answers


def by_hand(url: str, texts: Sequence[str], concurrency: int) -> tuple[float, float, list[Ticket]]:
    """The request that decider sends, by aiohttp alone."""
    return asyncio.run(_timed(tickets.by_hand(url, concurrency), texts))


def by_instructor(url: str, texts: Sequence[str], concurrency: int) -> tuple[float, float, list[Ticket]]:
    """Instructor, all rows gathered behind a semaphore."""
    return asyncio.run(_timed(tickets.by_instructor(url, concurrency, mode=instructor.Mode.JSON_SCHEMA), texts))


async def _timed(client: AbstractAsyncContextManager[Run], texts: Sequence[str]) -> tuple[float, float, list[Ticket]]:
    async with client as run:
        await run(texts[:1])
        begun, cpu = time.perf_counter(), time.process_time()
        answers = await run(texts)
        return time.perf_counter() - begun, time.process_time() - cpu, answers


if __name__ == "__main__":
    main()
