"""A mode made concrete: the ordered steps that decide a task, and what stands in the way of taking them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from decider.decision import Usage
from decider.engines import parameters
from decider.engines.base import Engine
from decider.engines.lifecycle import warning_of
from decider.engines.limits import dialects_of
from decider.errors import SpecError
from decider.runtime.prices import price_of
from decider.schema import Field
from decider.task import Task

if TYPE_CHECKING:
    from decider.spec import Asked, Limits, Messages, Role, Spec

logger = logging.getLogger("decider")

Mode = Literal["prompt", "finetuned"]
MODES: tuple[str, ...] = get_args(Mode)

Key: TypeAlias = tuple[str | int, ...]

_NOT_YET: tuple[tuple[Key, Callable[[Spec], bool]], ...] = (
    (("mode",), lambda spec: spec.mode == "cascade"),
    (("accept",), lambda spec: spec.accept is not None),
    (("cascade",), lambda spec: spec.cascade is not None),
)
"""What the grammar knows and no part does yet; nothing is ever accepted and ignored."""

_REASONS = re.compile(r"gpt-[5-9]|o[1-9]")
_SAMPLING = ("temperature", "top_p", "logprobs", "top_logprobs")

_MOST_OPTIONS = 1000
_MANY_OPTIONS = 250
_MOST_LETTERS = 15_000
_MOST_FIELDS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One engine, asked for some of the fields; `role` is the section of the spec that configures it.

    `samples` answers are drawn, which vote; an answer that does not fit is asked again `reask` times. A step that
    `widens` can be asked for the whole record, where the fields that it was given cannot make it valid.
    """

    role: Role
    engine: str
    fields: tuple[Field, ...]
    samples: int = 1
    reask: int = 0
    widens: bool = False
    paths: tuple[str, ...] = dataclass_field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", tuple(one.path for one in self.fields))


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
        if step.engine == "local":
            found += _trained(task)
        else:
            found += [*_asked(task, step), *_unbounded(task, step)]
    return list({str(one): one for one in found}.values())  # two steps may lack the same


def doubts(task: Task[Any], mode: str) -> list[str]:
    """Return what does not keep `task` from being decided in `mode`, and may not be what its author wants."""
    asked = [step for step in _steps(task, mode) if step.engine != "local"]
    return list(dict.fromkeys(doubt for step in asked for doubt in _doubts(task, step)))


def _doubts(task: Task[Any], step: Step) -> Iterator[str]:
    asked = task.spec.asked(step.role)
    warning = warning_of(asked, date.today())  # noqa: DTZ011  # a day, wherever one is
    if warning is not None:
        yield warning
    if step.engine == "decisions":
        yield from _unused(task)
    if step.samples > 1 and not any(field.closed for field in step.fields):
        yield f"prompt.samples is {step.samples}, and open fields do not vote: the first answer is taken"
    elif step.samples > 1 and asked.params.get("temperature") == 0:
        yield f"prompt.samples is {step.samples}, and at temperature 0 they are likely all the same"
    if _REASONS.match(asked.model or ""):
        yield from _unreasonable(asked, step)


def _unused(task: Task[Any]) -> Iterator[str]:
    """What a decision endpoint cannot be told, where no chat model is asked beside it."""
    if all(field.closed for field in task.fields):
        for key in sorted(task.spec.prompt.model_fields_set & {"samples", "reask", "structure", "examples"}):
            yield f"prompt.{key} is not used: a decision endpoint is asked once, in its own form"


def _unreasonable(asked: Asked, step: Step) -> Iterator[str]:
    """What reasoning models refuse, or do better in another way."""
    refused = [name for name in _SAMPLING if name in asked.params]
    if refused and asked.params.get("reasoning_effort") != "none":
        remedy = f"remove it from {step.role}.params"
        yield f"{asked.model} takes {', '.join(refused)} only with reasoning_effort: none, if at all; {remedy}"
    if step.engine == "chat" and asked.structure != "schema":
        yield f"{asked.model} keeps to a strict schema; {step.role}.structure: schema is the surer way to ask it"


def build(task: Task[Any], step: Step, client: Any = None) -> Engine:
    """Return the engine of a step; imports only that one."""
    if step.engine == "local":
        from decider.engines.local import LocalEngine  # numpy is an extra

        return LocalEngine(task=task, path=_model_folder(task))
    asked = task.spec.asked(step.role)
    warning = warning_of(asked, date.today())  # noqa: DTZ011  # a day, wherever one is
    if warning is not None:
        logger.warning("%s: %s", task.name, warning)
    if step.engine == "decisions":
        from decider.engines.decisions import DecisionsEngine

        return DecisionsEngine(task=task, client=client)
    if asked.structure != "schema":
        from decider.engines.instructor import InstructorEngine

        return InstructorEngine(task=task, role=step.role, client=client)
    from decider.engines.chat import ChatEngine  # importing openai takes over a second

    return ChatEngine(task=task, role=step.role, client=client)


def check_budget(task: Task[Any], engine: Engine) -> None:
    """Raise `SpecError` where the budget of a task cannot be kept with a caller's own engine."""
    bounded = type(engine).most is not Engine.most
    for key, limits in _budgets(task):
        if limits.usd is not None and engine.cost(Usage(input_tokens=1)) is None:
            remedy = f"{type(engine).__name__}.cost has to tell; or limit calls"
            raise task.mistake("the price of the engine is not known", (*key, "usd"), remedy=remedy)
        for name in ("usd", "tokens"):
            if getattr(limits, name) is not None and not bounded:
                remedy = f"{type(engine).__name__}.most has to tell the most that a call can use; or limit calls"
                raise task.mistake("nothing bounds what a call can use", (*key, name), remedy=remedy)


def _budgets(task: Task[Any]) -> Iterator[tuple[Key, Limits]]:
    budget = task.spec.budget
    for scope in ("decision", "run"):
        limits = None if budget is None else getattr(budget, scope)
        if limits is not None:
            yield ("budget", scope), limits


def _unbounded(task: Task[Any], step: Step) -> Iterator[SpecError]:
    """What keeps a budget from being a promise: a price that nobody knows, an answer of any length."""
    asked = task.spec.asked(step.role)
    for key, limits in _budgets(task):
        if limits.usd is not None and price_of(asked) is None:
            remedy = f"write {step.role}.price: {{input: …, output: …}}, in dollars for a million tokens"
            yield task.mistake(f"the price of {asked.model!r} is not known", (*key, "usd"), remedy=remedy)
        for name in ("usd", "tokens"):
            limit = getattr(limits, name)
            if limit is not None and step.engine == "chat" and not parameters.limits_answers(asked.params):
                parameter = parameters.LIMITS[0] if asked.is_openai else parameters.LIMITS[1]
                remedy = f"limit answers, with {step.role}.params: {{{parameter}: 500}}"
                yield task.mistake("nothing bounds what an answer costs", (*key, name), remedy=remedy)


def given(task: Task[Any], engine: Engine) -> Step:
    """Return the one step of a caller's own engine, which answers everything."""
    return _prompted(task, engine.name, task.fields)


def _steps(task: Task[Any], mode: str) -> tuple[Step, ...]:
    closed = tuple(field for field in task.fields if field.closed)
    if mode == "prompt":
        engine = task.spec.prompt.engine
        first = _prompted(task, engine, task.fields if engine == "chat" else closed)
    elif task.spec.finetuned.engine == "local":
        first = Step(role="finetuned", engine="local", fields=closed)
    else:
        first = _tuned(task)
    rest = tuple(field for field in task.fields if field not in first.fields)
    asked = (_prompted(task, "chat", rest),) if rest else ()
    return (first, *asked) if first.fields or first.engine == "chat" else asked


def _prompted(task: Task[Any], engine: str, fields: tuple[Field, ...]) -> Step:
    if engine == "decisions":
        return Step(role="prompt", engine=engine, fields=fields)  # it answers the same again, whatever it is told
    said = task.spec.prompt
    return Step(role="prompt", engine=engine, fields=fields, samples=said.samples, reask=said.reask, widens=True)


def _tuned(task: Task[Any]) -> Step:
    """The step of a tuned language model; one that is asked in its own words has none for asking again."""
    said = task.spec.finetuned.messages
    if said is None:
        reask = task.spec.prompt.reask
        return Step(role="finetuned", engine="chat", fields=task.fields, reask=reask, widens=True)
    fields = tuple(field for field in task.fields if said.label in (None, field.path))
    return Step(role="finetuned", engine="chat", fields=fields)


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
    if not task.spec.asked(step.role).model:
        remedy = f"name the model to ask:  {step.role}: {{model: gpt-6-luna}}"
        found.append(task.mistake(f"{step.role}.model is missing", _where(task, step.role), remedy=remedy))
    found += parameters.mistakes(task, step.role, step.engine)
    if step.engine == "decisions":
        return found + _beyond_dialect(task, step.fields)
    said = task.spec.finetuned.messages
    if step.role == "finetuned" and said is not None:
        found += _misasked(task, said)
        if said.label is not None:
            return found  # a bare label is held to no schema
    return found + _beyond_limits(task, step.fields)


def _misasked(task: Task[Any], said: Messages) -> list[SpecError]:
    """What keeps a model from being asked in its own words."""
    found, where = [], ("finetuned", "messages")
    fit = [field.path for field in task.fields if field.closed and field.kind != "tags"]
    if said.label is not None and said.label not in fit:
        remedy = f"name one of: {', '.join(fit)}" if fit else "write `answer: json`"
        found.append(task.mistake(f"{said.label!r} is no field of one label", (*where, "answer"), remedy=remedy))
    if said.label is not None and task.spec.finetuned.structure != "schema":
        message = "is for an answer that is an object, and the model answers with a bare label"
        found.append(task.mistake(message, ("finetuned", "structure"), remedy="remove it"))
    if said.user == "text" and task.input is not None and task.only_text is None:
        message = "the input has several fields, and no text of its own"
        found.append(task.mistake(message, (*where, "user"), remedy="write `user: json`"))
    return found


def _beyond_dialect(task: Task[Any], fields: tuple[Field, ...]) -> list[SpecError]:
    """What the decision endpoint of the spec cannot be asked."""
    dialect = dialects_of(task.spec.prompt)[0]
    found = [
        _too_many(task, field, f"has {len(field.labels)} answers; a decision endpoint takes {dialect.options}")
        for field in fields
        if field.kind != "tags" and len(field.labels) > dialect.options
    ]
    total = sum(len(field.labels) if field.kind == "tags" else 1 for field in fields)
    if total > dialect.questions:
        message = f"the task has {total} questions (each tag is one); a decision endpoint takes {dialect.questions}"
        found.append(task.mistake(message, ("fields",), remedy="split the decision into several tasks"))
    return found


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
