"""A chat completion as it comes over the wire, and the reply that it is."""

from __future__ import annotations

from typing import Annotated, Any

from httpx2 import Response
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)
from pydantic_core import to_json

from decider.decision import Outcome, Usage
from decider.engines.endpoint import Endpoint
from decider.engines.logprobs import Token

PATH = "/chat/completions"
_WHAT = "a completion"


class _Function(BaseModel):
    name: str | None = None
    arguments: str = ""

    @field_validator("arguments", mode="before")
    @classmethod
    def _as_text(cls, said: Any) -> Any:
        """Some servers send what they have parsed; it is written out again, and read like any other reply."""
        if said is None or isinstance(said, str):
            return said or ""
        return to_json(said, inf_nan_mode="constants").decode()


class _Call(BaseModel):
    function: _Function = _Function()


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Logprobs(BaseModel):
    content: list[Token] | None = None


def _if_readable(said: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """An answer whose log-probabilities or tokens are told in another way is an answer all the same, without any."""
    try:
        return read(said)
    except ValidationError:
        return None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: Annotated[_Logprobs | None, WrapValidator(_if_readable)] = None


_Count = Annotated[int, Field(ge=0, le=10**12)]


class _Details(BaseModel):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None


class _Tokens(BaseModel):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    prompt_tokens_details: _Details | None = None


class Completion(BaseModel):
    """The part of a chat completion that is read."""

    model_config = ConfigDict(hide_input_in_errors=True)

    choices: list[_Choice]
    model: str | None = None
    usage: Annotated[_Tokens | None, WrapValidator(_if_readable)] = None

    @property
    def text(self) -> str:
        """What the model wrote."""
        return self.choices[0].message.content or ""

    @property
    def calls(self) -> list[tuple[str | None, str]]:
        """The tools that the model called: name and arguments of each."""
        return [(one.function.name, one.function.arguments) for one in self.choices[0].message.tool_calls or []]

    @property
    def tokens(self) -> list[Token]:
        """What the model wrote, token by token, where the request asked for that."""
        logprobs = self.choices[0].logprobs
        return [] if logprobs is None else logprobs.content or []

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        choice = self.choices[0]
        if choice.message.refusal:
            return "refused"
        if choice.finish_reason == "content_filter":
            return "filtered"
        return "truncated" if choice.finish_reason == "length" else "answered"

    @property
    def used(self) -> Usage | None:
        """The tokens that were used, or None where the endpoint did not tell."""
        said = self.usage
        if said is None or said.prompt_tokens is None:
            return None
        details = said.prompt_tokens_details or _Details()
        cached = min(details.cached_tokens or 0, said.prompt_tokens)
        return Usage(
            input_tokens=said.prompt_tokens,
            output_tokens=said.completion_tokens or 0,
            cached_tokens=cached,
            written_tokens=min(details.cache_write_tokens or 0, said.prompt_tokens - cached),
        )


def read(response: Response, endpoint: Endpoint) -> Completion:
    """Return the completion that a response holds; raises `EngineUnavailable` where it holds none."""
    try:
        completion = Completion.model_validate_json(response.content)
    except ValidationError as error:
        # Its frames hold what came, and that may repeat the key.
        raise endpoint.unreadable(response, _WHAT) from error.with_traceback(None)
    if not completion.choices:
        raise endpoint.unreadable(response, _WHAT)
    return completion
