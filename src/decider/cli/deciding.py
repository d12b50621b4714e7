"""`decide`: one decision."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from decider.cli.console import (
    AsJson,
    ModeOption,
    Refresh,
    Sets,
    SpecPath,
    cache_of,
    note,
    parse_sets,
    percent,
    print_json,
    results,
)
from decider.decider import Decider
from decider.decision import Decision

_EXAMPLE = """Example:  decider decide mine/spec.yaml "I was charged twice this month" """


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("decide", epilog=_EXAMPLE, rich_help_panel="First steps")(decide)


def decide(
    spec: SpecPath,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The input; - reads it from stdin.")] = None,
    record: Annotated[
        str | None, typer.Option("--input", metavar="JSON", help="The input as a JSON object, for tasks with `input:`.")
    ] = None,
    mode: ModeOption = None,
    refresh: Refresh = False,
    as_json: AsJson = False,
    sets: Sets = None,
) -> None:
    """Decide one input."""
    value = _input(text, record)
    with Decider[Any].load(spec, set=parse_sets(sets), mode=mode, cache=cache_of(refresh)) as decider:
        decision = decider.decide(value)
    if as_json:
        print_json(decision.row())
    else:
        _show(decision)
    if decision.get() is None:
        note(f"no output: the engine {decision.status} it")
        raise typer.Exit(1)


def _input(text: str | None, record: str | None) -> Any:
    if (text is None) == (record is None):
        raise typer.BadParameter("give either TEXT or --input JSON; TEXT may be - to read it from stdin")
    if record is None:
        return _stdin() if text == "-" else text
    try:
        return json.loads(record)
    except ValueError as error:
        remedy = """write it like --input '{"subject": "Invoice 17"}'"""
        raise typer.BadParameter(f"--input is not JSON: {error}; {remedy}") from error


def _stdin() -> str:
    """All of stdin, without the line end that `echo` adds."""
    try:
        return sys.stdin.read().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"stdin is not UTF-8 text: {error}; convert it first") from error


def _show(decision: Decision[Any]) -> None:
    table = Table("field", "value", "probability", box=None, pad_edge=False, header_style="bold")
    for path, one in decision.fields.items():
        sure = "" if one.probability is None else percent(one.probability)
        table.add_row(path, Text(json.dumps(one.value, ensure_ascii=False)), sure)
    if decision.fields:
        results.print(table)
    sure = "" if decision.confidence is None else f", whole record {percent(decision.confidence)}"
    by = f"{decision.mode} by {decision.engine} {decision.model}"
    note(f"{by} in {decision.latency_ms:.2f} ms{sure}{_bill(decision)}")


def _bill(decision: Decision[Any]) -> str:
    """What was used of an endpoint; an answer of this machine's own has no bill."""
    if decision.cached:
        return "; from the cache"
    used = decision.usage
    if all(step.engine == "local" for step in decision.steps):
        return ""
    calls = "1 call" if decision.attempts == 1 else f"{decision.attempts} calls"
    cost = "at an unknown price" if decision.cost_usd is None else f"for ${decision.cost_usd:.6f}"
    return f"; {calls}, {used.input_tokens} + {used.output_tokens} tokens {cost}"
