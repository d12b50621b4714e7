"""How decisions of the log are shown: as a table, one by one, and what was left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from decider.cli.console import note, percent, results, say
from decider.data.logged import UNREADABLE
from decider.prompt import cleaned
from decider.runtime.log.history import History
from decider.runtime.log.record import Record
from decider.task import Task

_SHOWN_ID = 12
_LONGEST = 60


def show_table(found: Sequence[History], task: Task[Any]) -> None:
    """Print decisions as a table; what was corrected stands out."""
    paths = [field.path for field in task.fields]
    name = Column("id", no_wrap=True, min_width=_SHOWN_ID)  # it is what the other commands ask for
    table = Table(name, "at", "by", "status", *(Column(Text(path)) for path in paths), "checked")
    for history in found:
        decision, changed = history.decision, history.changed
        values = {path: one.get("value") for path, one in decision.fields.items()}
        cells = [
            Text(shortly(changed.get(path, values.get(path, ""))), "yellow" if path in changed else "")
            for path in paths
        ]
        at = f"{decision.at.astimezone(UTC):%Y-%m-%d %H:%M}"
        status = (decision.status or "") + ("" if decision.accepted else ", not accepted")
        table.add_row(decision.id[:_SHOWN_ID], at, decision.mode or "", status, *cells, history.checked or "")
    results.print(table)


def show_history(history: History) -> None:
    """Print one decision with all that was said of it."""
    decision = history.decision
    say(f"decision {decision.id}" + ("" if decision.row_id is None else f" of row {shortly(decision.row_id)}"))
    say(f"input: {'not kept' if decision.input is None else shortly(decision.input)}")
    if history.changed or decision.fields:
        results.print(_fields(history))
    error = "" if decision.error is None else f": {shortly(decision.error)}"
    say(f"{decision.status} at {_at(decision)} by {decision.mode}{error}")
    for said in history.corrections:
        say(_correction(said))
    for name, value in history.said.items():
        say(f"outcome: {name} = {shortly(value)}")


def shortly(value: Any) -> str:
    """Return a value on one line, without anything that a terminal would obey."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(str(cleaned(text)).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def counted(count: int, what: str) -> str:
    """Return a number with what it counts."""
    return f"{count} {what}" if count == 1 else f"{count:,} {what}s"


def left_out(reasons: Counter[str]) -> str:
    """Return what to add to a sentence about how many rows there are."""
    said = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if reason != UNREADABLE)
    torn = reasons[UNREADABLE]
    return (f"; left out: {said}" if said else "") + (f"; {_unreadable(torn)}" if torn else "")


def note_unreadable(count: int) -> None:
    """Say how many lines of a log were skipped."""
    if count:
        note(_unreadable(count))


def _fields(history: History) -> Table:
    decision, changed = history.decision, history.changed
    table = Table("field", "value", "probability", "corrected", box=None, pad_edge=False, header_style="bold")
    for path in dict.fromkeys([*decision.fields, *changed]):
        one = decision.fields.get(path, {})
        sure = one.get("probability")
        value = Text(shortly(one["value"]) if "value" in one else "")
        right = Text(shortly(changed[path]) if path in changed else "")
        table.add_row(Text(path), value, "" if sure is None else percent(sure), right)
    return table


def _correction(said: Record) -> str:
    what = ", ".join(f"{path} = {shortly(one['value'])}" for path, one in said.fields.items())
    who = "" if said.by is None else f" by {shortly(said.by)}"
    why = "" if said.note is None else f" ({shortly(said.note)})"
    return f"{'corrected' if what else 'confirmed'} at {_at(said)}{who}{why}" + (f": {what}" if what else "")


def _at(record: Record) -> str:
    return f"{record.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _unreadable(count: int) -> str:
    return f"{counted(count, 'line')} of the log skipped, without a whole record"
