"""What importing decider costs: CPU time of fresh processes, beside what a program with a schema pays anyway.

For each statement, the median of CPU milliseconds, its ratio to the base (the aim is at most 1.25), and the same ratio
with the time of an interpreter that does nothing taken off both.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile

NOTHING = "pass"
BASE = "from pydantic import BaseModel\nclass Answer(BaseModel):\n    team: str\nimport yaml"
STATEMENTS = {
    "an interpreter alone": NOTHING,
    "pydantic, one model, yaml": BASE,
    "import decider": "import decider",
    "from decider import Task, Decider, decide": "from decider import Task, Decider, decide",
}


def cpu_seconds(code: str, environment: dict[str, str]) -> float:
    """User and system time of one fresh interpreter that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(runs: int, bytecode: str) -> dict[str, float]:
    """The median of each statement, taken in turns, so that what else the machine does falls on all alike.

    Every module is compiled once into the folder `bytecode`, as an installed package is, wherever its source lies.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    times: dict[str, list[float]] = {code: [] for code in STATEMENTS.values()}
    for code in times:
        cpu_seconds(code, environment)
    for _ in range(runs):
        for code, measured in times.items():
            measured.append(cpu_seconds(code, environment))
    return {code: statistics.median(measured) for code, measured in times.items()}


def main() -> None:
    """Print one line a statement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=25, help="fresh processes a statement (default: %(default)s)")
    parser.add_argument("--data", help="not needed here; taken because `make bench` gives it to every benchmark")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as bytecode:
        medians = measure(runs, bytecode)
    start, base = medians[NOTHING], medians[BASE]
    for name, code in STATEMENTS.items():
        ratio, net = medians[code] / base, (medians[code] - start) / (base - start)
        print(f"{name:42} {medians[code] * 1000:7.1f} ms {ratio:6.2f} x {net:6.2f} x net")


if __name__ == "__main__":
    main()
