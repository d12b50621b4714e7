"""`demo`, `init` and `check`: the first minutes with decider."""

from __future__ import annotations

import json
import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from decider.cli.assessing import show
from decider.cli.console import AsJson, Sets, SpecPath, notes, parse_sets, percent, print_json, results, row_progress
from decider.data.dataset import Dataset
from decider.decider import Decider
from decider.errors import SpecError
from decider.plan import MODES, not_yet, obstacles
from decider.spec import editor_schema
from decider.task import Task

_FIRST = "First steps"
_SHOWN = 3


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("demo", epilog="Example:  decider demo", rich_help_panel=_FIRST)(demo)
    app.command("init", epilog="Example:  decider init mine", rich_help_panel=_FIRST)(init)
    app.command("check", epilog="Example:  decider check mine/spec.yaml", rich_help_panel=_FIRST)(check)


def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to put it.")] = Path("decider-demo"),
    as_json: AsJson = False,
) -> None:
    """Do the main job on real complaints: train, decide, evaluate. No key and no network."""
    from decider.assess.evaluate import evaluate
    from decider.assess.report import write_html
    from decider.learn.train import train

    with as_file(files("decider") / "demo") as bundled:
        shutil.copytree(bundled, folder, dirs_exist_ok=True)
    spec, model = folder / "spec.yaml", folder / "models" / "complaints"
    task: Task[Any] = Task.load(spec)
    rows, test = Dataset.load(folder / "train.jsonl", task), Dataset.load(folder / "test.jsonl", task)
    notes.print(
        f"{len(rows)} real complaints to learn from, {len(test)} to test on, copied to {folder}/", highlight=False
    )
    report = train(task, rows, model, progress=lambda said: notes.print(f"  {said}", highlight=False, markup=False))
    with Decider(task) as decider:
        decisions = [decider.decide(example.input) for example in test[:_SHOWN]]
        with row_progress("evaluating", quiet=as_json) as progress:
            measured = evaluate(decider, test, progress=progress)
    page = folder / "report.html"
    write_html(measured, page)
    if as_json:
        print_json({"train": report.to_json(), "evaluate": measured.to_json(), "report": str(page)})
        return
    results.print(report.summary(), highlight=False, markup=False)
    for decision in decisions:
        _show_complaint(decision.row())
    results.print()
    show(measured)
    _what_next(spec, page)


def _show_complaint(row: dict[str, Any]) -> None:
    text = row["input"]["narrative"] if isinstance(row["input"], dict) else row["input"]
    results.print(f"\n“{' '.join(text.split())[:150]}…”", highlight=False, markup=False, style="dim")
    for path, one in row["fields"].items():
        results.print(f"  {path}: {one['value']} ({percent(one['probability'])})", highlight=False, markup=False)


def _what_next(spec: Path, page: Path) -> None:
    results.print(
        f"\nReport: {page}\n\nNext:\n"
        f'  decider decide {spec} "They report a loan that I paid off two years ago"\n'
        f"  decider check {spec}        what is decided, and what each engine can do with it\n"
        "  decider init mine           a decision of your own to start from",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Write a working decision to start from: a spec, rows to train on, and a program that decides."""
    taken = [
        name for name in ("spec.yaml", "decider.schema.json", "rows.jsonl", "decide.py") if (folder / name).exists()
    ]
    if taken:
        raise SpecError(f"{folder / taken[0]} is there already", remedy="name a new folder; nothing was written")
    with as_file(files("decider.cli") / "template") as template:
        shutil.copytree(template, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    schema = json.dumps(editor_schema(), indent=1, ensure_ascii=False)
    (folder / "decider.schema.json").write_text(schema + "\n", encoding="utf-8")
    written = sorted(str(path) for path in folder.iterdir())
    if as_json:
        print_json({"folder": str(folder), "files": written})
        return
    results.print("\n".join(f"wrote {path}" for path in written), highlight=False, markup=False, soft_wrap=True)
    spec = folder / "spec.yaml"
    results.print(
        f"\nNext:\n  decider check {spec}\n"
        f'  decider decide {spec} "I was charged twice"          needs a key in OPENAI_API_KEY, or prompt.base_url\n'
        f"  decider train {spec} {folder / 'rows.jsonl'} -o {folder / 'models/triage'}        needs neither",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def check(spec: SpecPath, as_json: AsJson = False, sets: Sets = None) -> None:
    """Show the fields, what each engine can do with them, and every mistake with its place."""
    task: Task[Any] = Task.load(spec, set=parse_sets(sets))
    missing = not_yet(task)
    by_mode = {mode: obstacles(task, mode) for mode in MODES}
    mistakes = missing + by_mode.get(task.spec.mode, [])
    if as_json:
        print_json(_checked(task, mistakes, by_mode))
    else:
        _show_fields(task)
        _show_modes(task, by_mode)
        for mistake in mistakes:
            notes.print(f"error: {mistake.sentence}", highlight=False, markup=False, soft_wrap=True)
    if mistakes:
        raise typer.Exit(2)


def _checked(task: Task[Any], mistakes: list[SpecError], by_mode: dict[str, list[SpecError]]) -> dict[str, Any]:
    return {
        "task": task.name,
        "version": task.version,
        "mode": task.spec.mode,
        "fields": [
            {"path": field.path, "kind": field.kind, "labels": list(field.labels), "description": field.description}
            for field in task.fields
        ],
        "modes": {mode: [problem.sentence for problem in found] for mode, found in by_mode.items()},
        "mistakes": [mistake.sentence for mistake in mistakes],
    }


def _show_fields(task: Task[Any]) -> None:
    title = f"{task.name}, version {task.version}: {len(task.fields)} field(s)"
    table = Table("field", "kind", "answers", "prompt", "finetuned", title=title, title_justify="left")
    for field in task.fields:
        answers = ", ".join(json.dumps(label, ensure_ascii=False) for label in field.labels)
        trained = "trained" if field.closed else "asked by the prompt"
        table.add_row(field.path, field.kind, answers or "anything", "asked", trained)
    results.print(table)


def _show_modes(task: Task[Any], by_mode: dict[str, list[SpecError]]) -> None:
    for mode, found in by_mode.items():
        chosen = " (chosen)" if mode == task.spec.mode else ""
        if not found:
            results.print(f"mode {mode}{chosen}: ready", highlight=False)
        for problem in found:
            results.print(
                f"mode {mode}{chosen}: not yet: {problem.sentence}", highlight=False, markup=False, soft_wrap=True
            )
    examples = f"{len(task.examples)} few-shot examples" if task.examples else "no few-shot examples"
    results.print(f"off: cache, log, redaction, budget, acceptance (not in this version); {examples}", highlight=False)
