"""For users' own tests: an engine that answers from a script, and a check for engines of their own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

from pydantic_core import from_json, to_json

from decider.decision import Reply, Request
from decider.engines.base import Engine
from decider.errors import EngineError

Scripted: TypeAlias = "Mapping[str, Any] | str | Reply | Exception | Callable[[Request], Any]"
"""A record, the raw text of a reply, a whole reply, an error to raise, or a function that returns one of these."""


class FakeEngine(Engine):
    """Answers from a script, one entry a call, and from its last entry ever after.

    `delay` is in seconds, before each answer. `requests` holds what was asked, in order. `in_process=False` sends sync
    callers through the loop thread, as an endpoint does.
    """

    name: ClassVar[str] = "fake"

    def __init__(self, *script: Scripted, delay: float = 0.0, in_process: bool = True) -> None:
        if not script:
            raise ValueError("FakeEngine needs at least one reply, such as FakeEngine({'team': 'billing'})")
        self.in_process = in_process
        self.requests: list[Request] = []
        self._script = script
        self._delay = delay
        self._lock = threading.Lock()

    @property
    def model(self) -> str:
        """Always `fake`."""
        return "fake"

    @property
    def identity(self) -> str:
        """Always `fake`: two scripts are not told apart."""
        return "fake"

    def predict(self, request: Request) -> Reply:
        """Answer with the next entry of the script."""
        entry = self._next(request)
        if self._delay:
            time.sleep(self._delay)
        return _reply(entry, request)

    async def apredict(self, request: Request) -> Reply:
        """Answer with the next entry of the script; the delay does not block the loop."""
        entry = self._next(request)
        await asyncio.sleep(self._delay)
        return _reply(entry, request)

    def _next(self, request: Request) -> Scripted:
        with self._lock:
            entry = self._script[min(len(self.requests), len(self._script) - 1)]
            self.requests.append(request)
        return entry


def _reply(entry: Any, request: Request) -> Reply:
    if callable(entry) and not isinstance(entry, Exception):
        entry = entry(request)
    match entry:
        case Exception():
            raise entry
        case Reply():
            return entry
        case str():
            return Reply(text=entry)
    return Reply(text=to_json(entry).decode())


def check_engine(engine: Engine, *requests: Request) -> None:
    """Raise `AssertionError` where an engine breaks its contract on these requests.

    Each request is asked through `predict` and through `apredict`. An engine has a name, a model and an identity that
    stays; it answers with a `Reply` or raises an `EngineError`; a reply's text is a JSON object; probabilities are of
    fields that were asked, of all their labels, between 0 and 1, and have a source.
    """
    if not requests:
        raise ValueError("check_engine needs at least one request to ask")
    before = engine.identity
    assert isinstance(engine.model, str), "an engine says the name of its model"  # noqa: S101
    for request in requests:
        for ask in (engine.predict, lambda one: asyncio.run(engine.apredict(one))):
            try:
                reply = ask(request)
            except EngineError:
                continue
            _check_reply(reply, request)
    assert engine.identity == before, "an engine's identity does not change between calls"  # noqa: S101


def _check_reply(reply: Any, request: Request) -> None:
    assert isinstance(reply, Reply), f"an engine returns a Reply, not {type(reply).__name__}"  # noqa: S101
    if reply.outcome == "answered":
        assert isinstance(from_json(reply.text), dict), f"a reply is a JSON object, not {reply.text[:40]!r}"  # noqa: S101
    asked = {field.path: field for field in request.fields}
    for path, distribution in reply.probabilities.items():
        assert path in asked, f"{path!r} has probabilities and was not asked"  # noqa: S101
        assert set(distribution) == set(asked[path].labels), f"{path!r} lacks a probability for some label"  # noqa: S101
        assert all(0.0 <= p <= 1.0 for p in distribution.values()), f"{path!r} has a probability outside [0, 1]"  # noqa: S101
        if asked[path].kind != "tags":
            assert abs(sum(distribution.values()) - 1.0) < 1e-6, f"the probabilities of {path!r} do not sum to 1"  # noqa: S101
    assert bool(reply.probabilities) == (reply.source is not None), "probabilities have a source, and nothing else has"  # noqa: S101
