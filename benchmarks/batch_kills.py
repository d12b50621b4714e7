"""What a run loses to SIGKILL: 100 of them at random moments over 10,000 rows, each followed by the same command.

    python benchmarks/batch_kills.py [--quick] [--kills 100] [--rows 10000] [--seed 1]

`decider run`, 64 at once, against an endpoint on loopback that answers after 300 ms. Four kills in five come while rows
are decided, at a moment between the first call of a process and twice its fair share of the work, or, once in five,
before that call. The others come when every row has its record, while the results are read and written anew: then the
results must be there whole, or not at all. Nothing may be missing or doubled, in the results and among the records, and
a kill may cost the calls that were under way: at most 64.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from loopback.endpoint import Behaviour
from loopback.figures import busy, say
from loopback.runs import Job, check, job
from loopback.serving import Endpoint, endpoint
from loopback.tickets import SAID

CONCURRENCY = 64
MEAN = 0.3
UNREADY = 0.2
"""The share of kills that come before the first call."""

START = 1.0
"""Seconds in which they come: a process that has to load openai needs more, on any machine."""

OPTIONS = ("--concurrency", str(CONCURRENCY))


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 kills over 1,000 rows")
    parser.add_argument("--kills", type=int, help="how many (default: 100)")
    parser.add_argument("--rows", type=int, help="how many (default: 10,000)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--data", help="not needed here; taken because `make bench` gives it to every benchmark")
    arguments = parser.parse_args()
    kills = arguments.kills or (10 if arguments.quick else 100)
    rows = arguments.rows or (1000 if arguments.quick else 10_000)
    with endpoint(Behaviour(answers=SAID, latency=MEAN, spread=0.2)) as server, TemporaryDirectory() as kept:
        _killed(server, job(Path(kept), server.url, rows), kills, Random(arguments.seed))
    print(f"  {busy()}")


def _killed(server: Endpoint, work: Job, kills: int, random: Random) -> None:
    begun = time.monotonic()
    early = kills - kills // 5
    for n in range(early):
        _kill_deciding(server, work, early - n, random)
    calls, records = server.counts().calls, work.records()
    after_kills = work.run(*OPTIONS)
    torn = _kill_writing(work, kills - early, random)
    summary = work.run(*OPTIONS)
    counted = server.counts()
    print(f"{work.rows} rows, {kills} kills, {CONCURRENCY} at once: decider run")
    say("exit code of the last run", summary["code"], 0)
    if summary["code"]:
        print(summary["said"])
    check(work)
    say("calls beyond the rows, for each kill", round((counted.calls - work.rows) / kills, 2), CONCURRENCY)
    say("most calls for one row", max(asked for asked, _ in server.rows().values()))
    say("rows recorded when the early kills were over", len(records))
    say("calls until then", calls)
    say("rows that the run after them found recorded", after_kills.get("resumed", -1))
    say("results that were there in part after a kill", torn, 0)
    say("seconds", round(time.monotonic() - begun, 1))


def _kill_deciding(server: Endpoint, work: Job, left: int, random: Random) -> None:
    """Kill one process, of so many that are left, while there are rows to decide."""
    before = server.counts()
    share = (work.rows - before.rows) / CONCURRENCY * MEAN / (left + 2)  # some rows are left for the last, too
    begun = time.monotonic()
    unready = random.random() < UNREADY
    with _started(work) as child:
        if unready:
            time.sleep(random.uniform(0.0, START))
        else:
            while server.counts().calls == before.calls and time.monotonic() < begun + 60.0:
                time.sleep(0.01)
            time.sleep(random.uniform(0.0, 2 * share))
        if child.poll() is not None:
            assert child.stderr is not None
            raise RuntimeError(
                f"a process ended before it could be killed, with {child.poll()}: {child.stderr.read()!r}"
            )
        child.kill()


def _kill_writing(work: Job, kills: int, random: Random) -> int:
    """Kill processes that find all rows decided; return how often the results were there in part."""
    begun = time.monotonic()
    assert work.run(*OPTIONS)["code"] == 0
    duration, torn = time.monotonic() - begun, 0
    while kills:
        if random.random() < 0.5:
            work.out.unlink(missing_ok=True)
        with _started(work) as child:
            try:
                child.wait(random.uniform(0.0, duration))
            except subprocess.TimeoutExpired:
                child.kill()
                kills -= 1
        torn += work.out.exists() and sum(1 for _ in work.results()) != work.rows
    return torn


def _started(work: Job) -> subprocess.Popen[bytes]:
    return subprocess.Popen(work.command(*OPTIONS), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


if __name__ == "__main__":
    main()
