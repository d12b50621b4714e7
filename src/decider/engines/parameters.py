"""The parameters of a request: what a spec may add to its body, and what is not for it to set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from decider.errors import SpecError
from decider.task import Task

if TYPE_CHECKING:
    from decider.spec import Role

LIMITS = ("max_completion_tokens", "max_tokens")
"""The names of the parameter that limits an answer; the first is the one that reasoning models take."""

_NONE_OF_THEM = MappingProxyType(
    {
        "chat": {
            "model": "name it beside params",
            "messages": "what is asked stands in instructions, fields and examples",
            "stream": "remove it: a decision is whole, or none",
            "n": "write prompt.samples",
        },
        "decisions": {
            "model": "name it beside params",
            "questions": "what is asked stands in instructions and fields",
            "input": "the input is what is decided",
            "state": "the input is what is decided",
        },
    }
)


def parameters_of(task: Task[Any], role: Role, engine: str) -> dict[str, Any]:
    """Return what goes into every body; raises `SpecError` for what is no parameter."""
    for mistake in mistakes(task, role, engine):
        raise mistake
    params = dict(task.spec.asked(role).params)
    extra = params.pop("extra_body", {})
    return {**params, **extra}


def mistakes(task: Task[Any], role: Role, engine: str) -> Iterator[SpecError]:
    """Yield an error for everything below `params` that is no parameter of the engine."""
    params, where = task.spec.asked(role).params, (role, "params")
    extra = params.get("extra_body", {})
    if not isinstance(extra, Mapping):
        remedy = "write {name: value}, or the names directly below params"
        yield task.mistake("expected a mapping of parameters", (*where, "extra_body"), remedy=remedy)
        extra = {}
    for name, remedy in _NONE_OF_THEM[engine].items():
        if name in params:
            yield task.mistake(f"{name} is no parameter", (*where, name), remedy=remedy)
        if name in extra:
            yield task.mistake(f"{name} is no parameter", (*where, "extra_body", name), remedy=remedy)


def limits_answers(params: Mapping[str, Any]) -> bool:
    """Whether parameters bound the length of an answer, and with it what a call can cost."""
    extra = params.get("extra_body")
    return any(name in params or (isinstance(extra, Mapping) and name in extra) for name in LIMITS)
