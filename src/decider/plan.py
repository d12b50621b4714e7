"""A mode made concrete: the ordered steps that decide a task, and what stands in the way of taking them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from decider.engines.base import Engine
from decider.errors import SpecError
from decider.schema import Field
from decider.task import Task

if TYPE_CHECKING:
    from decider.spec import Spec

Mode = Literal["prompt", "finetuned"]
MODES: tuple[str, ...] = get_args(Mode)

Key: TypeAlias = tuple[str | int, ...]

_NOT_YET: tuple[tuple[Key, Callable[[Spec], bool]], ...] = (
    (("mode",), lambda spec: spec.mode == "cascade"),
    (("prompt", "engine"), lambda spec: spec.prompt.engine != "chat"),
    (("prompt", "structure"), lambda spec: spec.prompt.structure != "schema"),
    (
        ("prompt", "examples", "select"),
        lambda spec: spec.prompt.examples is not None and spec.prompt.examples.select != "first",
    ),
    (("prompt", "samples"), lambda spec: spec.prompt.samples > 1),
    (("finetuned", "engine"), lambda spec: spec.finetuned.engine != "local"),
    (("accept",), lambda spec: spec.accept is not None),
    (("cascade",), lambda spec: spec.cascade is not None),
    (("retry", "passes"), lambda spec: "passes" in spec.retry.model_fields_set),
    (("budget",), lambda spec: spec.budget is not None),
    (("cache",), lambda spec: spec.cache is not None),
    (("log",), lambda spec: spec.log is not None),
    (("redact",), lambda spec: spec.redact is not None),
)
"""What the grammar knows and no part does yet; nothing is ever accepted and ignored."""

_MOST_OPTIONS = 1000
_MANY_OPTIONS = 250
_MOST_LETTERS = 15_000
_MOST_FIELDS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One engine, asked for some of the fields; `role` is the section of the spec that configures it."""

    role: Mode
    engine: str
    fields: tuple[Field, ...]


def steps_of(task: Task[Any], mode: str) -> tuple[Step, ...]:
    """Return the steps that decide `task` in `mode`; raises `SpecError` for whatever stands in the way."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    problems = [*not_yet(task), *obstacles(task, mode)]
    if problems:
        first, *also = problems
        raise first.with_also(tuple(also)) if also else first
    return _steps(task, mode)


def not_yet(task: Task[Any]) -> list[SpecError]:
    """Return an error for every key that the spec sets and that this version does not support."""
    found = []
    for path, is_set in _NOT_YET:
        if is_set(task.spec):
            key = ".".join(str(part) for part in path)
            found.append(task.mistake(f"{key} is not supported in this version", path, remedy="remove it"))
    return found


def obstacles(task: Task[Any], mode: str) -> list[SpecError]:
    """Return an error for everything that keeps `task` from being decided in `mode`."""
    found: list[SpecError] = []
    for step in _steps(task, mode):
        found += _asked(task, step) if step.role == "prompt" else _trained(task)
    return found


def build(task: Task[Any], step: Step, client: Any = None) -> Engine:
    """Return the engine of a step; imports only that one."""
    if step.role == "prompt":
        from decider.engines.chat import ChatEngine  # importing openai takes over a second

        return ChatEngine(task=task, client=client)
    from decider.engines.local import LocalEngine  # numpy is an extra

    return LocalEngine(task=task, path=_model_folder(task))


def _steps(task: Task[Any], mode: str) -> tuple[Step, ...]:
    if mode == "prompt":
        return (Step(role="prompt", engine=task.spec.prompt.engine, fields=task.fields),)
    closed = tuple(field for field in task.fields if field.closed)
    rest = tuple(field for field in task.fields if not field.closed)
    local = (Step(role="finetuned", engine="local", fields=closed),) if closed else ()
    asked = (Step(role="prompt", engine=task.spec.prompt.engine, fields=rest),) if rest else ()
    return (*local, *asked)


def _model_folder(task: Task[Any]) -> Path:
    return task.resolve(task.spec.finetuned.model or "", ("finetuned", "model"))


def _trained(task: Task[Any]) -> list[SpecError]:
    train = f"decider train SPEC DATA -o models/{task.name}"
    if task.spec.finetuned.model is None:
        remedy = f"train one ({train}) and write  finetuned: {{model: models/{task.name}}}"
        return [task.mistake("finetuned.model is missing", _where(task, "finetuned"), remedy=remedy)]
    try:
        folder = _model_folder(task)
    except SpecError as error:
        return [error]
    if not folder.is_dir():
        return [task.mistake(f"there is no model at {folder}", ("finetuned", "model"), remedy=f"train one: {train}")]
    return []


def _where(task: Task[Any], section: str) -> Key:
    """The section that lacks something, or the mode that asks for it where there is no such section."""
    return (section,) if section in task.spec.model_fields_set else ("mode",)


def _asked(task: Task[Any], step: Step) -> list[SpecError]:
    found = []
    if not task.spec.prompt.model:
        remedy = "name the model to ask:  prompt: {model: gpt-6-luna}"
        found.append(task.mistake("prompt.model is missing", _where(task, "prompt"), remedy=remedy))
    return found + _beyond_limits(task, step.fields)


def _beyond_limits(task: Task[Any], fields: tuple[Field, ...]) -> list[SpecError]:
    """The limits of strict structured output, as its first provider documents them."""
    found = []
    for field in fields:
        letters = sum(len(str(option.value)) for option in field.options)
        if len(field.options) > _MANY_OPTIONS and letters > _MOST_LETTERS:
            allowed = f"above {_MANY_OPTIONS} options a strict schema takes {_MOST_LETTERS} letters"
            found.append(_too_many(task, field, f"has {len(field.options)} options of {letters} letters; {allowed}"))
    total = sum(len(field.options) for field in fields)
    if total > _MOST_OPTIONS:
        largest = max(fields, key=lambda field: len(field.options))
        allowed = f"a strict schema takes {_MOST_OPTIONS} options in all"
        found.append(_too_many(task, largest, f"{allowed}, and the task has {total}, most of them here"))
    if len(fields) > _MOST_FIELDS:
        message = f"the task has {len(fields)} fields; a strict schema takes {_MOST_FIELDS}"
        found.append(task.mistake(message, ("fields",), remedy="split the decision into several tasks"))
    return found


def _too_many(task: Task[Any], field: Field, message: str) -> SpecError:
    remedy = "decide in two steps (a group, then an option of it), or train a model and use mode: finetuned"
    return task.mistake(message, ("fields", field.path), field=field.path, remedy=remedy)
