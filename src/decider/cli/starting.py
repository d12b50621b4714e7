"""`demo`, `init` and `check`: the first minutes with decider."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from decider.cli.assessing import show
from decider.cli.console import (
    AsJson,
    Sets,
    SpecPath,
    note,
    parse_sets,
    percent,
    print_json,
    results,
    row_progress,
    say,
    say_next,
)
from decider.data.dataset import Dataset
from decider.decider import Decider
from decider.errors import SpecError
from decider.plan import MODES, doubts, not_yet, obstacles, steps_of
from decider.redact import Redactor
from decider.schema import Field
from decider.spec import editor_schema
from decider.task import Task

_FIRST = "First steps"
_SHOWN = 3
_MOST_ANSWERS = 12
_DAY = 86400.0
_WRITTEN = ("spec.yaml", "rows.jsonl", "decide.py", "decider.schema.json")


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("demo", epilog="Example:  decider demo", rich_help_panel=_FIRST)(demo)
    app.command("init", epilog="Example:  decider init mine", rich_help_panel=_FIRST)(init)
    app.command("check", epilog="Example:  decider check mine/spec.yaml", rich_help_panel=_FIRST)(check)


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put it.")] = Path("decider-demo"),
    as_json: AsJson = False,
) -> None:
    """Do the main job on real complaints: train, decide, evaluate. No key and no network."""
    from decider.assess.evaluate import evaluate
    from decider.assess.report import write_html
    from decider.learn.train import train

    _copied(files("decider") / "demo", folder)
    spec, model = folder / "spec.yaml", folder / "models" / "complaints"
    task: Task[Any] = Task.load(spec)
    rows, test = Dataset.load(folder / "train.jsonl", task), Dataset.load(folder / "test.jsonl", task)
    note(f"{len(rows)} real complaints to learn from, {len(test)} to test on, copied to {folder}/")
    report = train(task, rows, model, progress=lambda said: note(f"  {said}"))
    with Decider(task) as decider:
        decisions = [decider.decide(example.input) for example in test[:_SHOWN]]
        with row_progress("evaluating", quiet=as_json) as progress:
            measured = evaluate(decider, test, progress=progress)
    page = folder / "report.html"
    write_html(measured, page)
    if as_json:
        print_json({"train": report.to_json(), "evaluate": measured.to_json(), "report": str(page)})
        return
    say(report.summary())
    for decision in decisions:
        _show_complaint(decision.row())
    say()
    show(measured)
    say(f"\nReport: {page}")
    _what_next(spec)


def _show_complaint(row: dict[str, Any]) -> None:
    text = row["input"]["narrative"] if isinstance(row["input"], dict) else row["input"]
    say("\n" + textwrap.fill(f"“{' '.join(text.split())[:150]}…”", min(results.width, 100)), style="dim")
    for path, one in row["fields"].items():
        say(f"  {path}: {one['value']} ({percent(one['probability'])})")


def _copied(source: Traversable, folder: Path) -> None:
    """Copy the demo's files; one of the same name that says something else belongs to somebody, and stays."""
    with as_file(source) as bundled:
        for file in bundled.iterdir():
            there = folder / file.name
            if there.exists() and there.read_bytes() != file.read_bytes():
                raise SpecError(
                    f"{there} is there already, and is not the demo's", remedy="name a new folder: decider demo DIR"
                )
        shutil.copytree(bundled, folder, dirs_exist_ok=True)


def _what_next(spec: Path) -> None:
    say_next(
        ("one decision by the model that was just trained", f'decider decide {spec} "They report a loan I paid off"'),
        ("what is decided, and what each engine can do with it", f"decider check {spec}"),
        ("a decision of your own to start from", "decider init mine"),
    )


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Write a working decision to start from: a spec, rows to train on, and a program that decides."""
    taken = [folder / name for name in _WRITTEN if (folder / name).exists()]
    if taken:
        raise SpecError(f"{taken[0]} is there already", remedy="name a new folder; nothing was written")
    with as_file(files("decider.cli") / "template") as template:
        shutil.copytree(template, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    schema = json.dumps(editor_schema(), indent=1, ensure_ascii=False)
    (folder / "decider.schema.json").write_text(schema + "\n", encoding="utf-8")
    written = [str(folder / name) for name in _WRITTEN]
    if as_json:
        print_json({"folder": str(folder), "files": written})
        return
    say("\n".join(f"wrote {path}" for path in written))
    kept = folder / ".decider"
    say(f"\nDecisions, and what endpoints answered, are kept in {kept}: `log:` and `cache:` in the spec say so.")
    spec, rows, model = folder / "spec.yaml", folder / "rows.jsonl", folder / "models/triage"
    say_next(
        ("what is decided, and what each engine can do with it", f"decider check {spec}"),
        ("trains a classifier on the rows: no key, no network", f"decider train {spec} {rows} -o {model}"),
        (
            "asks an endpoint, with a key in OPENAI_API_KEY, or as prompt.base_url says",
            f'decider decide {spec} "I was charged twice"',
        ),
    )


def check(spec: SpecPath, as_json: AsJson = False, sets: Sets = None) -> None:
    """Show the fields, what each engine can do with them, and every mistake with its place."""
    task: Task[Any] = Task.load(spec, set=parse_sets(sets))
    missing = not_yet(task)
    by_mode = {mode: obstacles(task, mode) for mode in MODES}
    mistakes = missing + by_mode.get(task.spec.mode, [])
    Redactor.of(task)  # raises for a country that nobody knows, and for a missing extra
    if as_json:
        print_json(_checked(task, mistakes, by_mode))
    else:
        _show_fields(task)
        _show_modes(task, by_mode)
        for doubt in [] if mistakes else _doubts(task):
            note(f"warning: {doubt}")
        for mistake in mistakes:
            note(f"error: {mistake.sentence}")
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
        "warnings": [] if mistakes else _doubts(task),
        "around": _around(task),
    }


def _doubts(task: Task[Any]) -> list[str]:
    """What may go wrong although nothing is: of the spec, and of the environment that it names."""
    found = doubts(task, task.spec.mode)
    for step in steps_of(task, task.spec.mode):
        variable = None if step.engine == "local" else task.spec.asked(step.role).key_variable
        if variable is not None and not os.environ.get(variable):
            found.append(f"the environment variable {variable}, which holds the key, is not set")
    return list(dict.fromkeys(found))


def _show_fields(task: Task[Any]) -> None:
    fields = "1 field" if len(task.fields) == 1 else f"{len(task.fields)} fields"
    title = f"{task.name}, version {task.version}: {fields}"
    table = Table("field", "kind", "answers", "prompt", "finetuned", title=title, title_justify="left")
    for field in task.fields:
        table.add_row(field.path, field.kind, Text(_answers(field)), _asked(task, field), _tuned(task, field))
    results.print(table)


def _asked(task: Task[Any], field: Field) -> str:
    if task.spec.prompt.engine == "chat":
        return "asked"
    if not field.closed:
        return "asked by chat"
    return f"{len(field.labels)} questions" if field.kind == "tags" else "1 question"


def _tuned(task: Task[Any], field: Field) -> str:
    if task.spec.finetuned.engine == "local":
        return "trained" if field.closed else "asked by the prompt"
    said = task.spec.finetuned.messages
    return "asked" if said is None or said.label in (None, field.path) else "asked by the prompt"


def _answers(field: Field) -> str:
    if not field.closed:
        return "anything"
    shown = [json.dumps(label, ensure_ascii=False) for label in field.labels[:_MOST_ANSWERS]]
    more = len(field.labels) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _show_modes(task: Task[Any], by_mode: dict[str, list[SpecError]]) -> None:
    for mode, found in by_mode.items():
        chosen = " (chosen)" if mode == task.spec.mode else ""
        if not found:
            say(f"mode {mode}{chosen}: ready")
        for problem in found:
            say(f"mode {mode}{chosen}: not yet: {problem.sentence}")
    say(f"few-shot examples: {len(task.examples) or 'none'}")
    for name, what in _around(task).items():
        say(f"{name}: {what or 'off'}")
    say("not in this version: acceptance, cascades")


def _around(task: Task[Any]) -> dict[str, str | None]:
    """What surrounds decisions, in the words of the spec; None for what is off."""
    cache, log, redact, budget = task.spec.cache, task.spec.log, task.spec.redact, task.spec.budget
    kinds = ", ".join((*redact.kinds, *redact.patterns)) if redact else ""
    limits = budget.model_dump(exclude_none=True) if budget else {}
    kept = f"{cache.size / 1e6:g} MB at most, each answer for {cache.ttl / _DAY:g} days" if cache else ""
    return {
        "cache": f"{cache.folder}, {kept}" if cache else None,
        "log": f"{log.folder}, inputs: {log.inputs}" if log else None,
        "redaction": f"{kinds}; endpoints see the {redact.send}" if redact else None,
        "budget": "; ".join(f"for a {scope} {_limits(one)}" for scope, one in limits.items()) or None,
    }


def _limits(limits: dict[str, float]) -> str:
    return ", ".join(f"{value:g} {name}" for name, value in limits.items())
