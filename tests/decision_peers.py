"""Decision endpoints that others wrote: one that breaks a rule on purpose, and one with a real small model."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from httpx2 import Client, HTTPError
from jevcompat.mock import Handler, MockConfig

_TRIES = 3


class _Faulty(Handler):  # type: ignore[misc]  # the package has no types
    """The mock with the faults, and the key, that the first part of the path names: one server stands for all."""

    path: str

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        _, named, path = self.path.split("/", 2)
        faults, _, key = named.partition("~")
        self.cfg = MockConfig(faults=frozenset(faults.split("+")) - {""}, key=key or None)
        self.path = f"/{path}"
        return True


@contextmanager
def mocks() -> Iterator[Callable[..., str]]:
    """Run jevcompat's mock; what is yielded gives the base URL for the faults, and the key, that it is called with."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Faulty)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()

    def url_of(*faults: str, key: str = "") -> str:
        return f"http://127.0.0.1:{server.server_port}/{'+'.join(faults)}~{key}/v1"

    try:
        yield url_of
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def command(name: str) -> str:
    """The path of a command that is installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


@contextmanager
def process(
    start: Sequence[str], *, seconds: float = 30.0, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a server with a free `--port`, and yield its URL once it answers; the log is told where it never does."""
    for _ in range(_TRIES):  # another process may take the port meanwhile
        port = _free_port()
        with (
            log.open("wb") as said,
            subprocess.Popen(
                [*start, "--host", "127.0.0.1", "--port", str(port)],
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            ) as server,
        ):
            try:
                if _up(server, port, time.monotonic() + seconds):
                    yield f"http://127.0.0.1:{port}"
                    return
            finally:
                server.kill()
    pytest.fail(f"{start[0]} does not run:\n{log.read_text(errors='replace')[-2000:]}", pytrace=False)


def _up(server: subprocess.Popen[bytes], port: int, end: float) -> bool:
    """Whether the server answers before the time is over; waits for that."""
    with Client(timeout=1.0, trust_env=False) as client:
        while server.poll() is None and time.monotonic() < end:
            try:
                client.get(f"http://127.0.0.1:{port}/")
            except HTTPError:
                time.sleep(0.05)
            else:
                return server.poll() is None
    return False


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
