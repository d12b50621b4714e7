"""Endpoints on loopback that answer by what they are asked, each with the habits of some real server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

Said = tuple[int, Any]
"""A status, and the JSON value or the text below it."""

NOT_THERE: Said = (404, {"error": {"message": "no such path"}})
PLAIN = "Sure! Here you are."


def refusal(message: str) -> Said:
    """What a server says to a request that it does not take."""
    return 400, {"error": {"message": message, "type": "invalid_request_error"}}


class Server(Protocol):
    """What answers."""

    def respond(self, path: str, headers: Mapping[str, str], body: Any) -> Said:
        """Answer one request; `body` is None for a GET."""
        ...


@dataclass(kw_only=True)
class Chat:
    """A chat endpoint; every habit can be another one."""

    answer: str = '{"team": "billing", "urgent": true}'
    models: list[dict[str, Any]] | str | None = None
    served: str | None = "m"
    schema: str = "honoured"  # ignored, refused, cut off, none (a refusal of the model)
    tools: str = "called"  # dropped, refused
    json: str = "given"  # refused, prose
    logprobs: str = "usable"  # refused, absent, misaligned, thin, partly, thin for the task
    usage: bool = True
    context: int = 100_000
    beyond: str = "refused"  # cut
    limits: tuple[str, ...] = ("max_tokens",)
    refuses: tuple[str, ...] = ()
    key: str = ""
    thinks: int = 3
    failures: list[Said] = field(default_factory=list)
    """What is said first, before the habits begin."""

    def respond(self, path: str, headers: Mapping[str, str], body: Any) -> Said:
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return 401, {"error": {"message": f"wrong key {headers.get('authorization')}"}}
        if body is None:
            return NOT_THERE if self.models is None else (200, self._list())
        if self.failures:
            return self.failures.pop(0)
        for name in ("max_tokens", "max_completion_tokens", *self.refuses):
            if name in body and (name not in self.limits or name in self.refuses):
                return refusal(f"unsupported parameter {name}")
        words = sum(len(message["content"].split()) for message in body["messages"])
        if words > self.context and self.beyond == "refused":
            return refusal(f"maximum context length is {self.context:,} tokens, you sent {words}")
        return self._complete(body, min(words, self.context))

    def _list(self) -> Any:
        return self.models if isinstance(self.models, str) else {"object": "list", "data": self.models}

    def _complete(self, body: Any, words: int) -> Said:
        if body.get("logprobs") and self.logprobs == "refused":
            return refusal("logprobs are not supported with this model")
        message, finish, habit = self._message(body)
        if habit == "refused":
            return refusal("this is not supported here")
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": finish}
        if body.get("logprobs") and self.logprobs != "absent":
            choice["logprobs"] = {"content": self._tokens(message["content"] or "")}
        said: dict[str, Any] = {"model": self.served, "choices": [choice]}
        if self.usage:
            said["usage"] = {"prompt_tokens": words, "completion_tokens": self.thinks}
        return 200, said

    def _message(self, body: Any) -> tuple[dict[str, Any], str, str]:
        kind = body.get("response_format", {}).get("type")
        message: dict[str, Any] = {"role": "assistant", "content": PLAIN}
        if "tools" in body:
            if self.tools == "called":
                function = {"name": body["tools"][0]["function"]["name"], "arguments": self.answer}
                message = {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}
            return message, "stop", self.tools
        if kind == "json_schema":
            return self._by_schema(body, message)
        message["content"] = self.answer if kind is None or self.json != "prose" else PLAIN
        if '"word"' in body["messages"][-1]["content"]:
            message["content"] = '{"word": "red"}'
        return message, "stop", self.json if kind == "json_object" else ""

    def _by_schema(self, body: Any, message: dict[str, Any]) -> tuple[dict[str, Any], str, str]:
        tiny = "word" in body["response_format"]["json_schema"]["schema"]["properties"]
        contradicted = "purple" in body["messages"][-1]["content"]
        if self.schema == "cut off":
            return {**message, "content": "{"}, "length", ""
        if self.schema == "none":
            return {**message, "content": None, "refusal": "I will not."}, "stop", ""
        if self.schema == "prose":
            return message, "stop", ""
        word = "purple" if self.schema == "ignored" and contradicted else "red"
        return {**message, "content": json.dumps({"word": word}) if tiny else self.answer}, "stop", self.schema

    def _tokens(self, text: str) -> list[dict[str, Any]]:
        """Each letter a token, as likely as the habit says."""
        thin = {"thin": 0, "partly": text.find("urgent"), "thin for the task": 0 if "team" in text else len(text)}
        begins = thin.get(self.logprobs, len(text))
        tokens = [{"token": one, "logprob": -2.0 if n >= begins else -0.0001} for n, one in enumerate(text)]
        return [{"token": "```", "logprob": -0.1}, *tokens] if self.logprobs == "misaligned" else tokens


@dataclass(kw_only=True)
class Decisions:
    """A decision endpoint of one dialect; `wrong` names kinds of questions that it does not answer well."""

    path: str = "/decisions"
    models: list[dict[str, Any]] | None = None
    wrong: tuple[str, ...] = ()
    how: str = "refused"  # uneven, nothing, page, bare
    usage: bool = True
    failures: list[Said] = field(default_factory=list)

    def respond(self, path: str, headers: Mapping[str, str], body: Any) -> Said:
        if body is None:
            return NOT_THERE if self.models is None else (200, {"data": self.models})
        if self.failures:
            return self.failures.pop(0)
        if path != f"/v1{self.path}":
            return NOT_THERE
        asked = body["questions"]
        pairs = list(asked.items()) if isinstance(asked, dict) else list(enumerate(asked))
        wrong = any(question["type"] in self.wrong for _, question in pairs)
        if wrong and self.how == "refused":
            return refusal("no such question here")
        if wrong and self.how == "page":
            return 200, "<html>log in</html>"
        answers = {name: self._answer(question) for name, question in pairs}
        said: dict[str, Any] = {"model": "d-1", "answers": answers if isinstance(asked, dict) else [*answers.values()]}
        if self.usage:
            said["usage"] = {"input_tokens": 20, "output_tokens": 1}
        return 200, said

    def _answer(self, question: Any) -> dict[str, Any]:
        kind = question["type"]
        wrong = kind in self.wrong
        if wrong and self.how == "nothing":
            return {"type": "refusal"}
        if kind in ("predicate", "noul"):
            return {"type": kind, "probability" if kind == "predicate" else "noul": 7.0 if wrong else 0.9}
        options = self._options(question)
        shares = [0.9 if wrong else 1 / len(options)] * len(options)
        said: dict[str, Any] = {"type": kind, "choice": options[0], "score": 0.0}
        if kind == "score":
            said["probabilities"] = {str(n): share for n, share in enumerate(shares)}
        else:
            said["probabilities"] = dict(zip(options, shares, strict=True))
        return {"type": kind} if wrong and self.how == "bare" else said

    def _options(self, question: Any) -> list[str]:
        listed = question.get("choices") or question.get("levels")
        if listed:
            return [one.get("value") or one["label"] for one in listed]
        return list(question["criteria"])


@dataclass(kw_only=True)
class Running:
    """A server that runs: where, and what it was asked."""

    url: str
    requests: list[tuple[str, Any]]

    @property
    def bodies(self) -> list[Any]:
        """The bodies of all POSTs."""
        return [body for _, body in self.requests if body is not None]


@contextmanager
def running(server: Server, *, pause: float = 0.0) -> Iterator[Running]:
    """Run a server for the length of the block; each of its answers takes `pause` seconds."""
    requests: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def _answer(self, body: Any) -> None:
            requests.append((self.path, body))
            time.sleep(pause)
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, said = server.respond(self.path, headers, body)
            text = (said if isinstance(said, str) else json.dumps(said)).encode()
            try:
                self.send_response(status)
                self.send_header("content-type", "text/html" if isinstance(said, str) else "application/json")
                self.send_header("content-length", str(len(text)))
                self.send_header("retry-after", "0")
                self.end_headers()
                self.wfile.write(text)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.block_on_close = False
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Running(url=f"http://127.0.0.1:{http.server_port}/v1", requests=requests)
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
