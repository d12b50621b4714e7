"""The endpoint's other end: starts it in a process of its own, asks what it counted, and tells it to behave."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from typing import Any

from loopback import endpoint as module
from loopback.endpoint import Behaviour, Outage


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the endpoint counted: `outcomes` by kind, "answered" among them; `in_outage` are calls during outages."""

    calls: int
    rows: int
    most_at_once: int
    in_outage: int
    outage: bool
    outcomes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running endpoint: where it is asked, and where it is told what to do."""

    port: int
    control: int

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def counts(self) -> Counts:
        """Return what was counted so far."""
        return Counts(**self._told("GET", "/stats"))

    def rows(self) -> dict[int, tuple[int, int]]:
        """Return for each row how often it was asked, and how often it was answered well."""
        return {row: (asked, answered) for row, asked, answered in self._told("GET", "/rows")}

    def behave(self, behaviour: Behaviour) -> None:
        """Change what the endpoint does, and count anew."""
        self._told("POST", "/behave", asdict(behaviour))
        self.reset()

    def fail(self, outage: Outage) -> None:
        """Begin an outage."""
        self._told("POST", "/outage", asdict(outage))

    def reset(self) -> None:
        """Count anew."""
        self._told("POST", "/reset")

    def _told(self, method: str, path: str, body: object = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self.control, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body))
            return json.loads(connection.getresponse().read())


@contextlib.contextmanager
def endpoint(behaviour: Behaviour, *, core: int | None = None) -> Iterator[Endpoint]:
    """Run an endpoint in a process that ends with the block, on one core where a number is given."""
    pinned = [] if core is None else [str(core)]
    command = [sys.executable, module.__file__, json.dumps(asdict(behaviour)), *pinned]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        port, control = map(int, server.stdout.readline().split())
        yield Endpoint(port, control)


def cores() -> tuple[int, int] | None:
    """Return one core for the client and another for the endpoint; None where there are no two to choose."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    free = sorted(os.sched_getaffinity(0))
    return (free[0], free[1]) if len(free) > 1 else None


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Hold this process, and the threads that it starts, to one core inside the block."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
