"""`train`: a model folder from a team's own rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from decider.cli.console import AsJson, DataPath, Sets, SpecPath, note, parse_sets, print_json, say
from decider.cli.sides import SplitPath, load_sides
from decider.data.sides import to_train_on
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
    split: SplitPath = None,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Train a classifier of every closed field on your rows, on this CPU; test rows are left out."""
    from decider.learn.train import train as fit  # scikit-learn is an extra, and slow to import

    task: Task[Any] = Task.load(spec, set=parse_sets(sets))
    rows = load_sides(data, task, split, to_train_on)
    report = fit(task, rows, out, seed=seed, progress=None if as_json else note)
    if as_json:
        print_json(report.to_json())
        return
    say(report.summary())
    note(_how_to_use(out.resolve(), spec))


def _how_to_use(model: Path, spec: Path) -> str:
    folder = spec.resolve().parent
    if not model.is_relative_to(folder):
        return f"to answer with it, move it into {folder}: a spec names nothing outside its own folder"
    named = model.relative_to(folder).as_posix()
    return f"to answer with it, write in {spec}:\n  mode: finetuned\n  finetuned: {{model: {named}}}"
