"""What `train` and `evaluate` share: the rows of a file that are on the right side of its split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from decider.cli.console import note
from decider.data.dataset import Dataset
from decider.data.sides import placed
from decider.data.split import Split
from decider.task import Task

SplitPath = Annotated[
    Path | None,
    typer.Option("--split", metavar="FILE", help="A split file of `decider data split`, in place of the rows' own."),
]


def load_sides(data: Path, task: Task[Any], split: Path | None, choose: Callable[[Dataset], Dataset]) -> Dataset:
    """Load a dataset, and say how many of its rows are left out because of the side that they are on."""
    rows = Dataset.load(data, task)
    if split is not None:
        rows = placed(rows, Split.load(split, task=task.name))
    chosen = choose(rows)
    if len(chosen) < len(rows):
        note(f"{len(chosen):,} of {len(rows):,} rows, by the side of the split that they are on")
    return chosen
