"""The line to an endpoint while it is probed: each call within a time, and all of them counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

from openai import OpenAI

from decider.decision import Reply, Request, Usage
from decider.engines.base import Engine
from decider.engines.completion import PATH, Completion, read
from decider.engines.endpoint import Endpoint
from decider.errors import DeciderError, EngineRejected, EngineUnavailable

T = TypeVar("T")

Told: TypeAlias = Callable[[str], None]
"""Is told what is asked, before it is."""

_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_MOST_WORDS = 160


class Wire(Endpoint):
    """An endpoint whose one client the engines of a probe share."""

    @property
    def client(self) -> OpenAI:
        """The client; raises `EngineRejected` where the key is missing."""
        return self._client()


class Line:
    """Asks one endpoint, and keeps count; what goes wrong is an answer, too."""

    def __init__(self, endpoint: Wire, *, deadline: float, told: Told) -> None:
        self.endpoint = endpoint
        self.calls = 0
        self.usage = Usage()
        self.metered = True
        """Whether every answer so far told its tokens."""
        self._deadline = deadline
        self._told = told

    def ask(self, what: str, call: Callable[[], T]) -> T | DeciderError:
        """Return what came or what went wrong; an endpoint that is unavailable is asked once more."""
        self._told(f"asking {what}")
        try:
            return self._once(call)
        except EngineUnavailable as error:
            time.sleep(_PAUSE if error.retry_after is None else min(error.retry_after, _LONGEST_PAUSE))
        except DeciderError as error:
            return error
        try:
            return self._once(call)
        except DeciderError as error:
            return error

    def complete(self, what: str, body: Mapping[str, Any]) -> Completion | DeciderError:
        """Return a chat completion or what went wrong."""
        said = self.ask(what, lambda: read(self.endpoint.post(PATH, body), self.endpoint))
        if isinstance(said, Completion):
            self.count(said.used)
        return said

    def reply(self, what: str, engine: Engine, request: Request) -> Reply | DeciderError:
        """Return the reply of an engine or what went wrong."""
        said = self.ask(what, lambda: engine.predict(request))
        if isinstance(said, Reply):
            self.count(said.usage)
        return said

    def count(self, used: Usage | None) -> None:
        """Take an answer's tokens into account."""
        self.metered = self.metered and used is not None
        self.usage += used or Usage()

    def sentence(self, error: DeciderError) -> str:
        """What went wrong, without the address that all of it is about."""
        url = self.endpoint.url.rstrip("/")  # a client writes it with the slash, a spec without
        return str(error).removeprefix(f"{url} ").removeprefix(f"{url}/ ")

    def words(self, error: DeciderError) -> str:
        """What went wrong, shortly."""
        said = self.sentence(error)
        return said if len(said) <= _MOST_WORDS else f"{said[:_MOST_WORDS]}…"

    def _once(self, call: Callable[[], T]) -> T:
        self.calls += 1
        answer: Future[T] = Future()
        # An executor would wait at the end for a thread whose call hangs.
        threading.Thread(target=_settle, args=(answer, call), daemon=True).start()
        try:
            return answer.result(self._deadline)
        except TimeoutError as error:
            late = f"{self.endpoint.url} did not answer within {self._deadline:g} s (retry.deadline)"
            raise EngineUnavailable(late) from error


def refused(said: object) -> bool:
    """Whether an answer is the endpoint's refusal of what was asked."""
    return isinstance(said, EngineRejected) and said.reason in ("request", "model")


def _settle(answer: Future[T], call: Callable[[], T]) -> None:
    try:
        answer.set_result(call())
    except BaseException as error:  # noqa: BLE001  # it is raised where the answer is waited for
        answer.set_exception(error)
