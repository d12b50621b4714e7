"""The decisions engine: typed decision endpoints, which answer every closed field in one call with its probability."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from httpx2 import Response
from openai import AsyncOpenAI, OpenAI
from pydantic import ValidationError
from pydantic_core import to_json

from decider import prompt
from decider.decision import Distribution, Reply, Request, Usage
from decider.engines.dialects import Answers, Question, Said, decisions_body, systemone_body
from decider.engines.endpoint import Endpoint
from decider.engines.limits import SYSTEMONE, Dialect, base_of, dialects_of
from decider.engines.parameters import parameters_of
from decider.engines.remote import RemoteEngine, endpoint_of
from decider.errors import EngineRejected
from decider.model.joint import MOST_TRIES, judge_of, most_probable
from decider.schema import Field, Label, nest
from decider.task import Task

_WHAT = "answers to these questions"
_NONE_FITS = f"The schema accepts none of its most probable answers, {MOST_TRIES} of which were tried at most."
_LONGEST_ANSWER = 4000
"""Tokens of an answer to one question, at most: the name and the share of each of 255 options."""

_NO_SUCH_PATH = (404, 405, 501)
_WORDS = {True: "yes", False: "no"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The questions for some fields; `tokens` estimates the longest, since no question can see another."""

    fields: tuple[Field, ...]
    questions: tuple[Question, ...]
    tokens: int


class DecisionsEngine(RemoteEngine):
    """Asks a decision endpoint for the closed fields of a task, the whole of them jointly valid.

    Which dialect an endpoint speaks is told by its URL or its host, or else found out by the first call. What a server
    calls its confidence is not read: it means another thing at each.
    """

    name: ClassVar[str] = "decisions"

    def __init__(self, *, task: Task[Any], client: OpenAI | AsyncOpenAI | None = None) -> None:
        self._task = task
        said, named = task.spec.prompt, Endpoint(task.spec.prompt, client).asked
        self._dialects = dialects_of(named if base_of(said) == said.url else said)
        super().__init__(endpoint_of(said, client), "prompt")
        self._params = parameters_of(task, "prompt", self.name)
        self._questions: dict[tuple[Field, ...], _Asked] = {}

    @property
    def identity(self) -> str:
        """Endpoint, model and parameters, as canonical JSON."""
        return to_json([self.name, self._endpoint.url, self.model, self._params]).decode()

    def cost(self, usage: Usage) -> float | None:
        """The dollars that `usage` costs; OpenAI charges nothing for what its decision endpoint writes."""
        free = self._asked.is_openai and self._asked.price is None
        return super().cost(replace(usage, output_tokens=0) if free else usage)

    def most(self, request: Request) -> Usage | None:
        """The bound on a call: an answer to a question is a few words."""
        asked = self._asked_of(request.fields)
        return self._most(self._body(self._dialects[0], request, asked), _LONGEST_ANSWER * len(asked.questions))

    def predict(self, request: Request) -> Reply:
        """Ask once; raises `InputError` where the input is more than the model takes in."""
        asking = self._steps(request)
        act: Callable[[Any], tuple[str, dict[str, Any]]] = asking.send
        argument: Any = None
        try:
            while True:
                path, body = act(argument)
                try:
                    act, argument = asking.send, self._endpoint.post(path, body)
                except EngineRejected as error:
                    act, argument = asking.throw, error
        except StopIteration as done:
            reply: Reply = done.value
            return reply

    async def apredict(self, request: Request) -> Reply:
        """Ask once, without blocking the loop; otherwise as `predict`."""
        asking = self._steps(request)
        act: Callable[[Any], tuple[str, dict[str, Any]]] = asking.send
        argument: Any = None
        try:
            while True:
                path, body = act(argument)
                try:
                    act, argument = asking.send, await self._endpoint.apost(path, body)
                except EngineRejected as error:
                    act, argument = asking.throw, error
        except StopIteration as done:
            reply: Reply = done.value
            return reply

    def _steps(self, request: Request) -> Generator[tuple[str, dict[str, Any]], Any, Reply]:
        """Ask in the endpoint's dialect; where that is not known yet, in the next one if it has no such path."""
        asked = self._asked_of(request.fields)
        missed: list[tuple[Dialect, EngineRejected]] = []
        for dialect in self._dialects:
            try:
                response: Response = yield dialect.path, self._body(dialect, request, asked)
            except EngineRejected as error:
                if getattr(error.__cause__, "status_code", None) not in _NO_SUCH_PATH:
                    raise
                missed.append((dialect, error))
                continue
            answers = self._answers(response)
            self._dialects = (dialect,)
            return self._reply(answers, asked)
        raise _nowhere(missed) from missed[0][1].__cause__

    def _body(self, dialect: Dialect, request: Request, asked: _Asked) -> dict[str, Any]:
        body_of = systemone_body if dialect is SYSTEMONE else decisions_body
        value = prompt.cleaned(request.input)
        needed = prompt.tokens(to_json(value).decode()) + asked.tokens
        self._refuse(needed)
        return {**body_of(self.model, value, asked.questions), **self._params}

    def _asked_of(self, fields: tuple[Field, ...]) -> _Asked:
        asked = self._questions.get(fields)
        if asked is None:
            levels = min(dialect.levels for dialect in self._dialects)
            questions = tuple(one for field in fields for one in _questions(self._task, field, levels))
            longest = max(_tokens(one) for one in questions)
            asked = self._questions[fields] = _Asked(fields=fields, questions=questions, tokens=longest)
        return asked

    def _answers(self, response: Response) -> Answers:
        try:
            return Answers.model_validate_json(response.content)
        except ValidationError as error:
            # Its frames hold what came, and that may repeat the key.
            raise self._endpoint.unreadable(response, _WHAT) from error.with_traceback(None)

    def _reply(self, answers: Answers, asked: _Asked) -> Reply:
        said = answers.said(asked.questions)
        if said is None:
            problem = answers.problem(asked.questions)
            return Reply(text="{}", problem=problem, usage=answers.used, served_model=answers.model)
        by_field = _by_field(asked.fields, said)
        refused = tuple(field.path for field in asked.fields if any(one.refused for one in by_field[field.path]))
        answered = tuple(field for field in asked.fields if field.path not in refused)
        shares = {field.path: _distribution(field, by_field[field.path]) for field in answered}
        values = most_probable(answered, shares, judge_of(self._task, answered))
        honest = {
            field.path: shares[field.path]
            for field in answered
            if all(one.shares is not None for one in by_field[field.path])
        }
        return Reply(
            text=to_json(nest(values or {})).decode(),
            problem=_NONE_FITS if values is None else None,
            refused=refused,
            outcome="refused" if refused else "answered",
            probabilities=honest,
            source="decisions" if honest else None,
            usage=answers.used,
            served_model=answers.model,
        )


def _nowhere(missed: Sequence[tuple[Dialect, EngineRejected]]) -> EngineRejected:
    """The error for an endpoint that has none of the paths: what it said at each, since it may mean the model."""
    _, first = missed[0]
    if len(missed) == 1:
        return first
    said = "; ".join(f"{dialect.path}: {error}" for dialect, error in missed)
    return EngineRejected(said, reason=first.reason)


def _questions(task: Task[Any], field: Field, levels: int) -> list[Question]:
    """The questions that ask for one field: one for each tag, else one."""
    if not field.closed:
        raise ValueError(f"a decision endpoint cannot be asked for {field.path!r}, which has no fixed set of answers")
    if field.kind == "tags":
        return [
            Question(kind="truth", instructions=prompt.question(task, field, label), about=field.path)
            for label in field.labels
        ]
    asking = partial(Question, instructions=prompt.question(task, field), about=field.path)
    if field.kind == "bool" and not field.optional:
        return [asking(kind="truth")]
    options = [(_word(field, option.value), option.description) for option in field.options]
    if field.kind == "scale" and not field.optional and len(options) <= levels:
        return [asking(kind="score", options=tuple(options))]
    none = [(_none_beside(options), "")] if field.optional else []
    return [asking(kind="choice", options=(*options, *none))]


def _tokens(question: Question) -> int:
    return prompt.tokens(question.instructions, *(text for option in question.options for text in option))


def _word(field: Field, label: Label) -> str:
    """An option as it is asked for; a bool among other options may stand beside `yes` or `no`."""
    if isinstance(label, bool):
        return _WORDS[label] if field.kind == "bool" else to_json(label).decode()
    return str(label)


def _none_beside(options: Sequence[tuple[str, str]]) -> str:
    """A name for no answer that no option has."""
    taken = {value.casefold() for value, _ in options}
    name = prompt.NONE_OF_THESE
    while name in taken:
        name = f"({name})"
    return name


def _by_field(fields: Sequence[Field], said: Sequence[Said]) -> dict[str, list[Said]]:
    rest = list(said)
    found: dict[str, list[Said]] = {}
    for field in fields:
        count = len(field.labels) if field.kind == "tags" else 1
        found[field.path], rest = rest[:count], rest[count:]
    return found


def _distribution(field: Field, said: Sequence[Said]) -> Distribution:
    """What was said of a field, by label; where only the best one was told, nothing of the others."""
    if field.kind == "tags":
        return {label: one.shares[1] for label, one in zip(field.labels, said, strict=True) if one.shares is not None}
    (one,) = said
    if one.shares is not None and field.kind == "bool" and not field.optional:
        return {True: one.shares[1], False: one.shares[0]}  # the first of equals is taken: true from 0.5 on
    if one.shares is not None:
        return dict(zip(field.labels, one.shares, strict=True))
    return {label: 1.0 for n, label in enumerate(field.labels) if n == one.best}
