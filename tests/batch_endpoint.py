"""A provider of batches: /v1/files and /v1/batches as OpenAI documents them, in memory, on loopback or in a client."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from httpx2 import Client, MockTransport, ReadError, Request, Response
from openai import OpenAI

from endpoint import Answer, completion, error

Said = dict[str, Any]
Ask = Callable[[Said], Answer | None]
"""Answers the body of one request; with None there is no line for it, neither among the answers nor the errors."""

URL = "http://batches.test/v1"
OVER = ("completed", "failed", "expired", "cancelled")


@dataclass
class File:
    """One file at the provider."""

    name: str
    purpose: str
    content: bytes


@dataclass
class Batch:
    """One batch: what is told of it, its requests, and how many looks it needs yet."""

    said: Said
    requests: list[Said]
    looks: int
    unanswered: int = 0


@dataclass
class Drop:
    """The connection ends at one call: with `after`, what was asked for is done all the same."""

    after: bool = False


@dataclass
class Provider:
    """Answers each request of a batch by `answer` once it was looked at `looks` times; what it did is told in `log`.

    `faults` holds what goes wrong at which call, counted from 1. The last `expires` requests of a batch are not
    answered in time, at its first time. With `queue` no more requests are taken at once.
    """

    answer: Ask = lambda body: completion('{"team": "billing", "urgent": true}')
    looks: int = 2
    faults: dict[int, Drop | Answer] = field(default_factory=dict)
    expires: int = 0
    cancels: int = 0
    queue: int | None = None
    refuses: list[Said] = field(default_factory=list)
    """What is told of the next batch, which fails."""
    rejects: list[Answer] = field(default_factory=list)
    """What the next calls to create a batch are answered with."""
    alter: Callable[[list[Any]], list[Any]] = lambda lines: lines
    """What is done to the lines of an output file."""
    instead: Callable[[str, bytes], Answer | None] = lambda what, content: None
    """Answers a call in place of all this, as `GET /batches` says which, or leaves it to the rest."""
    changed: Callable[[str, Answer], Answer] = lambda what, answer: answer
    """What becomes of the answer to a call on its way."""
    ends: str = ""
    """The status in which batches end, in place of the right one."""
    most: int = 50_000
    page: int = 100
    quiet: bool = False
    """Whether the times and counts of batches are left out."""
    files: dict[str, File] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    """How often each body was answered, and is paid for."""
    keys: set[str] = field(default_factory=set)
    url: str = URL

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._random = random.Random(7)

    def handle(self, method: str, target: str, headers: dict[str, str], content: bytes) -> Answer | Drop:
        """Answer one call."""
        with self._lock:
            parts = urlsplit(target)
            self.log.append(f"{method} {parts.path.removeprefix('/v1')}")
            self.keys.add(headers.get("authorization", ""))
            fault = self.faults.get(len(self.log))
            if fault is not None and not (isinstance(fault, Drop) and fault.after):
                return fault
            query = {name: said[-1] for name, said in parse_qs(parts.query).items()}
            answer = self.instead(self.log[-1], content)
            if answer is None:
                answer = self._route(method, parts.path.removeprefix("/v1").split("/")[1:], query, headers, content)
            return fault or self.changed(self.log[-1], answer)

    def count(self, start: str) -> int:
        """How many calls there were that begin like this."""
        return sum(line.startswith(start) for line in self.log)

    def _route(
        self, method: str, path: list[str], query: dict[str, str], headers: dict[str, str], content: bytes
    ) -> Answer:
        match method, *path:
            case "POST", "files":
                return self._upload(headers, content)
            case "GET", "files":
                wanted = [(name, file) for name, file in self.files.items() if file.purpose == query["purpose"]]
                return self._listed([_file(name, file) for name, file in wanted], query)
            case "GET", "files", name, "content" if name in self.files:
                return Answer(body=self.files[name].content)
            case "DELETE", "files", name if name in self.files:
                del self.files[name]
                return _said({"id": name, "object": "file", "deleted": True})
            case "POST", "batches":
                return self._create(json.loads(content))
            case "GET", "batches":
                return self._listed([batch.said for batch in reversed(self.batches.values())], query)
            case "GET", "batches", name if name in self.batches:
                return self._look(self.batches[name])
        return error(404, f"there is no {'/'.join(path)}", "not_found")

    def _upload(self, headers: dict[str, str], content: bytes) -> Answer:
        form: Any = message_from_bytes(b"content-type: %b\r\n\r\n%b" % (headers["content-type"].encode(), content))
        fields = {part.get_param("name", header="content-disposition"): part for part in form.get_payload()}
        sent, purpose = fields["file"], fields["purpose"].get_payload().strip()
        file = File(sent.get_filename(), purpose, sent.get_payload(decode=True))
        return _said(_file(self._put(file), file))

    def _put(self, file: File) -> str:
        self._count += 1
        name = f"file-{self._count}"
        self.files[name] = file
        return name

    def _create(self, body: Said) -> Answer:
        if self.rejects:
            return self.rejects.pop(0)
        file = self.files.get(body["input_file_id"])
        if file is None:
            return error(400, f"Cannot find file {body['input_file_id']}", None)
        assert (body["endpoint"], body["completion_window"], file.purpose) == ("/v1/chat/completions", "24h", "batch")
        self._count += 1
        requests = [json.loads(line) for line in file.content.splitlines()]
        name = f"batch_{self._count}"
        said = {
            "id": name,
            "object": "batch",
            "endpoint": body["endpoint"],
            "input_file_id": body["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "metadata": body["metadata"],
            "created_at": 1_800_000_000 + self._count,
            "request_counts": {"total": len(requests), "completed": 0, "failed": 0},
            "output_file_id": None,
            "error_file_id": None,
            "errors": None,
        }
        self.batches[name] = Batch(said, requests, self.looks, max(self.expires, self.cancels))
        return _said(self._told(said))

    def _look(self, batch: Batch) -> Answer:
        said = batch.said
        if said["status"] not in OVER:
            said["status"] = self._moved(batch)
        return _said(self._told(said))

    def _moved(self, batch: Batch) -> str:
        problems = self._problems(batch) if batch.said["status"] == "validating" else []
        if problems:
            batch.said["errors"] = {"object": "list", "data": problems}
            return "failed"
        if batch.looks > 0:
            batch.looks -= 1
            batch.said["request_counts"]["completed"] = len(batch.requests) // 2
            return "in_progress" if batch.looks else "finalizing"
        return self._finish(batch)

    def _problems(self, batch: Batch) -> list[Said]:
        under_way = sum(len(one.requests) for one in self.batches.values() if one.said["status"] not in OVER)
        if self.queue is not None and under_way > self.queue:
            return [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached", "line": None}]
        names = Counter(request["custom_id"] for request in batch.requests)
        if max(names.values()) > 1:
            return [{"code": "duplicate_custom_id", "message": "a custom_id is there twice", "line": 2}]
        if len({request["body"]["model"] for request in batch.requests}) > 1 or len(batch.requests) > self.most:
            return [{"code": "mismatched_model", "message": "one model a file", "line": None}]
        problems, self.refuses = self.refuses, []
        return problems

    def _finish(self, batch: Batch) -> str:
        cut = len(batch.requests) - batch.unanswered
        good: list[Said | str] = []
        bad: list[Said | str] = []
        for request in batch.requests[:cut]:
            answer = self.answer(request["body"])
            self.asked[json.dumps(request["body"], sort_keys=True)] += 1
            if answer is not None:
                (good if answer.status == 200 else bad).append(_line(request["custom_id"], answer))
        code = "batch_cancelled" if self.cancels else "batch_expired"
        bad += [_unanswered(request["custom_id"], code) for request in batch.requests[cut:]]
        self._random.shuffle(good)
        batch.said["output_file_id"] = self._result(self.alter(good))
        batch.said["error_file_id"] = self._result(bad)
        batch.said["request_counts"] |= {"completed": len(good), "failed": len(bad)}
        status = "completed" if not batch.unanswered else "cancelled" if self.cancels else "expired"
        self.expires = self.cancels = 0
        batch.said[f"{status}_at"] = batch.said["created_at"] + 90
        return self.ends or status

    def _result(self, lines: list[Said | str]) -> str | None:
        if not lines:
            return None
        content = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        return self._put(File("output.jsonl", "batch_output", content.encode()))

    def _told(self, said: Said) -> Said:
        hidden = ("created_at", "completed_at", "request_counts") if self.quiet else ()
        return {name: value for name, value in said.items() if name not in hidden}

    def _listed(self, entries: list[Said], query: dict[str, str]) -> Answer:
        start = next((n for n, one in enumerate(entries, 1) if one["id"] == query.get("after")), 0)
        size = min(int(query["limit"]), self.page)
        page = entries[start : start + size]
        return _said({"object": "list", "data": page, "has_more": start + size < len(entries)})


def _file(name: str, file: File) -> Said:
    return {"id": name, "object": "file", "bytes": len(file.content), "filename": file.name, "purpose": file.purpose}


def _said(body: Said) -> Answer:
    return Answer(body=json.dumps(body))


def _line(name: str, answer: Answer) -> Said:
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = answer.body
    response = {"status_code": answer.status, "request_id": f"req-{name}", "body": body}
    return {"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": None}


def _unanswered(name: str, code: str) -> Said:
    said = {"code": code, "message": "This request could not be executed before the completion window expired."}
    return {"id": f"batch_req_{name}", "custom_id": name, "response": None, "error": said}


@contextmanager
def client_of(provider: Provider, before: Callable[[str], None] = lambda _: None) -> Iterator[OpenAI]:
    """A client whose calls reach the provider without a network; `before` is told of each, and once more after it."""

    def send(request: Request) -> Response:
        what = f"{request.method} {request.url.path}"
        before(what)
        answer = provider.handle(request.method, str(request.url), dict(request.headers), request.read())
        before(f"{what} done")
        if isinstance(answer, Drop):
            raise ReadError("the connection ended", request=request)
        content = answer.body.encode() if isinstance(answer.body, str) else answer.body
        return Response(answer.status, headers={"content-type": "application/json", **answer.headers}, content=content)

    with OpenAI(api_key="none", base_url=provider.url, http_client=Client(transport=MockTransport(send))) as client:
        yield client


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, provider: Provider) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.provider = provider

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hangs up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        assert isinstance(self.server, _Server)
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.provider.handle(self.command, self.path, headers, self._body(headers))
        if isinstance(answer, Drop):
            self.close_connection = True
            return
        content = answer.body.encode() if isinstance(answer.body, str) else answer.body
        self.send_response(answer.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) - answer.short])
        self.close_connection |= answer.short > 0

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)


@contextmanager
def serve_batches(provider: Provider) -> Iterator[Provider]:
    """Run a provider on loopback for the length of the block."""
    server = _Server(provider)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
