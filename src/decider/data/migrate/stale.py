"""What a change of the schema leaves behind: answers in the cache, a model, and examples, all of the old one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decider.errors import ModelError, SpecError
from decider.runtime.cache import Cache
from decider.runtime.log import Log
from decider.task import Task

_EXAMPLES = "prompt.examples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """One thing that is stale, in words, and what to do about it; `command` is for a shell, where one command does."""

    what: str
    message: str
    command: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {"what": self.what, "message": self.message, "command": self.command}


def load(spec: Path, *, set: Mapping[str, Any] | None = None) -> tuple[Task[Any], SpecError | None]:  # as `Task.load`
    """Load a spec whose few-shot examples may be of an old schema.

    Returns the task, and if they are, it is without them, and with the mistake. Raises `SpecError` for any other one.
    """
    try:
        return Task.load(spec, set=set), None
    except SpecError as error:
        try:
            return Task.load(spec, set={**(set or {}), _EXAMPLES: None}), error
        except SpecError:
            raise error from None


def leftovers(
    task: Task[Any], spec: Path, changes: Path, data: Path, *, examples: SpecError | None = None
) -> list[Leftover]:
    """Return what is stale: found, where a log, a cache and a model are there to look into, and else said in general.

    `examples` is what `load` returned with the task; `data` is the migrated dataset. With `spec` and the `changes`, it
    is for the commands.
    """
    decided = _decided(task, every=examples is not None)
    found = [
        _version(task, decided),
        _cached(task, spec, decided),
        _model(task, spec, data),
        _few_shot(examples, spec, changes),
    ]
    return [one for one in found if one is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """What the log has of other prompts of the task: how many decisions, the latest version, and keys of the cache."""

    count: int
    version: int
    keys: frozenset[str]


def _decided(task: Task[Any], *, every: bool) -> _Decided | None:
    """What was decided with other prompts, or with `every` one; None without a log."""
    if task.spec.log is None:
        return None
    count, version, keys = 0, 0, set()
    for record in Log.of(task).records():
        ours = record.kind == "decision" and record.task == task.name
        if ours and (every or record.fingerprint != task.prompt_fingerprint):
            count, version = count + 1, max(version, record.version)
            keys |= {step["cache_key"] for step in record.steps if step.get("cache_key")}
    return _Decided(count=count, version=version, keys=frozenset(keys))


def _version(task: Task[Any], decided: _Decided | None) -> Leftover | None:
    if decided is None:
        message = f"the spec says version {task.version}: raise it, if the old schema had the same"
        return Leftover(what="version", message=message)
    if not decided.count or task.version > decided.version:
        return None
    message = (
        f"the log has {decided.count:,} decisions by another prompt, of version {decided.version} as well: write "
        f"version: {decided.version + 1}  in the spec, so that they can be told apart"
    )
    return Leftover(what="version", message=message)


def _cached(task: Task[Any], spec: Path, decided: _Decided | None) -> Leftover | None:
    """The answers in the cache to prompts of the old schema: nobody asks them again."""
    said = task.spec.cache
    if said is None:
        return None
    folder = task.resolve(said.folder, ("cache", "folder"))
    if not folder.is_dir():
        return None
    command, goes = _command("cache", "clear", spec), f"they go after {said.ttl / 86400:g} days, or all at once"
    if decided is None:
        message = f"every answer in {folder} from before the change is stale, and is never asked for again; {goes}"
        return Leftover(what="cache", message=message, command=command)
    cache = Cache(folder, ttl=said.ttl, size=said.size)
    count = sum(cache.get(key) is not None for key in decided.keys)
    cache.close()
    message = f"{count:,} answers in {folder} are to prompts that the log has of before; {goes}"
    return Leftover(what="cache", message=message, command=command) if count else None


def _model(task: Task[Any], spec: Path, data: Path) -> Leftover | None:
    said = task.spec.finetuned
    if said.model is None:
        return None
    if said.engine == "chat":
        message = f"{said.model} was tuned to the old answers; tune one to the new, and name it in finetuned.model"
        return Leftover(what="model", message=message)
    path = task.resolve(said.model, ("finetuned", "model"))
    if not path.is_dir():
        return None
    command = _command("train", spec, data, "-o", path)
    try:
        from decider.model import folder  # needs numpy
    except ImportError:
        message = f"{path} cannot be looked at without numpy; if it was trained before, train it again"
        return Leftover(what="model", message=message, command=command)
    try:
        folder.load(path, task=task)
    except ModelError as error:
        return Leftover(what="model", message=str(error), command=command)
    return None


def _few_shot(examples: SpecError | None, spec: Path, changes: Path) -> Leftover | None:
    if examples is None:
        return None
    file = Path(examples.file or "")
    command = None
    if file.suffix == ".jsonl":
        command = _command("data", "migrate", spec, file, changes, "-o", file.with_suffix(".new.jsonl"))
    message = f"the examples of the prompt do not fit; migrate them, too, and put them in place: {examples}"
    return Leftover(what="examples", message=message, command=command)


def _command(*words: object) -> str:
    """A command that can be pasted into a shell."""
    return shlex.join(["decider", *map(str, words)])
