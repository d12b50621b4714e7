"""The chat engine through instructor: for endpoints that know tools or JSON, and no strict schema.

instructor makes the tool, and what calls for it; everything else that is sent, and all that is read, is ours. It never
asks again, and never sees a message, a parameter of the spec, an answer or an error: it has nothing to render, to take
for an order to itself, or to log.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from httpx2 import Response
from instructor import Mode, ResponseSchema, patch

from decider import prompt
from decider.decision import Reply, Request
from decider.engines.chat import ChatEngine, filtered
from decider.engines.completion import PATH, Completion
from decider.errors import EngineRejected
from decider.schema import Field, strict_schema

_FORMATS = {"json": {"type": "json_object"}, "md_json": {"type": "text"}}


class InstructorEngine(ChatEngine):
    """Asks a chat model for the fields of a task by a tool call, by JSON, or by JSON in a code block."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        structure = self._asked.structure
        self._format = _FORMATS.get(structure)
        mode = Mode.TOOLS if structure == "tools" else Mode.JSON_SCHEMA
        self._ask = patch(create=self._send, mode=mode)
        self._aask = patch(create=self._asend, mode=mode)
        self._schemas: dict[tuple[Field, ...], type[ResponseSchema]] = {}

    def predict(self, request: Request) -> Reply:
        """Ask once; raises `InputError` where the input is more than the model takes in."""
        try:
            return self._reply(_opened(self._ask(**self._wanted(request))), request)
        except EngineRejected as error:
            return filtered(error)

    async def apredict(self, request: Request) -> Reply:
        """Ask once, without blocking the loop; otherwise as `predict`."""
        try:
            return self._reply(_opened(await self._aask(**self._wanted(request))), request)
        except EngineRejected as error:
            return filtered(error)

    def _wanted(self, request: Request) -> dict[str, Any]:
        schema = self._schemas.get(request.fields)
        if schema is None:
            schema = self._schemas[request.fields] = _schema(request.fields)
        ours = {"extra_body": self.body(request), "max_retries": 0}
        return {"model": self.model, "messages": [], "response_model": schema, **ours}

    def _held_to(self, fields: tuple[Field, ...]) -> dict[str, Any]:
        """The format, in place of the schema that instructor adds; nothing beside the tool that it adds."""
        del fields
        return {} if self._format is None else {"response_format": self._format}

    def _send(self, **body: Any) -> _Carrier:
        try:
            return _Carrier(self._endpoint.post(PATH, _with_extra(body)))
        except Exception as error:  # noqa: BLE001  # instructor would print it, and wrap it
            return _Carrier(error)

    async def _asend(self, **body: Any) -> _Carrier:
        try:
            return _Carrier(await self._endpoint.apost(PATH, _with_extra(body)))
        except Exception as error:  # noqa: BLE001  # instructor would print it, and wrap it
            return _Carrier(error)

    def _read(self, completion: Completion, request: Request) -> tuple[str, str | None]:
        return _called(completion) if self._asked.structure == "tools" else super()._read(completion, request)


class _Carrier:
    """What instructor takes for a good answer, and hands back with what really came, or with what went wrong."""

    def __init__(self, content: Response | Exception) -> None:
        self.content = content
        function = SimpleNamespace(name=prompt.TOOL, arguments="{}")
        message = SimpleNamespace(content="{}", refusal=None, tool_calls=[SimpleNamespace(function=function)])
        self.choices = [SimpleNamespace(finish_reason="stop", message=message)]
        self.usage = None


def _opened(answer: Any) -> Response:
    """The response that came; raises the error that came in its place."""
    content = answer._raw_response.content
    if isinstance(content, Exception):
        raise content
    response: Response = content
    return response


def _with_extra(body: dict[str, Any]) -> dict[str, Any]:
    extra = body.pop("extra_body", {})
    return {**body, **extra}


def _schema(fields: tuple[Field, ...]) -> type[ResponseSchema]:
    """A class that instructor takes the schema of our fields from, and that takes any answer."""
    strict = {"title": prompt.TOOL, "description": prompt.TOOL_DESCRIPTION, **strict_schema(fields)}

    class Anything(ResponseSchema):
        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return strict

    return Anything


def _called(completion: Completion) -> tuple[str, str | None]:
    """The arguments of the one call to our tool, or of whatever was called in its place."""
    match completion.calls:
        case [(prompt.TOOL, arguments)]:
            return arguments, None
        case []:
            return completion.text, f"The reply did not call the tool {prompt.TOOL!r}."
        case [(name, arguments)]:
            return arguments, f"The reply called the tool {str(name)[:80]!r}, and there is only {prompt.TOOL!r}."
        case calls:
            said = "\n".join(arguments for _, arguments in calls)
            return said, f"The reply called {len(calls)} tools, and should call {prompt.TOOL!r} once."
