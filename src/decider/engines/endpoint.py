"""The way to one endpoint: its clients, its key, and what its failures mean.

It sends through the official client's low-level `post`, which skips the typed layers that cost more than the wire, and
never retries: waiting and asking again is the pipeline's.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any, TypeVar
from weakref import WeakKeyDictionary

import openai
from httpx2 import Request, Response, TransportError
from openai import AsyncOpenAI, OpenAI
from pydantic_core import to_json

from decider.engines.faults import client_error, fault_of, line, quiet, unreadable
from decider.engines.key import Key
from decider.errors import EngineUnavailable
from decider.spec import Asked

_ONCE: Any = {"max_retries": 0}
"""For a ready client, which may have been made to ask again by itself."""

C = TypeVar("C", OpenAI, AsyncOpenAI)
T = TypeVar("T")


class Endpoint:
    """Posts to an endpoint, in both colours.

    A ready `client`, of any flavour, is used as it is, and never closed; otherwise each event loop gets an async client
    of its own, which is closed with that loop.
    """

    def __init__(self, asked: Asked, client: OpenAI | AsyncOpenAI | None = None) -> None:
        self.asked = asked if client is None else asked.model_copy(update={"base_url": _where(client)})
        """What the spec says, at the place that is really asked: a ready client has its own."""
        self._given = client
        self._key = Key() if client is None else Key(client.api_key)
        self._sync: OpenAI | None = None
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[AsyncOpenAI, AsyncGenerator[None]]]
        self._loops = WeakKeyDictionary()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it is."""
        return self.asked.url

    def post(self, path: str, body: Mapping[str, Any]) -> Response:
        """Send once, through the sync client; raises `TypeError` where the ready client is an async one."""
        client = self._client()
        with self._faults():
            return client.post(path, body=body, cast_to=Response, options=_ONCE)

    def get(self, path: str, **query: str | int) -> Response:
        """Ask once for what the endpoint tells of itself, or keeps."""
        client, options = self._client(), _ONCE | {"params": query}
        with self._faults():
            return client.get(path, cast_to=Response, options=options)

    def delete(self, path: str) -> Response:
        """Ask once to forget what it keeps at `path`."""
        client = self._client()
        with self._faults():
            return client.delete(path, cast_to=Response, options=_ONCE)

    def upload(self, path: str, name: str, content: IO[bytes], **fields: str) -> Response:
        """Send a file once, as it is read, under a name and with the fields of a form."""
        client, file = self._client(), (name, content, "application/jsonl")
        form = _ONCE | {"headers": {"Content-Type": "multipart/form-data"}}
        with self._faults():
            return client.post(path, body=fields, files={"file": file}, cast_to=Response, options=form)

    def download(self, file_id: str, to: IO[bytes]) -> None:
        """Write the content of a file, as it comes, into another."""
        client = self._client()
        if client is self._given:
            client = client.with_options(max_retries=0)
        with self._faults(), client.files.with_streaming_response.content(file_id) as response:
            try:
                to.writelines(response.iter_bytes())
            except TransportError as error:
                raise openai.APIConnectionError(request=error.request) from error

    def received(self, status: int, body: Any) -> Response:
        """Return what came in another way as if it had come by itself; raises what a bad status stands for."""
        content, kind = to_json(body), {"content-type": "application/json"}
        response = Response(status, content=content, headers=kind, request=Request("POST", self.url))
        if response.is_success:
            return response
        said = body.get("error", body) if isinstance(body, Mapping) else body
        with self._faults():
            raise openai.APIStatusError(str(status), response=response, body=said)

    def shown(self, said: str) -> str:
        """Return what the endpoint said in a form that may be shown: on one line, and without the key."""
        return line(self._key.scrub(said))

    async def apost(self, path: str, body: Mapping[str, Any]) -> Response:
        """Send once, through the client of the running loop; a ready sync client runs in a thread."""
        if isinstance(self._given, OpenAI):
            return await _in_thread(lambda: self.post(path, body))
        client = self._given or await self._async_client()
        with self._faults():
            return await client.post(path, body=body, cast_to=Response, options=_ONCE)

    def unreadable(self, response: Response, what: str) -> EngineUnavailable:
        """Return the error for an answer with a good status that is not `what` was asked for."""
        return unreadable(response, self._key.sent(response.request.headers), what)

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

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Raise the `EngineError` that an error of the client stands for."""
        self._key.check("the client that was given")
        outside = sys.exception()
        try:
            yield
        except Exception as error:
            known = client_error(error, outside)
            if known is None:
                raise
            request = getattr(known, "request", None)
            key = self._key if request is None else self._key.sent(request.headers)
            fault = fault_of(known, url=self.url, model=self.asked.model or "", key=key)
            raise fault from quiet(known, key, outside)

    def _options(self) -> dict[str, Any]:
        self._key = Key.of(self.asked)
        return {"api_key": self._key.reveal(), "admin_api_key": "", "base_url": self.url, "max_retries": 0}

    def _client(self) -> OpenAI:
        if isinstance(self._given, AsyncOpenAI):
            raise TypeError("this engine was given an AsyncOpenAI, which answers apredict alone")
        if self._given is not None:
            return self._given
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


async def _in_thread(call: Callable[[], T]) -> T:
    """Run `call` in a thread of its own: nobody waits for it after the deadline, as an executor would at its end."""
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(put: Callable[[Any], None], what: object) -> None:
        if not answer.done():
            put(what)

    def work() -> None:
        done: tuple[Callable[[Any], None], object]
        try:
            done = answer.set_result, context.run(call)
        except BaseException as error:  # noqa: BLE001  # it is raised where the answer is waited for
            done = answer.set_exception, error
        with suppress(RuntimeError):  # the loop may have ended in the meantime
            loop.call_soon_threadsafe(settle, *done)

    threading.Thread(target=work, name="decider-client", daemon=True).start()
    return await answer


def _where(client: OpenAI | AsyncOpenAI) -> str:
    """The place that a client asks, as a spec would write it, and without a password."""
    return str(client.base_url.copy_with(userinfo=b"")).rstrip("/")


def _unlabelled(client: C) -> C:
    """Undo what the client took from environment variables that no spec named."""
    client.organization = client.project = None
    client._custom_headers = {}
    return client
