"""What a batch loses where the endpoint fails: one call in five, and all of them for a minute.

    python benchmarks/batch_faults.py [--quick] [--kinds error refuse blackhole]

10,000 rows by `decider run`, 64 at once, against an endpoint on loopback that fails 20 % of its calls: 429 with
Retry-After, 500, a connection that is reset, an answer that never comes, and 200 with what is no completion, each as
often as the others. Nothing may be missing, doubled, wrong or failed, and the calls may be 5 % more than one call in
0.8 that is answered well. Only the deadline of a decision is shorter than by default, since each answer that never
comes takes that long. Then an outage of a minute while 2,000 rows are decided, in several kinds: every call answered
with 500, nobody listening, and calls that are taken and never answered.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from loopback.endpoint import Behaviour, Outage
from loopback.figures import busy, say
from loopback.runs import check, job
from loopback.serving import endpoint
from loopback.tickets import SAID

CONCURRENCY = 64
FAULTS = ("throttled", "error", "reset", "timeout", "garbage")
SHARE = 0.2
OUTAGES = ("error", "refuse", "blackhole")
OUTAGE = 60.0


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows, and a short outage, which proves nothing")
    parser.add_argument("--kinds", nargs="*", choices=OUTAGES, default=OUTAGES, help="kinds of outages")
    parser.add_argument("--data", help="not needed here; taken because `make bench` gives it to every benchmark")
    arguments = parser.parse_args()
    with TemporaryDirectory() as kept:
        folder = Path(kept)
        _faults(folder / "faults", 2000 if arguments.quick else 10_000, deadline=3.0 if arguments.quick else 10.0)
        for kind in arguments.kinds[:1] if arguments.quick else arguments.kinds:
            _outage(folder / kind, kind, 10.0 if arguments.quick else OUTAGE)
        if arguments.quick:
            print(f"  an outage of 10 s proves nothing about one of {OUTAGE:g} s: leave --quick out")
    print(f"  {busy()}")


def _faults(folder: Path, rows: int, deadline: float) -> None:
    """Decide rows while one call in five fails."""
    shares = dict.fromkeys(FAULTS, SHARE / len(FAULTS))
    behaviour = Behaviour(answers=SAID, latency=0.05, spread=0.2, faults=shares, retry_after=1.0)
    with endpoint(behaviour) as server:
        work = job(folder, server.url, rows, retry={"deadline": f"{deadline:g}s"})
        begun = time.monotonic()
        summary = work.run("--concurrency", str(CONCURRENCY), "--max-failed", "100%")
        seconds = time.monotonic() - begun
        counted = server.counts()
    print(f"{rows} rows, {SHARE:.0%} of calls fail ({', '.join(FAULTS)}), {CONCURRENCY} at once: decider run")
    _ended(summary)
    check(work)
    say("calls / (rows / share of calls that end well)", round(counted.calls * (1 - SHARE) / rows, 4), 1.05)
    say("calls that the run does not know of", counted.calls - summary.get("calls", 0), 0)
    say("calls that may be billed, as the run says", summary.get("possibly_billed", 0))
    say("seconds", round(seconds, 1))


def _outage(folder: Path, kind: str, seconds: float) -> None:
    """Decide rows while nothing is answered for some time."""
    rows = 2000
    outage = Outage(kind=kind, seconds=seconds, after=rows // 4)
    with endpoint(Behaviour(answers=SAID, latency=0.3, spread=0.2, outage=outage)) as server:
        work = job(folder, server.url, rows)
        begun = time.monotonic()
        summary = work.run("--concurrency", str(CONCURRENCY), "--max-failed", "100%")
        taken = time.monotonic() - begun
        counted = server.counts()
    calls = max(counted.calls, summary.get("calls", 0))  # nobody counts those that were refused but who made them
    print(f"{rows} rows, outage of {seconds:g} s ({kind}), {CONCURRENCY} at once: decider run")
    _ended(summary)
    check(work)
    say("calls / rows", round(calls / rows, 4), 1.2)
    say("calls during the outage", calls - counted.calls + counted.in_outage)
    say("seconds beyond the outage / ideal", round((taken - seconds) / (rows / CONCURRENCY * 0.3), 2))


def _ended(summary: dict[str, object]) -> None:
    """Say how the run ended where it did not end well."""
    if summary["code"]:
        print(f"  exit code {summary['code']}: {summary['said']}")


if __name__ == "__main__":
    main()
