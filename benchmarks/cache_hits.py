"""What a hit in the cache costs, from the call to the validated output, beside its floor, instructor and dspy.

    python benchmarks/cache_hits.py [--quick] [--dspy PYTHON]

The floor in memory is what no hit can do without: the key, a dict, and validating. On disk it is the same with a plain
diskcache, of texts. Each decides the same texts, all of which were decided before, block by block in turns; times are
CPU times. Before each block that is to come from disk, the memory in front of it is emptied. dspy needs an environment
of its own: PYTHON is its interpreter, in which `pip install dspy` was run, by default .venv-dspy/bin/python; where
there is none, dspy is left out. Then what is said of the cache between processes and threads: how many calls the
endpoint got.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import diskcache
import instructor
from instructor.cache import DiskCache
from loopback.endpoint import MODEL, Behaviour
from loopback.figures import busy, compare, say, table
from loopback.serving import Endpoint, endpoint
from loopback.tickets import INSTRUCTIONS, KEY, SAID, Ticket, answer_to, text_of
from openai import OpenAI
from pydantic_core import to_json

from decider.decider import Decider
from decider.pipeline import recall
from decider.task import Task

DSPY = ".venv-dspy/bin/python"
THREADS = 200
BLOCK = 200
"""Hits that are timed together."""

WARM = 50
"""Hits before them that are not: the processor has just done something else."""

MEMORY, DISK = "decide(), from memory", "decide(), from disk"
FLOOR, DISK_FLOOR = "key + dict + validate", "key + diskcache.get + validate"
INSTRUCTOR = "instructor, DiskCache"
DSPY_MEMORY, DSPY_DISK = "dspy, from memory", "dspy, from disk"

Turn: TypeAlias = Callable[[Sequence[str]], float]
"""Decides texts, all of them hits, and returns the CPU seconds of one."""


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds, for a first look")
    parser.add_argument("--dspy", metavar="PYTHON", default=DSPY, help="where dspy is installed (default: %(default)s)")
    parser.add_argument("--data", help="not needed here; taken because `make bench` gives it to every benchmark")
    parser.add_argument("--again", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.again:
        _again(*arguments.again)
        return
    rows, rounds = (500, 20) if arguments.quick else (2000, 60)
    with endpoint(Behaviour(answers=SAID)) as server, TemporaryDirectory() as kept:
        folder = Path(kept)
        _hits(server, folder, rows, rounds, shutil.which(arguments.dspy))
        _second_process(server, folder, rows)
        _crowd(server, folder)
    print(f"  {busy()}")


def _hits(server: Endpoint, folder: Path, rows: int, rounds: int, dspy: str | None) -> None:
    """Time hits of each, in turns."""
    texts = [text_of(row) for row in range(rows)]
    with contextlib.ExitStack() as stack:
        turns = _turns(server, folder, texts, stack)
        if dspy is not None:
            turns |= stack.enter_context(_dspy(dspy, folder))
        times: dict[str, list[float]] = {name: [] for name in turns}
        before = server.counts().calls
        gc.collect()
        gc.freeze()
        for turn in range(-2, rounds):
            block = [texts[(turn * BLOCK + n) % rows] for n in range(WARM + BLOCK)]
            for name, seconds in turns.items():
                taken = seconds(block)
                if turn >= 0:
                    times[name].append(taken)
        asked = server.counts().calls - before
    print(f"hits among {rows} rows, medians of {rounds} rounds of {BLOCK}: CPU per hit")
    table(times)
    say("calls of the endpoint in the meantime", asked, 0)
    compare(MEMORY, FLOOR, times, 4)
    compare(DISK, DISK_FLOOR, times, 1.6)
    for ours in (MEMORY, DISK):
        compare(ours, INSTRUCTOR, times, 0.05)
    if dspy is None:
        print("  dspy was left out: give --dspy the Python of an environment that has it")
    else:
        compare(MEMORY, DSPY_MEMORY, times, 0.05)
        compare(DISK, DSPY_DISK, times, 0.05)
    for logged, ours in ((f"{MEMORY}, log on", MEMORY), (f"{DISK}, log on", DISK)):
        more = statistics.median(times[logged]) - statistics.median(times[ours])
        say(f"what the log adds: {logged}", round(more * 1e6, 1), unit=" us")


def _turns(server: Endpoint, folder: Path, texts: Sequence[str], stack: contextlib.ExitStack) -> dict[str, Turn]:
    """Return who takes part in this process, each with all rows in its cache."""
    # From memory and from disk in turns: emptying the memory of the one must not empty that of the other.
    memory, disk, memory_log, disk_log = (
        stack.enter_context(Decider(_task(server.url, folder, **keys)))
        for keys in ({}, {}, {"log": {"folder": "log"}}, {"log": {"folder": "log"}})
    )
    for decider in (memory, disk, memory_log, disk_log):
        for _ in decider.decide_many(texts):
            pass
    task, prefix = memory.task, next(iter(memory.around.prefixes.values()))

    def key(text: str) -> str:
        return recall.key(prefix, to_json(text))

    answers = {key(text): answer_to(row).model_dump_json() for row, text in enumerate(texts)}
    plain = stack.enter_context(diskcache.Cache(str(folder / "plain")))
    for name, answer in answers.items():
        plain.set(name, answer)
    client = stack.enter_context(OpenAI(base_url=server.url, api_key=KEY))
    cached = instructor.from_openai(
        client, mode=instructor.Mode.JSON_SCHEMA, cache=DiskCache(str(folder / "instructor")), cache_namespace="ours"
    )

    def by_instructor(text: str) -> Ticket:
        messages: list[Any] = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": text}]
        return cached.create(model=MODEL, response_model=Ticket, messages=messages, max_retries=0)

    for text in texts:
        by_instructor(text)
    return {
        FLOOR: _timed(lambda text: task.parse(answers[key(text)])),
        MEMORY: _timed(lambda text: memory.decide(text).output),
        f"{MEMORY}, log on": _timed(lambda text: memory_log.decide(text).output),
        DISK_FLOOR: _timed(lambda text: task.parse(plain.get(key(text)))),
        DISK: _timed(lambda text: disk.decide(text).output, before=lambda: _forget(disk)),
        f"{DISK}, log on": _timed(lambda text: disk_log.decide(text).output, before=lambda: _forget(disk_log)),
        INSTRUCTOR: _timed(by_instructor),
    }


def _task(url: str, folder: Path, **keys: Any) -> Task[Ticket]:
    prompt = {"model": MODEL, "base_url": url}
    return Task(
        Ticket,
        name="ticket",
        instructions=INSTRUCTIONS,
        folder=folder,
        prompt=prompt,
        cache={"folder": "cache"},
        **keys,
    )


def _timed(decide: Callable[[str], Ticket], before: Callable[[], None] | None = None) -> Turn:
    def turn(texts: Sequence[str]) -> float:
        if before is not None:
            before()
        for text in texts[:WARM]:
            decide(text)
        begun = time.process_time()
        for text in texts[WARM:]:
            decide(text)
        return (time.process_time() - begun) / len(texts[WARM:])

    return turn


def _forget(decider: Decider[Ticket]) -> None:
    """Empty the memory in front of the disk."""
    assert decider.cache is not None
    decider.cache._memory.clear()


@contextlib.contextmanager
def _dspy(python: str, folder: Path) -> Iterator[dict[str, Turn]]:
    """Time dspy in a process of its own; its endpoint answers in the form that dspy asks for."""
    said = tuple(f"[[ ## ticket ## ]]\n{one}\n\n[[ ## completed ## ]]" for one in SAID)
    with endpoint(Behaviour(answers=said)) as server:
        command = [python, str(Path(__file__).parent / "loopback/dspy_hits.py"), server.url, str(folder / "dspy")]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=quiet, text=True) as child:
            from_disk = [0.0]

            def memory(texts: Sequence[str]) -> float:
                assert child.stdin is not None
                assert child.stdout is not None
                print(len(texts[WARM:]), file=child.stdin, flush=True)
                seconds, from_disk[0] = map(float, child.stdout.readline().split())
                return seconds

            yield {DSPY_MEMORY: memory, DSPY_DISK: lambda _: from_disk[0]}
            child.kill()


def _second_process(server: Endpoint, folder: Path, rows: int) -> None:
    """Decide the same rows in another process."""
    server.reset()
    command = [sys.executable, __file__, "--again", server.url, str(folder), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    counted = json.loads(done.stdout)
    print(f"{rows} rows in a second process")
    say("rows that were no hit", rows - counted["cached"], 0)
    say("rows with a wrong answer", counted["wrong"], 0)
    say("calls of the endpoint", server.counts().calls, 0)


def _again(url: str, folder: str, rows: str) -> None:
    with Decider(_task(url, Path(folder))) as decider:
        decisions = list(decider.decide_many(map(text_of, range(int(rows)))))
    wrong = sum(decision.output != answer_to(row) for row, decision in enumerate(decisions))
    print(json.dumps({"cached": sum(decision.cached for decision in decisions), "wrong": wrong}))


def _crowd(server: Endpoint, folder: Path) -> None:
    """Ask the same of 200 threads at once, of which nobody has the answer yet."""
    server.behave(Behaviour(answers=SAID, latency=0.1))
    barrier, answers = threading.Barrier(THREADS), list[Ticket]()
    with Decider(_task(server.url, folder / "crowd")) as decider:

        def ask() -> None:
            barrier.wait()
            answers.append(decider.decide(text_of(7)).output)

        threads = [threading.Thread(target=ask) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(f"{THREADS} threads, one input")
    say("calls of the endpoint", server.counts().calls, 1)
    say("threads without the answer", THREADS - answers.count(answer_to(7)), 0)


if __name__ == "__main__":
    main()
