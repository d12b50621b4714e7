"""The probe of a chat endpoint: the task in each structure, and what lies below: schema, logprobs, long inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import from_json

from decider.decision import Reply
from decider.engines.chat import ChatEngine
from decider.engines.completion import Completion
from decider.engines.logprobs import distributions
from decider.engines.probe.diagnosis import Finding, Status
from decider.engines.probe.form import LOGPROBS, Form
from decider.engines.probe.line import Line, refused
from decider.engines.probe.trial import misfit, trial_of, variant
from decider.errors import DeciderError
from decider.runtime.prices import context_of
from decider.schema import Field, Option, strict_schema
from decider.spec import Role, Structure
from decider.task import Task

LONG = 6000
"""Words of the long input; hardly a tokenizer makes fewer tokens than words."""

_KEPT = 0.75
"""The share of the long input that is counted at least where nothing of it was cut."""

_LEAST_CONTEXT = 512
_FILLER = "The man and his dog ran to the old red car but the sun was too hot for him and the cat "
_CONTRADICTED = "Answer with a JSON object whose only key is word, and whose value is the word purple."
_COLOUR = 'Which colour has a ripe tomato? Answer with {"word": "red"} or with {"word": "green"}, and nothing else.'
_WORD = Field(
    path="word",
    kind="choice",
    options=(Option(value="red"), Option(value="green")),
    strict='{"type": "string", "enum": ["red", "green"]}',
)
_ALLOWED = ({"word": "red"}, {"word": "green"})

_TRIED: tuple[Structure, ...] = ("tools", "json")
_SCORED = ("schema", "json", "md_json")
"""Structures whose answers are read where log-probabilities are told: in the text, and not in a call."""

_VALID = "a valid answer"
_HONOURED = "honoured"
_IGNORED = "ignored"
_UNCLEAR = "unclear"


class ChatProbe:
    """Asks a chat endpoint as the chat engine would, and once each for what that rests on."""

    def __init__(self, task: Task[Any], *, role: Role, fields: tuple[Field, ...], line: Line, longest: int) -> None:
        self._task = task
        self._role = role
        self._fields = fields
        self._line = line
        self._longest = longest
        self._asked = task.spec.asked(role)
        self._form = Form(self._asked, line)
        self._messages = task.spec.finetuned.messages if role == "finetuned" else None
        self._label = None if self._messages is None else self._messages.label
        self._scored = self._label is None and self._asked.structure in _SCORED
        self._wanted = bool(self._asked.params.get("logprobs"))

    def reach(self) -> str | None:
        """Return the name of the model that answers, if told; raises what the endpoint says where none does."""
        return self._form.reach().model

    def findings(self, context: int | None) -> Iterator[Finding]:
        """Yield what the endpoint does; `context` is what its list says of the model."""
        structure = self._asked.structure
        yield from self._form.findings()
        own, refusal = self._own()
        if isinstance(own, Reply) and own.usage is not None:
            self._form.allow(own.usage.output_tokens)
        honoured = _HONOURED if self._label else self._honoured()
        tried = {one: self._answer(one, self._form.limited()) for one in self._others()}
        better = self._better(honoured, tried)
        yield self._structure(own, None if structure == "schema" and honoured == _IGNORED else better)
        if self._label is None:
            yield self._schema(honoured, better)
        for one, reply in tried.items():
            yield Finding(code=one, status="ok", found=self._problem(reply) or _VALID)
        if self._scored or self._wanted:
            yield self._logprobs(own, refusal)
        yield self._long(context)

    # The task, in each structure

    def _others(self) -> tuple[Structure, ...]:
        """The structures that the spec might name instead; a model tuned elsewhere knows its own alone."""
        return () if self._messages else tuple(one for one in _TRIED if one != self._asked.structure)

    def _own(self) -> tuple[Reply | DeciderError, str | None]:
        """What the task gets as the spec asks; where that is refused for its log-probabilities alone, also how."""
        structure, params = self._asked.structure, self._form.own()
        own = self._answer(structure, params)
        if not (self._wanted and refused(own)):
            return own, None
        without = {name: value for name, value in params.items() if name not in LOGPROBS}
        bare = self._answer(structure, without)
        return (bare, self._problem(own)) if isinstance(bare, Reply) else (own, None)

    def _answer(self, structure: Structure, params: Mapping[str, Any]) -> Reply | DeciderError:
        """What the engine of a structure gets for the harmless input."""
        task = variant(self._task, self._role, structure=structure, params=dict(params))
        with_logprobs = " and their log-probabilities" if params.get("logprobs") else ""
        what = f"for the task's fields with structure: {structure}{with_logprobs}"
        engine = _engine(structure, task=task, role=self._role, client=self._line.endpoint.client)
        return self._line.reply(what, engine, trial_of(task, self._fields))

    def _problem(self, said: Reply | DeciderError) -> str | None:
        """What keeps an answer from being valid, or None."""
        return misfit(self._task, said, self._fields) if isinstance(said, Reply) else self._line.words(said)

    def _better(self, honoured: str, tried: Mapping[Structure, Reply | DeciderError]) -> str | None:
        """The change to another structure that works, the strictest first."""
        if self._messages is not None:
            return None
        if honoured == _HONOURED and self._asked.structure != "schema":
            return "structure: schema"
        return next((f"structure: {one}" for one, said in tried.items() if self._problem(said) is None), None)

    def _structure(self, own: Reply | DeciderError, better: str | None) -> Finding:
        """Whether the task is answered as the spec asks for it."""
        spec = f"answer: {{label: {self._label}}}" if self._label else f"structure: {self._asked.structure}"
        problem = self._problem(own)
        if problem is None:
            return Finding(code="structure", status="ok", found=_VALID, spec=spec)
        status: Status = "unknown" if self._unclear(own) else "fails"
        return Finding(code="structure", status=status, found=problem, spec=spec, change=better)

    def _unclear(self, own: Reply | DeciderError) -> bool:
        """Whether an answer that does not do says nothing of the structure, but of the input or of our own limit."""
        if not isinstance(own, Reply):
            return False
        return own.outcome in ("refused", "filtered") or (own.outcome == "truncated" and self._form.unlimited)

    # The schema alone

    def _honoured(self) -> str:
        """What becomes of a strict schema that the prompt does not mention, and contradicts."""
        body = self._form.body(_CONTRADICTED, {**_format("schema"), **self._form.limited()})
        said = self._line.complete("for a word that the schema forbids", body)
        if not isinstance(said, Completion):
            return f"{'' if refused(said) else f'{_UNCLEAR}: '}{self._line.words(said)}"
        if said.outcome != "answered":
            return f"{_UNCLEAR}: the answer was {said.outcome}"
        try:
            return _HONOURED if from_json(said.text) in _ALLOWED else _IGNORED
        except ValueError:
            return _IGNORED

    def _schema(self, honoured: str, better: str | None) -> Finding:
        if self._asked.structure != "schema":
            offer = better if honoured == _HONOURED else None
            return Finding(code="schema", status="ok", found=honoured, change=offer)
        status: Status = "fails"
        if honoured == _HONOURED:
            status = "ok"
        elif honoured.startswith(_UNCLEAR):
            status = "unknown"
        elif honoured == _IGNORED and better is not None:
            status = "differs"
        change = better if honoured == _IGNORED else None
        return Finding(code="schema", status=status, found=honoured, spec="structure: schema", change=change)

    # Log-probabilities

    def _logprobs(self, own: Reply | DeciderError, refusal: str | None) -> Finding:
        """Whether log-probabilities give each closed field of the task a distribution."""
        closed = {field.path for field in self._fields if field.closed and field.kind != "tags"}
        if refusal is not None:
            return self._unscored(refusal, "fails")
        if not closed or not self._scored:
            return self._unscored("of no use with these fields" if self._scored else "of no use with such answers")
        scored = own if self._wanted else self._answer(self._asked.structure, {**self._form.limited(), **LOGPROBS})
        if not isinstance(scored, Reply):
            return self._unscored(self._line.words(scored), "unknown")
        told = closed & scored.probabilities.keys()
        if told != closed:
            return self._unscored(f"for {len(told)} of {len(closed)} fields" if told else self._why_none())
        spec, offer = ("params: logprobs", None) if self._wanted else ("", self._offer())
        return Finding(code="logprobs", status="ok", found="a probability for each option", spec=spec, change=offer)

    def _unscored(self, found: str, status: Status = "differs") -> Finding:
        """Log-probabilities that do not do: a matter for a spec that asks for them."""
        if not self._wanted:
            return Finding(code="logprobs", status="ok", found=found)
        change = None if status == "unknown" else "remove logprobs from params"
        return Finding(code="logprobs", status=status, found=found, spec="params: logprobs", change=change)

    def _offer(self) -> str:
        said = ", ".join(f"{name}: {str(value).lower()}" for name, value in LOGPROBS.items())
        return f"add {said} to params" if self._asked.params else f"params: {{{said}}}"

    def _why_none(self) -> str:
        """Why an answer to the task tells no distribution, by an answer that is easier to give."""
        more = {**_format(self._asked.structure), **self._form.limited(), **LOGPROBS}
        said = self._line.complete("how its log-probabilities look", self._form.body(_COLOUR, more))
        if not isinstance(said, Completion):
            return self._line.words(said)
        if not said.tokens:
            return "absent"
        if b"".join(token.raw for token in said.tokens) != said.text.encode():
            return "present, and not aligned with the answer"
        of = "these fields" if distributions(said.text, said.tokens, (_WORD,)) else "any field"
        return f"present, and too thin for {of}: too much lies on tokens that are not listed"

    # Long inputs

    def _long(self, told: int | None) -> Finding:
        """Whether a long input arrives whole; `told` is the context by the endpoint's list."""
        known = context_of(self._asked)
        words = min(self._longest, 3 * known // 4)
        text = " ".join((_FILLER * (words // len(_FILLER.split()) + 1)).split()[:words])
        body = self._form.body(f"{text}. Answer with OK.", self._form.limited(known // 8))
        said = self._line.complete(f"with an input of {words:,} tokens", body)
        if not isinstance(said, Completion):
            found = f"{words:,} tokens: {self._line.words(said)}"
            change = (
                f"context: {told or _number_in(self._line.sentence(said), words) or '…'}" if refused(said) else None
            )
            return self._arrived(found, "differs" if refused(said) else "unknown", change)
        counted = 0 if said.used is None else said.used.input_tokens
        if not counted:
            return self._arrived("taken; it does not say how much of it", "unknown")
        if counted < min(_LEAST_CONTEXT, _KEPT * words):
            return self._arrived(f"counted as {counted:,} of {words:,} tokens, which no model is cut to", "unknown")
        if counted < _KEPT * words:
            return self._arrived(f"cut silently: {counted:,} of {words:,} tokens", "differs", f"context: {counted}")
        less = told is not None and told < known
        status: Status = "differs" if less and self._asked.context is not None else "ok"
        found = f"{words:,} tokens are kept whole" + (f", and it lists a context of {told:,}" if less else "")
        return self._arrived(found, status, f"context: {told}" if less else None)

    def _arrived(self, found: str, status: Status, change: str | None = None) -> Finding:
        spec = "" if self._asked.context is None else f"context: {self._asked.context}"
        return Finding(code="long-input", status=status, found=found, spec=spec, change=change)


def _engine(structure: Structure, **how: Any) -> ChatEngine:
    if structure == "schema":
        return ChatEngine(**how)
    from decider.engines.instructor import InstructorEngine  # slow to import

    return InstructorEngine(**how)


def _format(structure: Structure) -> dict[str, Any]:
    """What makes an endpoint keep to the one word, in the structures that tell log-probabilities."""
    if structure == "schema":
        strict = {"name": "answer", "strict": True, "schema": strict_schema((_WORD,))}
        return {"response_format": {"type": "json_schema", "json_schema": strict}}
    return {"response_format": {"type": "json_object" if structure == "json" else "text"}}


def _number_in(refusal: str, words: int) -> int | None:
    """The context that a refusal names: the least number in it that may be one."""
    numbers = (int(one.replace(",", "")) for one in re.findall(r"\d[\d,]*", refusal))
    return min((one for one in numbers if _LEAST_CONTEXT <= one < words), default=None)
