"""`cache`: answers of endpoints that are kept."""

from __future__ import annotations

from typing import Any

import typer

from decider.cli.console import AsJson, Sets, SpecPath, parse_sets, print_json, say
from decider.cli.history import counted
from decider.runtime.cache import Cache
from decider.task import Task

_EXAMPLE = "Example:  decider cache clear mine/spec.yaml"


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(name="cache", help="Answers of endpoints that are kept.", no_args_is_help=True)
    group.command("clear", epilog=_EXAMPLE)(clear)
    app.add_typer(group, rich_help_panel="Log and cache")


def clear(spec: SpecPath, as_json: AsJson = False, sets: Sets = None) -> None:
    """Delete every answer in the cache of a spec; each is asked, and paid for, again."""
    task: Task[Any] = Task.load(spec, set=parse_sets(sets))
    said = task.spec.cache
    if said is None:
        raise task.mistake("keeps no answers", (), remedy="add  cache: {}  to keep them")
    folder = task.resolve(said.folder, ("cache", "folder"))
    cache = Cache(folder, ttl=said.ttl, size=said.size)
    removed = cache.clear()
    cache.close()
    if as_json:
        print_json({"cache": str(folder), "removed": removed})
    else:
        say(f"{counted(removed, 'answer')} removed from {folder}")
