"""The chat engine: a chat model at any OpenAI-compatible endpoint, held to the strict schema of what is asked."""

from __future__ import annotations

import re
from copy import copy
from typing import Any, ClassVar

from httpx2 import Response
from openai import AsyncOpenAI, OpenAI
from pydantic_core import to_json

from decider import prompt
from decider.decision import Distribution, Reply, Request, Usage
from decider.engines.batches import SHARE
from decider.engines.completion import PATH, Completion, read
from decider.engines.endpoint import Endpoint
from decider.engines.logprobs import distributions
from decider.engines.parameters import LIMITS, parameters_of
from decider.engines.remote import RemoteEngine, endpoint_of
from decider.errors import EngineRejected
from decider.schema import Field, nest, strict_schema
from decider.spec import Role
from decider.task import Task

_BLOCK = re.compile(r"```(?:json)?[ \t]*\r?\n(.*?)\n?[ \t]*```(?=[ \t]*(?:\r?\n|$))", re.DOTALL | re.IGNORECASE)


class ChatEngine(RemoteEngine):
    """Asks a chat model for the fields of a task.

    `role` is the section of the spec that says whom to ask, and how. A ready `client` of any flavour is used as it is.
    """

    name: ClassVar[str] = "chat"

    def __init__(self, *, task: Task[Any], role: Role = "prompt", client: OpenAI | AsyncOpenAI | None = None) -> None:
        self._task = task
        super().__init__(endpoint_of(task.spec.asked(role), client), role)
        self._params = parameters_of(task, role, self.name)
        self._frames: dict[tuple[Field, ...], dict[str, Any]] = {}
        said = task.spec.finetuned.messages if role == "finetuned" else None
        self._bare = None if said is None else said.label
        self._scored = bool(self._params.get("logprobs"))

    @property
    def identity(self) -> str:
        """Endpoint, model and parameters, as canonical JSON."""
        asked = self._asked
        return to_json([self.name, self._endpoint.url, self.model, asked.structure, asked.params]).decode()

    def most(self, request: Request) -> Usage | None:
        """The bound on a call, by the limit that `params` set for an answer; None where they set none."""
        body = self.body(request)
        return self._most(body, next((int(body[name]) for name in LIMITS if name in body), None))

    @property
    def endpoint(self) -> Endpoint:
        """The way to where it is asked."""
        return self._endpoint

    def batched(self) -> ChatEngine:
        """Return the same engine at the price of a batch."""
        other, price = copy(self), self._price
        other._price = None if price is None else lambda usage: price(usage) * SHARE
        return other

    def predict(self, request: Request) -> Reply:
        """Ask once; raises `InputError` where the input is more than the model takes in."""
        try:
            return self._reply(self._endpoint.post(PATH, self.body(request)), request)
        except EngineRejected as error:
            return filtered(error)

    async def apredict(self, request: Request) -> Reply:
        """Ask once, without blocking the loop; otherwise as `predict`."""
        try:
            return self._reply(await self._endpoint.apost(PATH, self.body(request)), request)
        except EngineRejected as error:
            return filtered(error)

    def answered(self, status: int, body: Any, request: Request) -> Reply:
        """Return the reply that came in a batch, or raise its error, as if it had come by itself."""
        try:
            return self._reply(self._endpoint.received(status, body), request)
        except EngineRejected as error:
            return filtered(error)

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent for a request; raises `InputError` where the input is more than the model takes in."""
        frame = self._frames.get(request.fields)
        if frame is None:
            frame = self._frames[request.fields] = self._frame(request.fields)
        body = {**frame, "messages": self._messages(request)}
        return self._roomier(body, request.room) if request.room else body

    def _messages(self, request: Request) -> list[prompt.Message]:
        messages = prompt.render(self._task, request, self._role)
        # No text has more tokens than letters, as they are estimated: counting letters is cheap.
        if sum(len(message["content"]) for message in messages) > self._context:
            self._refuse(prompt.tokens(*(message["content"] for message in messages)))
        return messages

    def _frame(self, fields: tuple[Field, ...]) -> dict[str, Any]:
        """Everything of a request's body that does not depend on the input."""
        return {"model": self.model, "messages": [], **self._held_to(fields), **self._params}

    def _held_to(self, fields: tuple[Field, ...]) -> dict[str, Any]:
        """What makes the endpoint keep to the schema; a model that answers with a bare label is held to nothing."""
        if self._bare is not None:
            return {}
        strict = {"name": prompt.TOOL, "strict": True, "schema": strict_schema(fields)}
        return {"response_format": {"type": "json_schema", "json_schema": strict}}

    def _roomier(self, body: dict[str, Any], room: int) -> dict[str, Any]:
        """The body with room for a longer answer, under the name of the limit that it has, or that is usual there."""
        usual = LIMITS[0] if self._asked.is_openai else LIMITS[1]
        name = next((name for name in LIMITS if name in body), usual)
        limit = body.get(name)
        return {**body, name: max(room, 2 * limit) if isinstance(limit, int) else room}

    def _reply(self, response: Response, request: Request) -> Reply:
        completion = read(response, self._endpoint)
        text, problem = self._read(completion, request)
        scores: dict[str, Distribution] = {}
        if self._scored and problem is None and completion.outcome == "answered":
            scores = distributions(completion.text, completion.tokens, request.fields)
        return Reply(
            text=text,
            problem=problem,
            probabilities=scores,
            source="logprob" if scores else None,
            outcome=completion.outcome,
            usage=completion.used,
            served_model=completion.model,
        )

    def _read(self, completion: Completion, request: Request) -> tuple[str, str | None]:
        """The JSON object of an answer, and what keeps it from being read."""
        if self._bare is not None:
            return _label(completion.text, request.fields[0])
        if self._asked.structure == "md_json":
            return _block(completion.text)
        return completion.text, None


def filtered(error: EngineRejected) -> Reply:
    """The reply that a content filter gave in place of the model; raises any other error again."""
    if not error.filtered:
        raise error
    return Reply(text="", outcome="filtered", usage=None)


def _block(text: str) -> tuple[str, str | None]:
    """The one code block of an answer, or all of it where there is none: of two, nobody knows which was meant."""
    blocks = _BLOCK.findall(text)
    if len(blocks) > 1:
        return text, f"The reply has {len(blocks)} code blocks, and should have one."
    return (blocks[0] if blocks else text), None


def _label(text: str, field: Field) -> tuple[str, str | None]:
    """A bare label as an object of its field: the label exactly as the schema has it, but for spaces around it."""
    said = text.strip()
    labels = {str(label) if isinstance(label, str) else to_json(label).decode(): label for label in field.labels}
    if said not in labels:
        return text, f"{said[:80]!r} is not one of the labels of {field.path}."
    return to_json(nest({field.path: labels[said]})).decode(), None
