"""Splitting again after rows came in: what moved, what is apart, how labels are shared; and near-duplicates in time.

    python benchmarks/resplit.py --data FOLDER [--sets cfpb_complaints banking77 nlupp_requests] [--rows 100000]

FOLDER holds one folder for each set, with its train.jsonl. Nine tenths of the rows, drawn with a seed, are split; then
all of them are, in another order. Every tenth row gets a group with another one, and 2 % of the rows come a second time
with a word more, so that there is something to keep together. The deviation of a label is how far its share on a side
is from its share of all rows; the joint stratification stands beside a split at random of the same sizes.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from accuracy import declared

from decider.data.dataset import Dataset
from decider.data.near import near, same
from decider.data.split import SIDES, Side, Split, report, split
from decider.task import Task

SETS = ("cfpb_complaints", "banking77", "nlupp_requests")
RANDOM = 20


def loaded(folder: Path, draw: random.Random) -> tuple[Task[Any], list[Any]]:
    """A set's task, and its rows with groups and near-duplicates."""
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    task = declared(rows)
    examples = [replace(one, id=f"r{n}", numbered=False) for n, one in enumerate(Dataset.of(rows, task))]
    for n in range(0, len(examples) - 7, 20):
        examples[n], examples[n + 7] = (replace(examples[at], group=f"g{n}") for at in (n, n + 7))
    for n, at in enumerate(draw.sample(range(len(rows)), len(rows) // 50)):
        given = rows[at]["input"]
        said = {key: f"{value} please" if isinstance(value, str) else value for key, value in given.items()}
        examples.append(replace(examples[at], id=f"d{n}", input=said, group=None))
    return task, examples


def apart(dataset: Dataset, task: Task[Any], sides: Mapping[str, Side]) -> tuple[int, int]:
    """Groups, and pairs of near-duplicates or of same inputs, that have rows on two sides."""
    names = [one.id or "" for one in dataset]
    groups: dict[str, set[Side]] = defaultdict(set)
    for one in dataset:
        if one.group is not None and sides[one.id or ""] != "excluded":
            groups[one.group].add(sides[one.id or ""])
    inputs = [one.input for one in dataset]
    pairs = [(one.first, one.second) for one in near(inputs, task.inputs)] + list(enumerate(same(inputs)))
    held = [{sides[names[a]], sides[names[b]]} - {"excluded"} for a, b in pairs]
    return sum(len(on) > 1 for on in groups.values()), sum(len(on) > 1 for on in held)


def at_random(dataset: Dataset, task: Task[Any], found: Split, draw: random.Random) -> list[float]:
    """The largest deviations of splits at random, with as many rows on each side."""
    largest = []
    for _ in range(RANDOM):
        values = list(found.sides.values())
        draw.shuffle(values)
        drawn = replace(found, sides=dict(zip(found.sides, values, strict=True)))
        largest.append(report(dataset, task, drawn).deviations[0].size)
    return sorted(largest)


def resplit(folder: Path) -> None:
    """Print one set's splits."""
    draw = random.Random(1)
    task, examples = loaded(folder, draw)
    draw.shuffle(examples)
    first = Dataset(tuple(examples[: len(examples) * 9 // 10]))
    before = split(first, task)
    dataset = Dataset(tuple(draw.sample(examples, len(examples))))
    begun = time.perf_counter()
    after = split(dataset, task, before=before)
    seconds = time.perf_counter() - begun
    told, begin = report(dataset, task, after, before=before), report(first, task, before)
    anew = split(Dataset(tuple(draw.sample(first.examples, len(first)))), task)
    rows = ", ".join(f"{side} {told.rows[side]}" for side in (*SIDES, "excluded"))
    print(f"\n{folder.name}: {len(first)} rows, then {len(dataset)} ({seconds:.1f} s): {rows}")
    print(f"  moved rows                      {told.moved}")
    print(
        f"  the same rows in another order  {sum(anew.sides[one] != side for one, side in before.sides.items())} moved"
    )
    groups, pairs = apart(dataset, task, after.sides)
    print(f"  apart                           {groups} groups, {pairs} pairs of near-duplicates or same inputs")
    randomly = at_random(first, task, before, draw)
    between = f"{randomly[RANDOM // 2]:.4f} at the median of {RANDOM}, {randomly[0]:.4f} at best"
    print(f"  largest deviation               {begin.deviations[0].size:.4f}; at random {between}")
    print(f"  largest deviation, split again  {told.deviations[0].size:.4f}", flush=True)


def timed(name: str, texts: Sequence[str]) -> None:
    """Print how long near-duplicates of texts take."""
    begun = time.perf_counter()
    found = near(texts)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name}: {len(texts)} rows, {len(found)} pairs, {seconds:.1f} s, peak of the process {peak:.0f} MB", flush=True
    )


def texts_of(folder: Path, count: int, draw: random.Random) -> list[str]:
    """As many short texts as wanted, each made of the beginning of one and the end of another."""
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()
    words = [" ".join(json.loads(line)["input"].values()).split() for line in lines]
    pairs = ((draw.choice(words), draw.choice(words)) for _ in range(count))
    return [" ".join(a[: draw.randrange(3, 9)] + b[draw.randrange(4) :][:8]) for a, b in pairs]


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--rows", type=int, default=100_000, help="how many near-duplicates are searched in")
    arguments = parser.parse_args()
    for name in arguments.sets:
        resplit(arguments.data / name)
    draw = random.Random(2)
    print()
    short = texts_of(arguments.data / "banking77", arguments.rows, draw)
    timed("short texts", short)
    names = ["".join(draw.choices("abcdefghij", k=8)) for _ in short]
    timed(
        "one template, another name", [f"Your order {name} was shipped to you and will be there soon" for name in names]
    )
    timed(
        "one template, another number",
        [f"Your order {n} was shipped to you and will be there soon" for n in range(len(short))],
    )


if __name__ == "__main__":
    main()
