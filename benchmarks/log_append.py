"""What the log costs: `Log.append` beside a raw `O_APPEND` write of the same bytes, in turns; and what a kill loses.

For each size of input, the median of microseconds of a raw write; of appending the same bytes to the log, which also
looks whether its file was renamed or deleted; of making the JSON and writing it; and of the whole append of a Decision;
the last with its ratio to a raw write, and to JSON and raw write. Then a writer is killed at random moments, again and
again, and what it had acknowledged is looked for in the log.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from decider.decision import Decision, FieldDecision, StepTrace, Usage
from decider.runtime.log import Log
from decider.runtime.log.record import encoded, record_of
from decider.runtime.log.segments import ROTATE_BYTES, Segments
from decider.task import Task

SIZES = (100, 400, 4000)
"""Letters of an input."""


class Triage(BaseModel):
    """Four fields, as a support desk has them."""

    category: Literal["billing", "login", "bug", "other"]
    priority: Literal["low", "normal", "high"]
    escalate: bool
    team: Literal["first", "second", "third"]


TASK = Task(Triage, name="triage", prompt={"model": "gpt-6-luna"})
ANSWER = {"category": "billing", "priority": "high", "escalate": False, "team": "first"}


def decision(letters: int) -> Decision[Triage]:
    """A decision of a local model on a text of so many letters."""
    fields = {
        path: FieldDecision(value=value, probability=0.91234, source="local", calibrated=True)
        for path, value in ANSWER.items()
    }
    step = StepTrace(
        engine="local",
        model="models/triage",
        fields=tuple(fields),
        attempts=1,
        usage=Usage(),
        latency_ms=0.412345,
        cost_usd=0.0,
    )
    return Decision(
        id=os.urandom(16).hex(),
        task="triage",
        version=1,
        status="decided",
        input="I was charged twice. "[: letters % 21] + "I was charged twice. " * (letters // 21),
        mode="finetuned",
        engine="local",
        model="models/triage",
        created_at=datetime.now(UTC),
        latency_ms=0.412345,
        accepted=True,
        confidence=0.71234,
        fields=fields,
        steps=(step,),
        answer=Triage.model_validate(ANSWER),
    )


def medians(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Microseconds of each way, taken in turns, so that what else the machine does falls on all alike."""
    times: dict[str, list[int]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.perf_counter_ns()
            way()
            times[name].append(time.perf_counter_ns() - begun)
    return {name: statistics.median(some) / 1000 for name, some in times.items()}


def compare(folder: Path, letters: int, rounds: int) -> None:
    """Print one line for a size of input."""
    one, log = decision(letters), Log(folder / f"log-{letters}")
    segments = Segments(folder / f"bytes-{letters}", keep=None, fsync=False, rotate_bytes=ROTATE_BYTES)
    record = record_of(one, TASK)
    ready = encoded(record)
    line = b"\n%b\n" % ready
    raw = os.open(folder / f"raw-{letters}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    found = medians(
        {
            "raw": lambda: os.write(raw, line),
            "bytes": lambda: segments.append(ready),
            "encoded": lambda: os.write(raw, b"\n%b\n" % encoded(record)),
            "append": lambda: log.append(one, TASK),
        },
        rounds,
    )
    os.close(raw)
    log.close()
    segments.close()
    raw_us, bytes_us, encoded_us, append_us = found.values()
    print(
        f"{len(line):6} bytes: raw {raw_us:5.2f} us, bytes {bytes_us:5.2f} us ({bytes_us / raw_us:.2f} x raw), "
        f"JSON + raw {encoded_us:5.2f} us, "
        f"append {append_us:5.2f} us ({append_us / raw_us:.2f} x raw, {append_us / encoded_us:.2f} x JSON + raw)"
    )


def write_until_killed(folder: Path) -> None:
    """Append as fast as it goes, and tell each id once its record is written."""
    log = Log(folder, rotate_bytes=200_000)
    while True:
        one = decision(400)
        log.append(one, TASK)
        os.write(1, f"{one.id}\n".encode())


def lost_by_kills(folder: Path, kills: int) -> tuple[int, int]:
    """How many acknowledged records are not there after so many kills at random moments, and of how many."""
    told: list[str] = []
    chance = random.Random(1)
    for _ in range(kills):
        command = [sys.executable, __file__, "--writer", str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            told.append(writer.stdout.readline().strip())
            time.sleep(chance.random() * 0.1)
            writer.send_signal(signal.SIGKILL)
            told += [line.strip() for line in writer.stdout if line.endswith("\n")]
    there = {record.id for record in Log(folder).records()}
    return len([one for one in told if one not in there]), len(told)


def main() -> None:
    """Print one line a size, and one about kills."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10_000, help="appends a size (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=20, help="how often a writer is killed (default: %(default)s)")
    parser.add_argument("--data", help="not needed here; taken because `make bench` gives it to every benchmark")
    parser.add_argument("--writer", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.writer is not None:
        write_until_killed(given.writer)
    with tempfile.TemporaryDirectory() as folder:
        for letters in SIZES:
            compare(Path(folder), letters, given.rounds)
        lost, told = lost_by_kills(Path(folder) / "killed", given.kills)
        print(f"{lost} of {told} acknowledged records lost by {given.kills} kills")


if __name__ == "__main__":
    main()
