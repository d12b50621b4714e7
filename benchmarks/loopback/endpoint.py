"""An endpoint in a process of its own, on the standard library alone: fixed answers, latency, faults and outages.

It counts every call, and every call for each row: a row is known by the words `Ticket NUMBER:` in what is asked. The
answer to a row is one of a fixed list, by its number. Faults are drawn by the seed, the row, and how often it was asked
before, so that a run meets the same ones in whatever order it asks. A second port takes no part in outages:

    GET /stats, GET /rows           what was counted so far
    POST /behave, /outage, /reset   behave otherwise; an outage now; count anew
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import re
import socket
import struct
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from random import Random
from typing import Any

LIFE = 4 * 3600.0
"""Seconds after which the endpoint ends even where nobody ends it."""

MODEL = "loopback"
BACKLOG = 1024

_LENGTH = re.compile(rb"^content-length: *(\d+)\r?$", re.IGNORECASE | re.MULTILINE)
_ROW = re.compile(rb"Ticket (\d+):")
_ENDS_WITH_RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: a connection that is closed so ends with RST, in the middle of whatever was going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time in which nothing is answered, from the moment it is asked for, or from the call number `after`.

    `kind` is "refuse" (nobody listens), "reset", "blackhole" (calls are taken and never answered) or "error" (500).
    """

    kind: str = "error"
    seconds: float = 60.0
    after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What the endpoint does: `answers` in turn by row, after `latency` seconds, give or take the share `spread`.

    `faults` gives the share of calls that end otherwise: "throttled" (429 with Retry-After: `retry_after`), "error"
    (500), "reset", "timeout" (an answer after `hang` seconds, or never), "garbage" (200 with what is no completion),
    "malformed" (a completion that does not fit the schema), and "denied" (401).
    """

    answers: tuple[str, ...]
    latency: float = 0.0
    spread: float = 0.0
    faults: Mapping[str, float] = field(default_factory=dict)
    retry_after: float = 1.0
    hang: float | None = None
    outage: Outage | None = None
    seed: int = 1


class Desk:
    """Takes the calls of every connection, decides how each of them ends, and counts."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.open: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        self._outage: Outage | None = None
        self._outage_ends = 0.0
        self._listening: asyncio.Server | None = None
        self._port = 0
        self._behave(behaviour)
        self._reset()

    async def listen(self) -> int:
        """Take connections, at the port of before where there was one; return the port."""
        self._listening = await self._loop.create_server(
            lambda: Connection(self), "127.0.0.1", self._port, backlog=BACKLOG, reuse_address=True
        )
        self._port = self._listening.sockets[0].getsockname()[1]
        return self._port

    def take(self, connection: Connection, path: bytes, body: bytes) -> None:
        """Answer one request, at once or later."""
        if path.endswith(b"/chat/completions"):
            self._asked(connection, body)
        else:
            connection.write(_http(200, json.dumps(self._controlled(path, body)).encode()))

    def _controlled(self, path: bytes, body: bytes) -> object:
        said = json.loads(body) if body else {}
        match path:
            case b"/rows":
                return [[row, asked, self._answered[row]] for row, asked in self._rows.items()]
            case b"/behave":
                self._behave(behaviour_of(said))
            case b"/outage":
                self._begin(Outage(**said))
            case b"/reset":
                self._reset()
        return self._stats()

    def _behave(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._random = Random(behaviour.seed)
        self._bounds = [(behaviour.latency * (1 + side * behaviour.spread)) for side in (-1, 1)]

    def _reset(self) -> None:
        self._calls = self._now = self._most = self._in_outage = 0
        self._outcomes: Counter[str] = Counter()
        self._rows: Counter[int] = Counter()
        self._answered: Counter[int] = Counter()

    def _stats(self) -> dict[str, object]:
        return {
            "calls": self._calls,
            "rows": len(self._rows),
            "most_at_once": self._most,
            "in_outage": self._in_outage,
            "outage": self._outage is not None,
            "outcomes": dict(self._outcomes),
        }

    def _asked(self, connection: Connection, body: bytes) -> None:
        known = _ROW.search(body)
        row = int(known[1]) if known else -1
        self._calls += 1
        planned = self._behaviour.outage
        if planned is not None and self._calls == planned.after:
            self._begin(planned)
        outcome = self._outcome(row, self._rows[row])
        self._outcomes[outcome] += 1
        self._rows[row] += 1
        tool = json.loads(body)["tools"][0]["function"]["name"] if b'"tools"' in body else None
        self._now += 1
        self._most = max(self._most, self._now)
        delay = self._random.uniform(*self._bounds) if self._bounds[1] and self._outage is None else 0.0
        if outcome == "timeout":
            if self._behaviour.hang is None:
                self._now -= 1
                return
            delay, outcome = self._behaviour.hang, "answered"
        if delay:
            self._loop.call_later(delay, self._answer, connection, outcome, row, tool)
        else:
            self._answer(connection, outcome, row, tool)

    def _outcome(self, row: int, before: int) -> str:
        """How the call for a row ends that was asked `before` times already."""
        if self._outage is not None:
            self._in_outage += 1
            return self._outage.kind
        if not self._behaviour.faults:
            return "answered"
        drawn = blake2b(b"%d %d %d" % (self._behaviour.seed, row, before), digest_size=7).digest()
        chance = int.from_bytes(drawn) / 256**7
        for kind, share in self._behaviour.faults.items():
            chance -= share
            if chance < 0:
                return kind
        return "answered"

    def _answer(self, connection: Connection, outcome: str, row: int, tool: str | None) -> None:
        self._now -= 1
        if self._outage is not None and self._outage.kind == "blackhole":
            return
        match outcome:
            case "answered":
                self._answered[row] += 1
                answers = self._behaviour.answers
                connection.write(_answer(answers[row % len(answers)], tool))
            case "malformed":
                connection.write(_answer('{"topic": "the weather", "urgency": 7}', tool))
            case "throttled":
                after = b"Retry-After: %g\r\n" % self._behaviour.retry_after
                connection.write(_http(429, b'{"error": {"message": "too many requests"}}', headers=after))
            case "error":
                connection.write(_http(500, b'{"error": {"message": "the server had an error"}}'))
            case "denied":
                connection.write(_http(401, b'{"error": {"message": "no such key"}}'))
            case "garbage":
                connection.write(_GARBAGE[self._random.randrange(len(_GARBAGE))])
            case _:
                connection.reset()

    def _begin(self, outage: Outage) -> None:
        self._outage = outage
        self._loop.call_later(outage.seconds, self._end)
        if outage.kind == "refuse" and self._listening is not None:
            self._listening.close()
        if outage.kind in ("refuse", "reset"):
            for connection in [one for one in self.open if not one.is_control]:
                connection.reset()

    def _end(self) -> None:
        self._outage = None
        if self._listening is not None and not self._listening.is_serving():
            asyncio.ensure_future(self.listen())  # noqa: RUF006  # the server that it makes is kept


class Connection(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self, desk: Desk, *, is_control: bool = False) -> None:
        self._desk = desk
        self._received = b""
        self.is_control = is_control

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are written to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._desk.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        del exc
        self._desk.open.discard(self)

    def data_received(self, data: bytes) -> None:
        """Take every request that is complete."""
        self._received += data
        while True:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            if not end or len(rest) < size:
                return
            body, self._received = rest[:size], rest[size:]
            self._desk.take(self, head.split(b" ", 2)[1], body)

    def write(self, data: bytes) -> None:
        """Send an answer, where the other side is still there."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def reset(self) -> None:
        """End the connection rudely."""
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ENDS_WITH_RESET)
        self._transport.abort()


def behaviour_of(said: Mapping[str, Any]) -> Behaviour:
    """Read a behaviour from JSON."""
    outage = said["outage"]
    answers = tuple(said["answers"])
    return Behaviour(**{**said, "answers": answers, "outage": None if outage is None else Outage(**outage)})


@lru_cache(maxsize=4096)
def _answer(content: str, tool: str | None) -> bytes:
    return _http(200, json.dumps(completion(content, tool)).encode())


def completion(content: str, tool: str | None = None) -> dict[str, Any]:
    """Return a completion with this content, as a call of `tool` where there is one."""
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if tool is not None:
        function = {"name": tool, "arguments": content}
        message |= {"content": None, "tool_calls": [{"id": "call-1", "type": "function", "function": function}]}
    choice = {"index": 0, "message": message, "finish_reason": "stop" if tool is None else "tool_calls"}
    usage = {"prompt_tokens": 200, "completion_tokens": 30, "total_tokens": 230}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL, "usage": usage}
    return {**body, "choices": [choice]}


def _http(status: int, body: bytes, *, kind: bytes = b"application/json", headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %d Said\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n"
    return head % (status, kind, len(body), headers) + body


_GARBAGE = (
    _http(200, b"<html><body>Please log in to this network.</body></html>", kind=b"text/html"),
    _http(200, json.dumps(completion("{}")).encode()[:150]),
    _http(200, json.dumps({**completion("{}"), "choices": []}).encode()),
    _http(200, b'{"error": {"message": "the model is overloaded"}}'),
    _http(200, b"this is not compressed", headers=b"Content-Encoding: gzip\r\n"),
)


async def _serve(behaviour: Behaviour) -> None:
    """Answer until standard input ends: nobody writes to it, so that it is ready to read when its other end is gone."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), over.set)
    desk = Desk(behaviour)
    port = await desk.listen()
    control = await loop.create_server(lambda: Connection(desk, is_control=True), "127.0.0.1", 0)
    print(port, control.sockets[0].getsockname()[1], flush=True)
    gc.freeze()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), LIFE)


if __name__ == "__main__":
    if sys.argv[2:]:
        os.sched_setaffinity(0, {int(sys.argv[2])})
    asyncio.run(_serve(behaviour_of(json.loads(sys.argv[1]))))
