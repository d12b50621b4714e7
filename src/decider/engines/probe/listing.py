"""What an endpoint lists of its models: their names, their ends, and how much they take in."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any

from httpx2 import Response
from pydantic import BaseModel, ValidationError

from decider.engines.lifecycle import end_of
from decider.engines.probe.diagnosis import Finding
from decider.engines.probe.line import Line
from decider.errors import EngineRejected
from decider.spec import Asked

_PATH = "/models"
_CONTEXTS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx")
"""Where the various servers say how many tokens a model takes in."""
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One model of an endpoint's list, with what is said there of it."""

    name: str
    ends: date | None = None
    context: int | None = None


class _Entry(BaseModel, extra="allow"):
    id: str


class _Answer(BaseModel):
    data: list[_Entry]


def listed(line: Line) -> tuple[Listed, ...] | None:
    """Return the models that an endpoint lists, or None where it has no list."""
    said = line.ask("which models there are", lambda: line.endpoint.get(_PATH))
    if not isinstance(said, Response):
        return None
    try:
        return tuple(_read(one) for one in _Answer.model_validate_json(said.content).data)
    except ValidationError:
        return None


def named(models: Sequence[Listed] | None, *names: str | None) -> Listed | None:
    """Return the first model of the list that has one of the names."""
    return next((one for name in names for one in models or () if one.name == name), None)


def unknown_model(error: EngineRejected, models: Sequence[Listed] | None, model: str) -> EngineRejected:
    """Return the error for a model that nobody knows there, with the names of some that are listed."""
    names = [one.name for one in models or () if one.name != model]
    if not names:
        return error
    close = get_close_matches(model, names, _SHOWN) or names[:_SHOWN]
    more = f" and {len(names) - len(close)} more" if len(names) > len(close) else ""
    return EngineRejected(f"{error}; it lists {', '.join(close)}{more}", reason="model")


def model_findings(
    asked: Asked, models: Sequence[Listed] | None, served: str | None, today: date
) -> tuple[Finding, ...]:
    """Return which model answers, and when it stops to where that is known."""
    entry = named(models, asked.model)
    spec = f"model: {asked.model}"
    found = f"answers as {served}" if served else "answers, and does not say as which model"
    other = served is not None and served != asked.model and entry is None and named(models, served) is not None
    if models is not None and entry is None:
        found += f", and lists no {asked.model}"
    change = f"model: {_written(served or '')}" if other else None
    known = Finding(code="model", status="differs" if other else "ok", found=found, spec=spec, change=change)
    day = (entry and entry.ends) or end_of(asked)
    if day is None:
        return (known,)
    verb = "stops" if today < day else "stopped"
    end = f"{verb} answering on {day.isoformat()}, as its provider announced"
    return known, Finding(code="shutdown", status="differs", found=end, spec=spec, change="model: …")


def _written(name: str) -> str:
    """A name as a spec has it, in quotes where YAML would take it for something else."""
    return name if re.fullmatch(r"[\w./]([\w./:@+-]*[\w.])?", name) else json.dumps(name)


def _read(entry: _Entry) -> Listed:
    said = entry.model_extra or {}
    meta = said.get("meta")
    told = {**meta, **said} if isinstance(meta, dict) else said
    contexts = (told.get(name) for name in _CONTEXTS)
    context = next((one for one in contexts if isinstance(one, int) and one > 1), None)
    return Listed(name=entry.id, ends=_day(said.get("shutdown_date")), context=context)


def _day(said: Any) -> date | None:
    """A day, from ISO 8601 or from the seconds since 1970."""
    try:
        if isinstance(said, str):
            return date.fromisoformat(said[:10])
        return datetime.fromtimestamp(said, UTC).date() if isinstance(said, int | float) else None
    except (ValueError, OverflowError, OSError):
        return None
