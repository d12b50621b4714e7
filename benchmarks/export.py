"""How fast a dataset is exported as chat lines, read to written and checked, and what it takes of memory.

    python benchmarks/export.py --data FOLDER [--quick] [--rows 400000] [--sets cfpb_complaints banking77]

FOLDER holds one folder for each set, with its train.jsonl; its rows are taken again and again, until they are as many
as are wanted, each with an id of its own. The reference is the same loop with `json.loads` and `json.dumps`: each line
is read, the row checked against the task, its messages rendered and its answer, the line written; then the file is
read again, and each line checked by the same rules. Both use the same functions of decider for all but JSON, and take
turns, block by block; times are CPU times, and the aim is at least twice the rows of a second. Below stands what
rendering and writing alone takes, of rows that were read before. Memory is the most that a process of its own had
resident, as Linux counts it, for all rows beside a tenth of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from accuracy import declared
from loopback.figures import busy, say

from decider import prompt
from decider.data.exporters import Export
from decider.data.exporters.lines import Inspector, Lines
from decider.data.exporters.targets import target_of
from decider.data.rows import check, read
from decider.data.shapes import CHAT
from decider.decision import Example, Request
from decider.task import Task

SETS = ("cfpb_complaints", "banking77")
TARGET = target_of("together")
AIM = 2.0
GROWTH = 50.0
_EXPORT = f"""
import sys
from pathlib import Path
from decider.data.exporters import Export
from decider.data.exporters.targets import target_of
from decider.task import Task
spec, data, out = map(Path, sys.argv[1:])
Export(task=Task.load(spec), data=data, target=target_of({TARGET.name!r})).write(out)
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""
OURS, PLAIN = "decider data export", "json.loads and json.dumps"


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="the folder of the data sets")
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds, for a first look")
    parser.add_argument("--rows", type=int, help="rows whose memory is measured (default: 400,000)")
    parser.add_argument("--sets", nargs="+", default=SETS, help="which sets (default: %(default)s)")
    arguments = parser.parse_args()
    block, rounds = (2000, 5) if arguments.quick else (10_000, 11)
    rows = arguments.rows or (40_000 if arguments.quick else 400_000)
    for name in arguments.sets:
        with TemporaryDirectory() as kept:
            folder = Path(kept)
            source = (arguments.data / name / "train.jsonl").read_text(encoding="utf-8").splitlines()
            declared([json.loads(line) for line in source]).save(folder / "spec.yaml")
            task: Task[Any] = Task.load(folder / "spec.yaml")
            print(f"{name}: chat lines, {block} rows in turns, {rounds} rounds")
            _speed(task, _dataset(folder, source, block), rounds)
            _memory(folder, source, rows)
    print(f"  {busy()}")


def _dataset(folder: Path, source: list[str], count: int) -> Path:
    """A dataset of so many rows."""
    path = folder / f"{count}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for n, line in enumerate(islice(cycle(source), count)):
            file.write(json.dumps({**json.loads(line), "id": f"r{n}"}, ensure_ascii=False) + "\n")
    return path


def _speed(task: Task[Any], data: Path, rounds: int) -> None:
    out = data.parent
    examples = [row for row in read(data, task) if isinstance(row, Example)]
    whole: dict[str, Callable[[], None]] = {
        OURS: lambda: _ours(task, data, out),
        PLAIN: lambda: _plain(task, data, out),
    }
    part: dict[str, Callable[[], None]] = {
        OURS: lambda: _ours_written(task, examples, out), PLAIN: lambda: _plain_written(task, examples, out)
    }  # fmt: skip
    _compare("read, rendered, written, checked", whole, len(examples), rounds, AIM)
    _same(out)
    _compare("rendered and written alone", part, len(examples), rounds)
    _same(out)


def _compare(name: str, ways: dict[str, Callable[[], None]], rows: int, rounds: int, aim: float | None = None) -> None:
    times: dict[str, list[float]] = {one: [] for one in ways}
    for n in range(rounds + 1):
        for one, way in ways.items():
            begun = time.process_time()
            way()
            if n:  # the first round is there to warm up
                times[one].append(time.process_time() - begun)
    print(f"  {name}")
    for one, seconds in times.items():
        print(f"    {one:32} {rows / statistics.median(seconds):10,.0f} rows a second")
    ratio = statistics.median(times[PLAIN]) / statistics.median(times[OURS])
    each = statistics.median(plain / ours for plain, ours in zip(times[PLAIN], times[OURS], strict=True))
    verdict = "" if aim is None else f"; aim: at least {aim:g} x, {'met' if min(ratio, each) >= aim else 'not met'}"
    print(f"    ratio {ratio:.2f} x, each round {each:.2f} x{verdict}")


def _ours(task: Task[Any], data: Path, out: Path) -> None:
    Export(task=task, data=data, target=TARGET).write(out / "ours.jsonl")


def _plain(task: Task[Any], data: Path, out: Path) -> None:
    with data.open("rb") as lines, (out / "plain.jsonl").open("w", encoding="utf-8") as file:
        for n, line in enumerate(lines, 1):
            example = check(json.loads(line), task, n)
            assert isinstance(example, Example)
            file.write(_dumped(task, example))
    inspector, tokens = Inspector(CHAT, TARGET.rules), 0
    with (out / "plain.jsonl").open("rb") as lines:
        for line in lines:
            tokens += inspector.inspect(json.loads(line))


def _dumped(task: Task[Any], example: Example) -> str:
    messages = prompt.render(task, Request(input=example.input, fields=task.fields), "finetuned")
    answer = prompt.answer(task, example.output, "finetuned")
    return json.dumps({"messages": [*messages, {"role": "assistant", "content": answer}]}) + "\n"


def _ours_written(task: Task[Any], examples: list[Example], out: Path) -> None:
    lines = Lines(task, CHAT)
    with (out / "ours.jsonl").open("wb") as file:
        for example in examples:
            file.write(lines.line(example))


def _plain_written(task: Task[Any], examples: list[Example], out: Path) -> None:
    with (out / "plain.jsonl").open("w", encoding="utf-8") as file:
        for example in examples:
            file.write(_dumped(task, example))


def _same(out: Path) -> None:
    """Both must have written the same lines."""
    ours, plain = (_values(out / f"{name}.jsonl") for name in ("ours", "plain"))
    assert all(a == b for a, b in zip(ours, plain, strict=True))


def _values(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        yield from map(json.loads, file)


def _memory(folder: Path, source: list[str], rows: int) -> None:
    few, many = (_peak(folder, _dataset(folder, source, count)) for count in (rows // 10, rows))
    say(f"peak at {rows // 10} rows", round(few, 1), unit=" MB")
    say(f"peak at {rows} rows", round(many, 1), unit=" MB")
    say("growth", round(many - few, 1), GROWTH, unit=" MB")


def _peak(folder: Path, data: Path) -> float:
    """The megabytes of a process that exports: its own, and not those of this one, which `ru_maxrss` begins with."""
    command = [sys.executable, "-c", _EXPORT, str(folder / "spec.yaml"), str(data), str(folder / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


if __name__ == "__main__":
    main()
