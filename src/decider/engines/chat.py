"""The chat engine: native structured output from any OpenAI-compatible endpoint.

It sends through the official client's low-level `post`, which skips the typed layers that cost more than the wire, and
never retries: waiting and asking again is the pipeline's.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

import openai
from httpx2 import Response
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from decider.decision import Outcome, Reply, Request, Usage
from decider.engines.base import Engine
from decider.engines.faults import fault_of, unreadable
from decider.errors import EngineError, EngineRejected
from decider.prompt import render
from decider.schema import Field, strict_schema
from decider.task import Task

C = TypeVar("C", OpenAI, AsyncOpenAI)

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"
_NO_KEY = "none"
"""What is sent to an endpoint that needs no key: the client insists on one."""


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Tokens(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(BaseModel):
    """The part of a chat completion that is read."""

    choices: list[_Choice]
    model: str | None = None
    usage: _Tokens | None = None


class ChatEngine(Engine):
    """Asks a chat model for the fields of a task, held to their strict JSON schema.

    A ready `client` is used as it is, and never closed; otherwise each event loop gets an async client of its own,
    which is closed with that loop.
    """

    name: ClassVar[str] = "chat"
    in_process = False

    def __init__(self, *, task: Task[Any], client: OpenAI | AsyncOpenAI | None = None) -> None:
        self._task = task
        self._settings = task.spec.prompt
        self._base_url = self._settings.base_url or OPENAI_URL
        self._given = client
        self._secret = None if client is None else client.api_key
        self._sync: OpenAI | None = None
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[AsyncOpenAI, AsyncGenerator[None]]]
        self._loops = WeakKeyDictionary()
        self._lock = threading.Lock()
        self._bodies: dict[tuple[Field, ...], dict[str, Any]] = {}

    @property
    def model(self) -> str:
        """The model that the spec names."""
        return self._settings.model or ""

    @property
    def identity(self) -> str:
        """Endpoint, model and parameters, as canonical JSON."""
        url = str(self._given.base_url) if self._given is not None else self._base_url
        parts = [self.name, url, self.model, self._settings.structure, self._settings.params]
        return to_json(parts).decode()

    def predict(self, request: Request) -> Reply:
        """Ask once, through the sync client; raises `TypeError` where the ready client is an async one."""
        if isinstance(self._given, AsyncOpenAI):
            raise TypeError("this engine was given an AsyncOpenAI, which answers apredict alone")
        client = self._given or self._sync_client()
        try:
            response = client.post("/chat/completions", body=self._body(request), cast_to=Response)
        except openai.OpenAIError as error:
            raise self._fault(error) from error
        return self._reply(response)

    async def apredict(self, request: Request) -> Reply:
        """Ask once, through the client of the running loop; a ready sync client runs in a thread."""
        if isinstance(self._given, OpenAI):
            return await super().apredict(request)
        client = self._given or await self._async_client()
        try:
            response = await client.post("/chat/completions", body=self._body(request), cast_to=Response)
        except openai.OpenAIError as error:
            raise self._fault(error) from error
        return self._reply(response)

    def close(self) -> None:
        """Close the sync client."""
        with self._lock:
            client, self._sync = self._sync, None
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the async client of the running loop."""
        with self._lock:
            kept = self._loops.pop(asyncio.get_running_loop(), None)
        if kept is not None:
            await kept[1].aclose()

    def _body(self, request: Request) -> dict[str, Any]:
        body = self._bodies.get(request.fields)
        if body is None:
            body = self._bodies[request.fields] = self._frame(request.fields)
        return {**body, "messages": render(self._task, request)}

    def _frame(self, fields: tuple[Field, ...]) -> dict[str, Any]:
        """Everything of a request's body that does not depend on the input."""
        params = dict(self._settings.params)
        extra = params.pop("extra_body", {})
        strict = {"name": "decision", "strict": True, "schema": strict_schema(fields)}
        return {
            "model": self.model,
            "messages": [],
            "response_format": {"type": "json_schema", "json_schema": strict},
            **params,
            **extra,
        }

    def _reply(self, response: Response) -> Reply:
        try:
            completion = _Completion.model_validate_json(response.content)
            choice = completion.choices[0]
        except (ValidationError, IndexError) as error:
            raise unreadable(response, self._secret) from error
        tokens = completion.usage or _Tokens()
        return Reply(
            text=choice.message.content or "",
            outcome=_outcome(choice),
            usage=Usage(input_tokens=tokens.prompt_tokens or 0, output_tokens=tokens.completion_tokens or 0),
            served_model=completion.model,
        )

    def _fault(self, error: openai.OpenAIError) -> EngineError:
        return fault_of(error, url=self._base_url, model=self.model, key=self._secret)

    def _key(self) -> str:
        """The key, read when it is needed; raises `EngineRejected` where the endpoint needs one that is not there."""
        name = self._settings.api_key_env or (OPENAI_KEY if self._base_url == OPENAI_URL else None)
        if name is None:
            return _NO_KEY
        key = os.environ.get(name, "").strip()
        if not key:
            raise EngineRejected(
                f"the environment variable {name} is not set, and {self._base_url} needs a key; export {name}=…, "
                "or point prompt.base_url at an endpoint that needs none",
                reason="auth",
            )
        if not key.isascii() or not key.isprintable():
            raise EngineRejected(f"the key in {name} holds a character that no key has; copy it again", reason="auth")
        return key

    def _options(self) -> dict[str, Any]:
        self._secret = self._key()
        return {"api_key": self._secret, "admin_api_key": "", "base_url": self._base_url, "max_retries": 0}

    def _sync_client(self) -> OpenAI:
        with self._lock:
            if self._sync is None:
                self._sync = _unlabelled(OpenAI(**self._options()))
            return self._sync

    async def _async_client(self) -> AsyncOpenAI:
        loop = asyncio.get_running_loop()
        kept = self._loops.get(loop)
        if kept is None:
            client = _unlabelled(AsyncOpenAI(**self._options(), http_client=openai.DefaultAioHttpClient()))
            keeper = _close_with_loop(client)
            with self._lock:
                self._loops[loop] = kept = (client, keeper)
                _open[id(client)] = keeper
            await anext(keeper)
        return kept[0]


_open: dict[int, AsyncGenerator[None]] = {}
"""Keeps what closes each client alive until it has: a loop does not, and an engine may be forgotten first."""


async def _close_with_loop(client: AsyncOpenAI) -> AsyncGenerator[None]:
    """Close `client` when its loop ends: a loop closes the async generators that it has begun."""
    try:
        yield
    finally:
        del _open[id(client)]
        await client.close()
        await asyncio.sleep(0)  # a closed transport lets go of its socket one turn of the loop later


def _unlabelled(client: C) -> C:
    """Undo what the client took from environment variables that no spec named."""
    client.organization = client.project = None
    return client


def _outcome(choice: _Choice) -> Outcome:
    if choice.message.refusal:
        return "refused"
    if choice.finish_reason == "content_filter":
        return "filtered"
    return "truncated" if choice.finish_reason == "length" else "answered"
