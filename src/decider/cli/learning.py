"""`train`: a model folder from a team's own rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from decider.cli.console import AsJson, DataPath, Sets, SpecPath, notes, parse_sets, print_json, results
from decider.data.dataset import Dataset
from decider.task import Task

_EXAMPLE = "Example:  decider train mine/spec.yaml mine/rows.jsonl -o mine/models/triage"


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("train", epilog=_EXAMPLE, rich_help_panel="From data to a model")(train)


def train(
    spec: SpecPath,
    data: DataPath,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="MODEL", help="The model folder to write.")],
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Train a classifier of every closed field on your rows, on this CPU."""
    from decider.learn.train import train as fit  # scikit-learn is an extra, and slow to import

    task: Task[Any] = Task.load(spec, set=parse_sets(sets))
    report = fit(task, Dataset.load(data, task), out, seed=seed, progress=_note(as_json))
    if as_json:
        print_json(report.to_json())
        return
    results.print(report.summary(), highlight=False, markup=False)
    notes.print(
        f"to answer with it: set  mode: finetuned  and  finetuned: {{model: {_named(out, spec)}}}  in {spec}",
        highlight=False,
    )


def _named(model: Path, spec: Path) -> str:
    """The model's folder as the spec would name it."""
    folder = spec.resolve().parent
    resolved = model.resolve()
    return str(resolved.relative_to(folder)) if resolved.is_relative_to(folder) else str(resolved)


def _note(quiet: bool) -> Any:
    return None if quiet else lambda said: notes.print(said, highlight=False, markup=False)
