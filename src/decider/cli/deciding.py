"""`decide`: one decision."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.table import Table

from decider.cli.console import AsJson, ModeOption, Sets, SpecPath, notes, parse_sets, percent, print_json, results
from decider.decider import Decider
from decider.decision import Decision

_EXAMPLE = """Example:  decider decide mine/spec.yaml "I was charged twice this month" """


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("decide", epilog=_EXAMPLE, rich_help_panel="First steps")(decide)


def decide(
    spec: SpecPath,
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="The input; - reads it from stdin.")] = None,
    record: Annotated[
        str | None, typer.Option("--input", metavar="JSON", help="The input as a JSON object, for tasks with `input:`.")
    ] = None,
    mode: ModeOption = None,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Decide one input."""
    value = _input(text, record)
    with Decider[Any].load(spec, set=parse_sets(sets), mode=mode) as decider:
        decision = decider.decide(value)
    if as_json:
        print_json(decision.row())
    else:
        _show(decision)
    if decision.get() is None:
        notes.print(f"no output: the engine {decision.status} it")
        raise typer.Exit(1)


def _input(text: str | None, record: str | None) -> Any:
    if (text is None) == (record is None):
        raise typer.BadParameter("give either TEXT or --input JSON")
    if record is None:
        return sys.stdin.read() if text == "-" else text
    try:
        return json.loads(record)
    except ValueError as error:
        raise typer.BadParameter(f"--input is not JSON: {error}") from error


def _show(decision: Decision[Any]) -> None:
    table = Table("field", "value", "probability", box=None, pad_edge=False, header_style="bold")
    for path, one in decision.fields.items():
        sure = "" if one.probability is None else percent(one.probability)
        table.add_row(path, json.dumps(one.value, ensure_ascii=False), sure)
    results.print(table)
    sure = "" if decision.confidence is None else f", whole record {percent(decision.confidence)}"
    notes.print(
        f"{decision.mode} by {decision.engine} {decision.model} in {decision.latency_ms:.2f} ms{sure}", highlight=False
    )
