"""An OpenAI-compatible endpoint on loopback that answers from a script and remembers what it was sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(kw_only=True)
class Answer:
    """One scripted HTTP answer; `drip` sends the body a byte at a time, with this many seconds between."""

    status: int = 200
    body: str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    drip: float = 0.0


def completion(content: str | None, *, finish: str = "stop", refusal: str | None = None, **more: Any) -> Answer:
    """A chat completion with this content."""
    message = {"role": "assistant", "content": content, "refusal": refusal}
    body = {
        "model": "served-1",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3},
        **more,
    }
    return Answer(body=json.dumps(body))


def error(status: int, message: str, code: str | None = None, **headers: str) -> Answer:
    """An error in OpenAI's shape."""
    body = {"error": {"message": message, "code": code, "type": code}}
    return Answer(status=status, body=json.dumps(body), headers={k.replace("_", "-"): v for k, v in headers.items()})


class Endpoint:
    """Its `url`, and the requests that it got: path, headers and body of each."""

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        self.answers = answers
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.url = ""
        self._lock = threading.Lock()

    def take(self, path: str, headers: dict[str, str], body: Any) -> Answer:
        """Remember a request, and give the next answer of the script, the last one ever after."""
        with self._lock:
            answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
            self.requests.append((path, headers, body))
        return answer


@contextmanager
def serve(*answers: Answer) -> Iterator[Endpoint]:
    """Run an endpoint for the length of the block."""
    endpoint = Endpoint(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            sent = {name.lower(): value for name, value in self.headers.items()}
            self._say(endpoint.take(self.path, sent, body))

        def _say(self, answer: Answer) -> None:
            body = answer.body.encode() if isinstance(answer.body, str) else answer.body
            self.send_response(answer.status)
            for name, value in {"content-type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            try:
                for start in range(0, len(body), 1 if answer.drip else max(1, len(body))):
                    self.wfile.write(body[start : start + (1 if answer.drip else len(body))])
                    self.wfile.flush()
                    time.sleep(answer.drip)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
