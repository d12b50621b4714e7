"""An OpenAI-compatible endpoint on loopback that answers from a script and remembers what it was sent."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from httpx2 import Client, MockTransport, Request, Response
from openai import OpenAI
from pydantic import BaseModel

from decider.decider import Decider
from decider.decision import Decision
from decider.task import Task

OPENAI = "https://api.openai.com/v1"
GOOD = '{"team": "billing", "urgent": true}'
Lane = Literal["schema", "tools", "json", "md_json"]
LANES: tuple[Lane, ...] = ("schema", "tools", "json", "md_json")
"""The ways in which a chat model is held to a schema, as `prompt.structure` names them."""


@dataclass(kw_only=True)
class Answer:
    """One scripted HTTP answer.

    `drip` sends the body a byte at a time, with this many seconds between; `short` ends the connection that many bytes
    before the end of the body.
    """

    status: int = 200
    body: str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    drip: float = 0.0
    short: int = 0


def completion(content: str | None, **more: Any) -> Answer:
    """A chat completion with this content."""
    return _completed({"role": "assistant", "content": content}, **more)


def calling(*calls: tuple[str, Any], content: str | None = None, **more: Any) -> Answer:
    """A chat completion that calls tools: the name and the arguments of each."""
    said = [
        {"id": f"call-{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, (name, arguments) in enumerate(calls)
    ]
    return _completed({"role": "assistant", "content": content, "tool_calls": said}, **more)


def saying(lane: Lane, text: str, **more: Any) -> Answer:
    """A chat completion that answers with this JSON, as a model does that is asked in `lane`."""
    if lane == "tools":
        return calling(("decision", text), **more)
    return completion(f"```json\n{text}\n```" if lane == "md_json" else text, **more)


def _completed(message: dict[str, Any], *, finish: str = "stop", refusal: str | None = None, **more: Any) -> Answer:
    message["refusal"] = refusal
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
    """Its `url`, and the requests that it got: path, headers and body of each (of a GET, None)."""

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

    def script(self, *answers: Answer) -> None:
        """Begin anew with these answers."""
        self.answers = answers
        self.requests.clear()

    @property
    def bodies(self) -> list[Any]:
        """The bodies of the requests."""
        return [body for _, _, body in self.requests]


class Route(BaseModel):
    """What most tests of endpoints decide."""

    team: Literal["billing", "login"]
    urgent: bool


def route_at(url: str, **keys: Any) -> Task[Route]:
    """A task that is asked at `url`; keywords are keys of its spec, those of `prompt` beside the usual ones."""
    prompt = {"model": "m-1", "base_url": url, **keys.pop("prompt", {})}
    return Task(Route, name="route", instructions="Decide who helps.", prompt=prompt, **keys)


def ask_at(
    endpoint: Endpoint, decide: Callable[..., Decision[Any]], x: str = "charged twice", **keys: Any
) -> Decision[Any]:
    """Decide one text at an endpoint."""
    with Decider(route_at(endpoint.url, **keys)) as decider:
        return decide(decider, x)


@contextmanager
def openai_host(*answers: Answer) -> Iterator[tuple[OpenAI, Endpoint]]:
    """A client that takes itself to ask OpenAI's own host, and the endpoint that answers in its place."""
    endpoint = Endpoint(answers)

    def answer(request: Request) -> Response:
        one = endpoint.take(request.url.path, dict(request.headers), json.loads(request.content))
        return Response(one.status, headers={"content-type": "application/json", **one.headers}, content=one.body)

    with OpenAI(api_key="own", base_url=OPENAI, http_client=Client(transport=MockTransport(answer))) as client:
        yield client, endpoint


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.endpoint = endpoint

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hangs up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each small answer takes 40 ms

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def do_GET(self) -> None:
        self._answer(None)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, body: Any) -> None:
        assert isinstance(self.server, _Server)
        sent = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.endpoint.take(self.path, sent, body)
        said = answer.body.encode() if isinstance(answer.body, str) else answer.body
        self.send_response(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self._say(said[: len(said) - answer.short], answer.drip)
        self.close_connection |= answer.short > 0

    def _say(self, said: bytes, drip: float) -> None:
        pieces = [said[at : at + 1] for at in range(len(said))] if drip else [said]
        try:
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(drip)
        except OSError:
            self.close_connection = True


@contextmanager
def serve(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    """Run an endpoint for the length of the block."""
    endpoint = Endpoint(answers)
    server = _Server(endpoint)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    endpoint.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}/v1"
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
