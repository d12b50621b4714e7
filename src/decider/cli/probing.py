"""`doctor`: what an endpoint really does, beside what the spec says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from decider.cli.console import AsJson, ModeOption, Sets, SpecPath, note, notes, parse_sets, print_json, results, say
from decider.errors import EngineRejected, SpecError
from decider.plan import Step, not_yet, steps_of
from decider.prompt import cleaned
from decider.task import Task

if TYPE_CHECKING:
    from decider.engines.probe import Diagnosis, Finding

_EXAMPLE = "Example:  decider doctor mine/spec.yaml"
_STYLES = {"differs": "yellow", "fails": "red"}


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("doctor", epilog=_EXAMPLE, rich_help_panel="First steps")(doctor)


def doctor(spec: SpecPath, mode: ModeOption = None, as_json: AsJson = False, sets: Sets = None) -> None:
    """Probe the endpoint with a few small calls: what it really does, and what in the spec to change."""
    task: Task[Any] = Task.load(spec, set=parse_sets(sets))
    mode = mode or task.spec.mode
    step = _asking(task, mode)
    from decider.engines.probe import diagnose  # openai takes a second to import

    _need_key(task, step)
    diagnosis = diagnose(
        task,
        engine="decisions" if step.engine == "decisions" else "chat",
        role=step.role,
        mode=mode,
        fields=step.fields,
        told=note if notes.is_terminal and not as_json else lambda _: None,
    )
    if as_json:
        print_json(diagnosis.to_json())
    else:
        _show(diagnosis, f"`{step.role}:` in {spec}")
        note(_bill(diagnosis))
    if not diagnosis.good:
        raise typer.Exit(1)


def _asking(task: Task[Any], mode: str) -> Step:
    """The first step of a mode that asks an endpoint; raises `SpecError` where none does."""
    problems = not_yet(task)
    if problems:
        raise problems[0].with_also(tuple(problems[1:]))
    trained = mode == "finetuned" and task.spec.finetuned.engine == "local"
    if trained and all(field.closed for field in task.fields):
        message = "mode finetuned is answered by a model folder, in this process: there is no endpoint to probe"
        raise task.mistake(message, ("mode",), remedy="to probe that of the prompt, add --mode prompt")
    steps = [step for step in steps_of(task, mode) if step.engine != "local"]
    for step in steps[1:]:
        paths = ", ".join(field.path for field in step.fields)
        note(f"not probed: how the engine {step.engine} asks {task.spec.asked(step.role).model} for {paths}")
    return steps[0]


def _need_key(task: Task[Any], step: Step) -> None:
    """Leave where the key is missing: nothing has been asked yet."""
    from decider.engines.key import Key

    try:
        Key.of(task.spec.asked(step.role))
    except EngineRejected as error:
        raise SpecError(str(error)) from error


def _show(diagnosis: Diagnosis, where: str) -> None:
    """Print what was found; what is to change stands below it in whole lines, which can be pasted."""
    title = Text(f"{diagnosis.model} at {diagnosis.endpoint}")
    table = Table(title=title, title_justify="left")
    for name in ("check", "what it does", "in the spec", "status"):
        table.add_column(name, overflow="fold")
    for one in diagnosis.checks:
        status = "" if one.status == "ok" and not one.spec else one.status
        table.add_row(one.code, Text(_plain(one.found)), Text(one.spec), Text(status, _STYLES.get(one.status, "")))
    results.print(table)
    wrong = [one for one in diagnosis.checks if one.status in _STYLES]
    _say_changes(f"To change, below {where}:", wrong)
    lost = ", ".join(one.code for one in wrong if one.change is None)
    if lost:
        say(f"Does not work, and no line of the spec helps: {lost}")
    if not wrong:
        say("Nothing has to change.")
    _say_changes(f"Worth a thought, below {where}:", [one for one in diagnosis.checks if one not in wrong])


def _say_changes(head: str, findings: Sequence[Finding]) -> None:
    lines = [f"\n  {_plain(one.change)}  # {one.code}" for one in findings if one.change is not None]
    if lines:
        say(head + "".join(lines))


def _plain(text: str) -> str:
    """What an endpoint said, on one line, without anything that a terminal would obey."""
    return " ".join(str(cleaned(text)).split())


def _bill(diagnosis: Diagnosis) -> str:
    used = diagnosis.usage
    cost = "at an unknown price" if diagnosis.cost_usd is None else f"for ${diagnosis.cost_usd:.6f}"
    return f"{diagnosis.calls} calls, {used.input_tokens} + {used.output_tokens} tokens {cost}"
