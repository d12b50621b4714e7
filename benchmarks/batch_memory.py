"""What a long batch takes of memory: the peak of `decider run` at 100,000 rows beside that at 2,000.

    python benchmarks/batch_memory.py [--quick] [--rows 100000]

Each run is a process of its own, 64 at once, against an endpoint on loopback that answers at once; its peak is the most
that it had resident, as the system counts it. From JSONL and from CSV, and from JSONL with a log and a cache.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from loopback.endpoint import Behaviour
from loopback.figures import busy, say
from loopback.runs import job, peak
from loopback.serving import Endpoint, endpoint
from loopback.tickets import SAID

FEW = 2000
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "JSONL": ("jsonl", {}),
    "CSV": ("csv", {}),
    "JSONL, log and cache": ("jsonl", {"log": {"folder": "log"}, "cache": {"folder": "cache"}}),
}


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10,000 rows, from JSONL alone")
    parser.add_argument("--rows", type=int, help="how many (default: 100,000)")
    parser.add_argument("--data", help="not needed here; taken because `make bench` gives it to every benchmark")
    arguments = parser.parse_args()
    rows = arguments.rows or (10_000 if arguments.quick else 100_000)
    with endpoint(Behaviour(answers=SAID)) as server, TemporaryDirectory() as kept:
        for name in ("JSONL",) if arguments.quick else KINDS:
            few, many = (_peak(server, Path(kept) / f"{name} {count}", name, count) for count in (FEW, rows))
            print(f"{name}, 64 at once: decider run")
            say(f"peak at {FEW} rows", round(few, 1), unit=" MB")
            say(f"peak at {rows} rows", round(many, 1), unit=" MB")
            say("growth", round(many - few, 1), 50, unit=" MB")
    print(f"  {busy()}")


def _peak(server: Endpoint, folder: Path, name: str, rows: int) -> float:
    kind, keys = KINDS[name]
    work = job(folder, server.url, rows, kind=kind, **keys)
    return peak(work.command("--concurrency", "64"))


if __name__ == "__main__":
    main()
