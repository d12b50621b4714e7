"""The way to an endpoint: keys that nobody sees, failures in plain words, and clients of every flavour."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from email.utils import formatdate
from pathlib import Path
from typing import Any, NoReturn

import openai
import pytest
from httpx2 import AsyncClient, Client, HTTPStatusError, MockTransport, Response
from httpx2 import Request as HttpRequest
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, DefaultAioHttpClient, OpenAI, OpenAIError
from rich.console import Console
from rich.traceback import Traceback

from decider.decider import Decider
from decider.decision import Decision, Request
from decider.engines.chat import ChatEngine
from decider.engines.endpoint import Endpoint as Way
from decider.engines.faults import fault_of, quiet
from decider.engines.key import Key
from decider.errors import DeadlineExceeded, DeciderError, EngineRejected, EngineUnavailable
from decider.plan import build, steps_of
from decider.task import Task
from endpoint import (
    GOOD,
    OPENAI,
    Answer,
    Endpoint,
    Lane,
    Route,
    ask_at,
    completion,
    error,
    openai_host,
    route_at,
    saying,
    serve,
)

Decide = Callable[..., Decision[Any]]
KEY = "sk-canary-0123456789abcdef"
PLAIN_KEY = "canary0123456789ABCDEF"  # as no provider's prefix tells
once = {"attempts": 1, "passes": 1}
both = pytest.mark.parametrize("lane", ["schema", "tools"])

# A certificate that nobody trusts, with its key, which is therefore no secret.
UNTRUSTED = """\
-----BEGIN CERTIFICATE-----
MIIBkDCCATagAwIBAgIUBvAd9WPwKChlkkG04kvHYW33tCUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNTE1MDU0NVoYDzIxMjYxMTAx
MTUwNTQ1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARtOzJWxIgHa7JLR4wwhhOIx0BAv2QvEjTaOKfDf/9khqwD3nhzjkuv
hTNqgDfl8A4beEt9QWdZZ0dquW5Ig+djo2QwYjAdBgNVHQ4EFgQUmwYBuff9OV7d
20x9/+Q8Ed1bnxYwHwYDVR0jBBgwFoAUmwYBuff9OV7d20x9/+Q8Ed1bnxYwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
IQD+GwN2vxGSJKIoXgf0/vLruuCko3US2llWayo0Wyw/kgIgF7Jntm723cKMGL1u
+rjuS8CIf50GEXRA6orXSMk5ZZE=
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgvq+n2fmHFQTsVR/8
+i59gCpUafn4oTjgd4DA3uBj7LmhRANCAARtOzJWxIgHa7JLR4wwhhOIx0BAv2Qv
EjTaOKfDf/9khqwD3nhzjkuvhTNqgDfl8A4beEt9QWdZZ0dquW5Ig+dj
-----END PRIVATE KEY-----
"""


@pytest.fixture(params=["sync", "async", "engine"])
def fails(request: pytest.FixtureRequest) -> Callable[[Task[Any]], DeciderError]:
    """Ask as both colours of a Decider do, and as an engine by itself does in sync: other clients, same words."""

    def ask(task: Task[Any]) -> None:
        if request.param == "engine":
            engine = ChatEngine(task=task)
            try:
                engine.predict(Request(input="x", fields=task.fields))
            finally:
                engine.close()
        with Decider(task) as decider:
            asyncio.run(decider.adecide("x")) if request.param == "async" else decider.decide("x")

    def failure(task: Task[Any]) -> DeciderError:
        with pytest.raises(DeciderError) as caught:
            ask(task)
        return caught.value

    return failure


# What a failure means, and in which words


@pytest.mark.parametrize(
    ("answer", "raises", "says"),
    [
        (error(401, f"Incorrect API key: {KEY}"), EngineRejected, "refused the key (401): Incorrect API key: [key]"),
        (error(403, "no"), EngineRejected, "refused the key (403): no"),
        (error(404, "gone"), EngineRejected, "knows no model 'm-1', or the path is wrong (404): gone"),
        (error(402, "pay"), EngineRejected, "says that the quota is used up; look at its billing page: pay"),
        (error(429, "pay", code="insufficient_quota"), EngineRejected, "says that the quota is used up"),
        (error(429, "pay", code="billing_not_active"), EngineRejected, "says that the quota is used up"),
        (error(400, "bad schema"), EngineRejected, "refused the request (400): bad schema"),
        (error(413, "large"), EngineRejected, "refused the request (413): large"),
        (error(422, "bad"), EngineRejected, "refused the request (422): bad"),
        (error(408, "slow"), EngineUnavailable, "answered 408: slow"),
        (error(409, "busy"), EngineUnavailable, "answered 409: busy"),
        (error(425, "early"), EngineUnavailable, "answered 425: early"),
        (error(429, "slow down"), EngineUnavailable, "answered 429: slow down"),
        (error(503, "later"), EngineUnavailable, "answered 503: later"),
        (Answer(status=500, body="<h1>\n\x1b[31moops\x00</h1>\r\n"), EngineUnavailable, "answered 500: <h1> [31moops"),
        (Answer(status=502), EngineUnavailable, "answered 502: Bad Gateway"),
        (Answer(status=304), EngineRejected, "refused the request (304): Not Modified"),
        (Answer(status=400, body='{"error": "no such thing"}'), EngineRejected, "(400): no such thing"),
        (Answer(status=400, body='{"detail": [{"msg": "field required"}]}'), EngineRejected, "(400): field required"),
        (Answer(status=400, body='[{"error": {"message": "as a list"}}]'), EngineRejected, "(400): as a list"),
        (Answer(status=400, body='{"message": 5, "detail": "words"}'), EngineRejected, "(400): words"),
        (Answer(status=400, body="[" * 900 + "]" * 900), EngineRejected, "(400): Bad Request"),
        (Answer(status=429, body='{"error": {"message": "m", "code": ["x"]}}'), EngineUnavailable, "429: m"),
        (Answer(status=429, body='{"error": {"message": "m", "code": {}, "type": {}}}'), EngineUnavailable, "429: m"),
        (Answer(status=500, body='{"error": {"message": "m", "code": 500}}'), EngineUnavailable, "500: m"),
        (error(400, "x" * 5000), EngineRejected, "(400): " + "x" * 300),
        *(
            (
                Answer(status=503, body="later", headers={"content-type": f"text/html; charset={name}"}),
                EngineUnavailable,
                "503: later",
            )
            for name in ("base64", "rot13", "hex")
        ),
    ],
)
def test_each_failure_has_its_meaning_and_its_words(
    answer: Answer, raises: type[Exception], says: str, decide: Decide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    with serve(answer) as endpoint, pytest.raises(raises) as caught:
        ask_at(endpoint, decide, prompt={"api_key_env": "TEST_KEY"}, retry=once)
    said = str(caught.value)
    assert said.startswith(endpoint.url)
    assert says in said
    assert len(said) < 420
    assert said.isprintable()
    assert KEY not in repr(caught.value)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"retry_after_ms": "250"}, 0.25, 0.25),
        ({"retry_after": "7"}, 7.0, 7.0),
        ({"retry_after": "0.5", "retry_after_ms": "soon"}, 0.5, 0.5),
        ({"retry_after": "-3"}, 0.0, 0.0),
        ({"retry_after": "nan"}, 0.0, 0.0),
        ({"retry_after": formatdate(time.time() + 36_000, usegmt=True)}, 30_000.0, 36_001.0),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0, 0.0),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers: dict[str, str], least: float, most: float) -> None:
    with serve(error(429, "slow", **headers)) as endpoint:
        way = Way(route_at(endpoint.url).spec.asked("prompt"))
        with pytest.raises(EngineUnavailable) as caught:
            way.post("/x", {})
        way.close()
    assert caught.value.retry_after is not None
    assert least <= caught.value.retry_after <= most


@pytest.mark.parametrize(
    "value", ["soon", "", "Wed, 21 Oct 99999 07:28:00 GMT", "Mon, 01 Jan 0001 00:00:00 +9999", "1 2 3 4 5 6 7"]
)
def test_an_unreadable_retry_after_is_none(value: str) -> None:
    with serve(error(429, "slow", retry_after=value)) as endpoint:
        way = Way(route_at(endpoint.url).spec.asked("prompt"))
        with pytest.raises(EngineUnavailable) as caught:
            way.post("/x", {})
        way.close()
    assert caught.value.retry_after is None


def test_22_retry_after_beyond_the_deadline_ends_the_decision_at_once(decide: Decide) -> None:
    beyond = "asking again in 600 s would be beyond the deadline of 60 s"
    with serve(error(429, "slow", retry_after="600")) as endpoint, pytest.raises(DeadlineExceeded, match=beyond):
        ask_at(endpoint, decide)
    assert len(endpoint.requests) == 1


def test_a_port_that_nobody_listens_on(fails: Callable[[Task[Any]], DeciderError]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        caught = fails(route_at(url, retry=once))
    assert type(caught) is EngineUnavailable
    assert str(caught).startswith(f"{url} cannot be reached: [Errno 111] ")


def test_a_host_that_nobody_knows(fails: Callable[[Task[Any]], DeciderError], monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    caught = fails(route_at("http://nobody.invalid/v1", retry=once))
    assert type(caught) is EngineUnavailable
    assert "http://nobody.invalid/v1 cannot be reached: [Errno -2] Name or service not known" in str(caught)


@pytest.fixture
def untrusted(tmp_path: Path) -> ssl.SSLContext:
    pem = tmp_path / "untrusted.pem"
    pem.write_text(UNTRUSTED, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_a_certificate_that_nobody_trusts(
    fails: Callable[[Task[Any]], DeciderError], untrusted: ssl.SSLContext
) -> None:
    with serve(completion(GOOD), tls=untrusted) as endpoint:
        caught = fails(route_at(endpoint.url, retry=once))
    assert type(caught) is EngineUnavailable
    assert f"{endpoint.url} cannot be reached: [SSL: CERTIFICATE_VERIFY_FAILED]" in str(caught)
    assert str(caught).endswith("; if the certificate is good, name the trusted ones in SSL_CERT_FILE")
    assert endpoint.requests == []


def test_tls_where_there_is_none(fails: Callable[[Task[Any]], DeciderError]) -> None:
    with serve(completion(GOOD)) as endpoint:
        caught = fails(route_at(endpoint.url.replace("http:", "https:"), retry=once))
    assert type(caught) is EngineUnavailable
    assert "cannot be reached: [SSL: WRONG_VERSION_NUMBER]" in str(caught)


def test_a_time_out_and_a_reply_that_the_client_cannot_use_are_unavailable() -> None:
    request = HttpRequest("POST", "http://127.0.0.1:9/v1")
    late = fault_of(openai.APITimeoutError(request=request), url="http://h/v1", model="m", key=Key())
    odd = fault_of(OpenAIError(f"odd: {KEY}"), url="http://h/v1", model="m", key=Key(KEY))
    assert type(late) is type(odd) is EngineUnavailable
    assert str(late) == "http://h/v1 did not answer in time"
    assert str(odd) == "http://h/v1 gave an answer that the client could not use: odd: [key]"


def test_what_the_caller_is_handling_stays_as_it_is() -> None:
    async def run(decider: Decider[Route]) -> BaseException:
        try:
            raise ValueError(f"the caller's own, about {KEY}")
        except ValueError as own:
            with pytest.raises(EngineRejected):
                await decider.adecide("x")
            return own

    with serve(error(401, KEY)) as endpoint, Decider(route_at(endpoint.url)) as decider:
        own = asyncio.run(run(decider))
    assert own.__traceback__ is not None
    assert KEY in str(own)


def test_an_error_body_of_any_depth_has_its_words_looked_for() -> None:
    body: Any = "too deep"
    for _ in range(5000):
        body = {"error": [body]}
    response = Response(400, request=HttpRequest("POST", "http://h/v1"))
    deep = openai.APIStatusError("x", response=response, body=body)
    assert str(fault_of(deep, url="http://h/v1", model="m", key=Key())).endswith("(400): Bad Request")
    while isinstance(body, dict):  # one by one: a deep object ends more gently so
        (body,) = body["error"]


def test_an_error_of_the_caller_s_own_code_goes_through(decide: Decide) -> None:
    def none_today() -> str:
        raise LookupError("no key in the safe")

    with (
        OpenAI(api_key=none_today, base_url="http://127.0.0.1:9/v1") as client,
        Decider(route_at("http://127.0.0.1:9/v1"), client=client) as decider,
    ):
        with pytest.raises(LookupError, match="no key in the safe"):
            decide(decider, "x")
        try:
            Response(500, request=HttpRequest("GET", "http://h")).raise_for_status()
        except HTTPStatusError:  # which is the caller's own, too
            with pytest.raises(LookupError, match="no key in the safe"):
                Way(decider.task.spec.asked("prompt"), client).post("/x", {})


def test_what_is_asked_of_the_endpoint_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    asked = route_at("http://127.0.0.1:9/v1", prompt={"api_key_env": "TEST_KEY"}).spec.asked("prompt")
    with serve(Answer(body='{"data": [{"id": "m-1"}]}'), error(500, "x")) as endpoint:
        way = Way(asked.model_copy(update={"base_url": endpoint.url}))
        assert way.get("/models").json() == {"data": [{"id": "m-1"}]}
        with pytest.raises(EngineUnavailable):
            way.get("/models")
        way.close()
    path, headers, body = endpoint.requests[0]
    assert (path, headers["authorization"], body) == ("/v1/models", f"Bearer {KEY}", None)
    assert len(endpoint.requests) == 2


# Keys


def test_18_a_missing_or_broken_key_is_said_before_any_call(decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    own = Task(Route, name="r", prompt={"model": "m"})
    with Decider(own) as decider, pytest.raises(EngineRejected, match="OPENAI_API_KEY is not set") as caught:
        decide(decider, "x")
    assert caught.value.reason == "auth"
    with serve(completion(GOOD)) as endpoint:
        for value in ("", " \n"):
            monkeypatch.setenv("TEST_KEY", value)
            with pytest.raises(EngineRejected, match="the environment variable TEST_KEY is not set"):
                ask_at(endpoint, decide, prompt={"api_key_env": "TEST_KEY"})
        for value in ("sk-ключ", "sk-a\nb", "sk-a\x7fb", "“sk-abc”"):
            monkeypatch.setenv("TEST_KEY", value)
            with pytest.raises(EngineRejected, match="TEST_KEY holds a character that no key has") as caught:
                ask_at(endpoint, decide, prompt={"api_key_env": "TEST_KEY"})
            assert value not in str(caught.value)
            assert caught.value.reason == "auth"
    assert endpoint.requests == []


def test_18_so_is_a_broken_key_of_a_ready_client(decide: Decide) -> None:
    with (
        serve(completion(GOOD)) as endpoint,
        OpenAI(api_key="sk-ключ", base_url=endpoint.url) as client,
        Decider(route_at(endpoint.url), client=client) as decider,
    ):
        caught = failing(decide, decider)
    assert "the client that was given holds a character that no key has" in str(caught)
    assert "ключ" not in "".join(traceback.format_exception(caught))
    assert endpoint.requests == []


def test_a_line_end_behind_a_key_is_no_part_of_it(decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", f" {KEY}\n")
    with serve(completion(GOOD)) as endpoint:
        ask_at(endpoint, decide, prompt={"api_key_env": "TEST_KEY"})
    assert endpoint.requests[0][1]["authorization"] == f"Bearer {KEY}"


@both
def test_no_environment_variable_but_the_named_one_is_read(
    lane: Lane, fails: Callable[[Task[Any]], DeciderError], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_WEBHOOK_SECRET"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Leak: {KEY}\nAuthorization: Bearer {KEY}")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with serve(error(400, "x")) as endpoint:
        fails(route_at(endpoint.url, prompt={"structure": lane}))
    ((_, headers, _),) = endpoint.requests
    assert headers["authorization"] == "Bearer none"
    assert not {"openai-organization", "openai-project", "x-leak"} & headers.keys()
    assert KEY not in json.dumps(endpoint.requests)


def test_the_key_of_openai_goes_to_another_host_only_where_the_spec_says_so(
    decide: Decide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for named, sent in (({}, "Bearer none"), ({"api_key_env": "OPENAI_API_KEY"}, f"Bearer {KEY}")):
        with serve(completion(GOOD)) as endpoint:
            ask_at(endpoint, decide, prompt=named)
        assert endpoint.requests[0][1]["authorization"] == sent


def test_a_redirect_to_another_host_does_not_take_the_key_along(
    decide: Decide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    with serve(completion(GOOD)) as other, serve() as endpoint:
        endpoint.script(Answer(status=307, headers={"location": f"{other.url}/chat/completions"}))
        ask_at(endpoint, decide, prompt={"api_key_env": "TEST_KEY"})
    assert endpoint.requests[0][1]["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in other.requests[0][1]


ECHOES: list[Answer] = [
    error(401, f"Incorrect API key provided: {KEY} ({PLAIN_KEY})"),
    error(400, f"{'.' * 285}{PLAIN_KEY}"),
    error(400, f"{'.' * 285}{KEY}"),
    Answer(status=400, body=json.dumps({"error": {"message": "m", "code": KEY, "type": PLAIN_KEY, "param": KEY}})),
    Answer(status=400, body=f"<html>{KEY} {PLAIN_KEY}</html>", headers={"content-type": "text/html"}),
    Answer(status=401, body=f"{KEY} {PLAIN_KEY}", headers={"content-type": "text/plain; charset=rot13"}),
    Answer(body=f"<html>{PLAIN_KEY} {KEY}</html>", headers={"content-type": "text/html"}),
    Answer(body=PLAIN_KEY * 20, headers={"content-type": PLAIN_KEY * 20}),
    Answer(body="{}", headers={"content-type": f"text/html; key={PLAIN_KEY}; was={KEY}"}),
    Answer(body=json.dumps({"choices": [KEY, PLAIN_KEY], "error": PLAIN_KEY})),
    Answer(body=b"\xff", headers={"content-encoding": "gzip", "content-type": PLAIN_KEY}),
]


def failing(decide: Decide, decider: Decider[Any]) -> DeciderError:
    """A failure whose traceback holds nothing of the test that looks into it."""
    try:
        decide(decider, "x")
    except DeciderError as caught:
        return caught
    raise AssertionError


def shown(caught: BaseException) -> Iterator[str]:
    """Everything that a program may write of an error: rich's tracebacks show local variables, too."""
    yield "".join(traceback.format_exception(caught))
    about = (type(caught), caught, caught.__traceback__)
    yield repr(Traceback.extract(*about, show_locals=True, locals_max_length=10**6, locals_max_string=10**6))
    one: BaseException | None = caught
    while one is not None:
        yield f"{one} {one!r} {vars(one)} {one.args}"
        one = one.__cause__ or one.__context__


@pytest.mark.parametrize("key", [KEY, PLAIN_KEY])
@both
def test_20_a_key_that_the_endpoint_repeats_is_in_nothing_that_is_shown(
    key: str, lane: Lane, decide: Decide, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TEST_KEY", key)
    caplog.set_level(logging.DEBUG)
    echo = {"prompt": {"api_key_env": "TEST_KEY", "structure": lane}, "retry": once}
    for answer in ECHOES:
        with serve(answer) as endpoint:
            task = route_at(endpoint.url, **echo)
            engine = build(task, steps_of(task, "prompt")[0])
            with Decider(task, engine=engine) as decider:
                caught = failing(decide, decider)
            everything = [*shown(caught), repr(decider), repr(engine), engine.identity, f"{vars(engine)}"]
        assert endpoint.requests[0][1]["authorization"] == f"Bearer {key}"
        for text in everything:
            assert key not in text
            assert key[:8] not in text  # not half of it, either
    # What a header of the answer says is written by openai itself, if it is told to write everything.
    said = [one for one in caplog.records if not one.getMessage().startswith("HTTP Response")]
    assert {"openai._base_client", "asyncio"} <= {one.name for one in said}
    assert key not in "".join(logging.Formatter().format(one) for one in said)


@both
def test_20_nor_is_it_in_what_rich_draws(lane: Lane, decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    keys = {"prompt": {"api_key_env": "TEST_KEY", "structure": lane}, "retry": once}
    page = Answer(body=f"<html>{KEY}</html>")
    with serve(page) as endpoint, Decider(route_at(endpoint.url, **keys)) as decider:
        caught = failing(decide, decider)
    console = Console(file=io.StringIO(), width=500)
    about = (type(caught), caught, caught.__traceback__)
    console.print(Traceback.from_exception(*about, show_locals=True, locals_max_string=10**6))
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    assert "response = <Response [200 OK]>" in drawn
    assert KEY not in drawn


@both
def test_20_nor_is_it_in_a_decision(lane: Lane, decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    keys = {"prompt": {"api_key_env": "TEST_KEY", "structure": lane}, "retry": once}
    with serve(error(503, f"busy, {KEY}")) as endpoint, Decider(route_at(endpoint.url, **keys)) as decider:
        (failed,) = decider.decide_many(["x"])
        endpoint.script(saying(lane, GOOD))
        decided = decide(decider, "x")
    for decision in (failed, decided):
        held = {name: getattr(decision, name) for name in vars(decision)}
        assert KEY not in f"{decision!r} {held} {json.dumps(decision.row())}"
    assert failed.row()["error"] == f"{endpoint.url} answered 503: busy, [key]"


def test_20_nor_is_that_of_a_ready_client_that_gets_a_new_one_for_each_request(decide: Decide) -> None:
    with serve(error(401, f"bad {PLAIN_KEY}")) as endpoint:
        for client in (
            OpenAI(api_key=lambda: PLAIN_KEY, base_url=endpoint.url),
            OpenAI(api_key="own", base_url=endpoint.url, default_headers={"X-Gateway-Token": PLAIN_KEY}),
            AzureOpenAI(azure_endpoint=endpoint.url, api_version="1", azure_ad_token_provider=lambda: PLAIN_KEY),
        ):
            with client, Decider(route_at(endpoint.url), client=client) as decider:
                caught = failing(decide, decider)
            assert str(caught).endswith("refused the key (401): bad [key]")
            assert not any(PLAIN_KEY in text for text in shown(caught))


def test_a_password_in_the_url_of_a_ready_client_is_shown_nowhere(decide: Decide) -> None:
    with (
        serve(Answer(body="{}")) as endpoint,
        OpenAI(
            api_key="own",
            base_url=endpoint.url.replace("//", f"//me:{PLAIN_KEY}@"),
            default_query={"key": PLAIN_KEY},
        ) as client,
        Decider(route_at(endpoint.url, retry=once), client=client) as decider,
    ):
        caught = failing(decide, decider)
        identity = ChatEngine(task=decider.task, client=client).identity
    assert identity == ChatEngine(task=route_at(endpoint.url)).identity
    assert str(caught).startswith(f"{endpoint.url}/chat/completions answered 200")
    assert not any(PLAIN_KEY in text for text in shown(caught))


def test_a_client_that_fails_before_it_asks_is_unavailable(decide: Decide) -> None:
    def none_today() -> str:
        raise OpenAIError("no token today")

    with (
        OpenAI(api_key=none_today, base_url="http://127.0.0.1:9/v1") as client,
        Decider(route_at("http://127.0.0.1:9/v1", retry=once), client=client) as decider,
        pytest.raises(EngineUnavailable, match="the client could not use: no token today"),
    ):
        decide(decider, "x")


def test_a_key_is_shown_by_nothing() -> None:
    key = Key(PLAIN_KEY)
    assert f"{key} {key!r} {[key]}" == "Key(…) Key(…) [Key(…)]"
    assert not hasattr(key, "__dict__")
    assert key.scrub(f"a {PLAIN_KEY}b, Bearer abcdefgh, sk-abcdefgh") == "a [key]b, [key], [key]"
    assert Key().scrub("none of these is a key: sk-, Bearer") == "none of these is a key: sk-, Bearer"


def test_an_error_is_made_quiet_down_to_its_first_cause() -> None:
    first, last = ValueError(KEY, 5), OpenAIError(KEY)
    last.__context__ = first.with_traceback(last.__traceback__)
    assert quiet(last, Key(KEY)) is last
    assert (last.args, first.args) == (("[key]",), ("[key]", 5))


# Clients


@pytest.mark.parametrize(
    ("answer", "calls"), [(error(500, "x", retry_after_ms="0"), 2), (error(429, "x", code="insufficient_quota"), 1)]
)
def test_a_ready_client_is_asked_once_for_each_attempt_whatever_its_retries(
    answer: Answer, calls: int, decide: Decide
) -> None:
    with (
        serve(answer) as endpoint,
        OpenAI(api_key="own", base_url=endpoint.url, max_retries=5) as client,
        Decider(route_at(endpoint.url, retry={"attempts": 2}), client=client) as decider,
    ):
        failing(decide, decider)
    assert len(endpoint.requests) == calls


@both
def test_a_ready_sync_client_is_used_in_both_colours_and_left_open(lane: Lane, decide: Decide) -> None:
    task = route_at("http://127.0.0.1:9/v1", prompt={"structure": lane})
    with (
        serve(saying(lane, GOOD)) as endpoint,
        OpenAI(api_key="own", base_url=endpoint.url, default_headers={"X-Team": "a"}) as client,
    ):
        with Decider(task, client=client) as decider:
            assert decide(decider, "x").output.urgent
        assert not client.is_closed()
    _, headers, _ = endpoint.requests[0]
    assert (headers["authorization"], headers["x-team"]) == ("Bearer own", "a")


@both
def test_a_ready_async_client_is_used_and_left_open(lane: Lane) -> None:
    async def run(endpoint: Endpoint) -> None:
        client = AsyncOpenAI(api_key="own", base_url=endpoint.url, http_client=DefaultAioHttpClient())
        task = route_at("http://127.0.0.1:9/v1", prompt={"structure": lane})
        async with client, Decider(task, client=client) as decider:
            assert (await decider.adecide("x")).output.urgent
            assert not client.is_closed()

    with serve(saying(lane, GOOD)) as endpoint:
        asyncio.run(run(endpoint))
    assert endpoint.requests[0][1]["authorization"] == "Bearer own"


@both
def test_a_ready_async_client_answers_sync_callers_too(lane: Lane) -> None:
    answer = MockTransport(lambda _: Response(200, text=str(saying(lane, GOOD).body)))
    client = AsyncOpenAI(api_key="own", base_url=OPENAI, http_client=AsyncClient(transport=answer))
    with Decider(route_at(OPENAI, prompt={"structure": lane}), client=client) as decider:
        assert decider.decide("x").output.urgent


AZURE = "/openai/deployments/m-1/chat/completions?api-version=2026-10-01"


@both
def test_azure(lane: Lane, decide: Decide) -> None:
    with (
        serve(saying(lane, GOOD), error(401, f"bad {PLAIN_KEY}")) as endpoint,
        AzureOpenAI(
            azure_endpoint=endpoint.url.removesuffix("/v1"), api_key=PLAIN_KEY, api_version="2026-10-01"
        ) as client,
        Decider(route_at(OPENAI, prompt={"structure": lane}), client=client) as decider,
    ):
        assert decide(decider, "x").output.urgent
        caught = failing(decide, decider)
    assert [path for path, _, _ in endpoint.requests] == [AZURE, AZURE]
    assert [headers["api-key"] for _, headers, _ in endpoint.requests] == [PLAIN_KEY, PLAIN_KEY]
    assert not any(PLAIN_KEY in text for text in shown(caught))


@both
def test_azure_by_its_async_client(lane: Lane) -> None:
    async def run(endpoint: Endpoint) -> None:
        url = endpoint.url.removesuffix("/v1")
        async with (
            AsyncAzureOpenAI(azure_endpoint=url, api_key=PLAIN_KEY, api_version="2026-10-01") as client,
            Decider(route_at(OPENAI, prompt={"structure": lane}), client=client) as decider,
        ):
            assert (await decider.adecide("x")).output.urgent

    with serve(saying(lane, GOOD)) as endpoint:
        asyncio.run(run(endpoint))
    ((path, headers, body),) = endpoint.requests
    assert (path, headers["api-key"], body["model"]) == (AZURE, PLAIN_KEY, "m-1")


def test_a_deployment_of_azure_may_be_named_by_its_client(decide: Decide) -> None:
    with (
        serve(completion(GOOD)) as endpoint,
        AzureOpenAI(azure_endpoint=endpoint.url, azure_deployment="d-1", api_key="own", api_version="1") as client,
        Decider(route_at(OPENAI), client=client) as decider,
    ):
        assert decide(decider, "x").output.urgent
    assert endpoint.requests[0][0] == "/v1/openai/deployments/d-1/chat/completions?api-version=1"


def test_a_ready_async_client_cannot_answer_predict() -> None:
    task = route_at("http://127.0.0.1:9/v1")
    engine = ChatEngine(task=task, client=AsyncOpenAI(api_key="own"))
    with pytest.raises(TypeError, match="apredict alone"):
        engine.predict(Request(input="x", fields=task.fields))


def test_a_stub_may_stand_in_for_the_wire(decide: Decide) -> None:
    with openai_host(completion(GOOD)) as (client, endpoint), Decider(route_at(OPENAI), client=client) as decider:
        assert decide(decider, "x").output.urgent
    assert endpoint.requests[0][0] == "/v1/chat/completions"


@contextmanager
def hanging() -> Iterator[tuple[OpenAI, threading.Event]]:
    """A client whose answer comes when it is told to."""
    go_on = threading.Event()

    def hang(request: HttpRequest) -> Response:
        go_on.wait(30)
        return Response(200, json={})

    with OpenAI(api_key="own", base_url=OPENAI, http_client=Client(transport=MockTransport(hang))) as client:
        yield client, go_on


def waiting_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "decider-client"]


def test_nobody_waits_for_a_ready_sync_client_after_the_deadline(decide: Decide) -> None:
    begun = time.perf_counter()
    with hanging() as (client, go_on):
        with Decider(route_at(OPENAI, retry={"deadline": "50ms"}), client=client) as decider:
            assert type(failing(decide, decider)) is DeadlineExceeded
        assert time.perf_counter() - begun < 10
        (left,) = waiting_threads()
        go_on.set()
        left.join()


def test_an_answer_after_the_deadline_is_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    async def run(client: OpenAI, go_on: threading.Event) -> None:
        with Decider(route_at(OPENAI, retry={"deadline": "50ms"}), client=client) as decider:
            with pytest.raises(DeadlineExceeded):
                await decider.adecide("x")
            (left,) = waiting_threads()
            go_on.set()
            await asyncio.to_thread(left.join)

    with hanging() as (client, go_on):
        asyncio.run(run(client, go_on))
    assert caplog.records == []


def test_a_ready_sync_client_sees_the_context_of_its_caller() -> None:
    who = ContextVar("who", default="nobody")
    seen = []

    def key() -> str:
        seen.append(who.get())
        return "own"

    async def run(endpoint: Endpoint) -> None:
        who.set("the caller")
        client = OpenAI(api_key=key, base_url=endpoint.url)
        with client, Decider(route_at(endpoint.url), client=client) as decider:
            await decider.adecide("x")

    with serve(completion(GOOD)) as endpoint:
        asyncio.run(run(endpoint))
    assert seen == ["the caller"]


def test_the_client_of_a_loop_is_closed_with_the_loop() -> None:
    with serve(completion(GOOD)) as endpoint:
        decider = Decider(route_at(endpoint.url))
        for _ in range(3):
            asyncio.run(decider.adecide("x"))
        gc.collect()
        decider.close()
    assert len(endpoint.requests) == 3


def test_the_client_of_a_forgotten_decider_is_closed_too() -> None:
    with serve(completion(GOOD)) as endpoint:
        decider = Decider(route_at(endpoint.url))
        decider.decide("x")
        cycle: list[Any] = [decider]
        cycle.append(cycle)
        del decider, cycle
        gc.collect()
    assert len(endpoint.requests) == 1


def test_a_running_loop_may_let_go_early() -> None:
    async def run(endpoint: Endpoint) -> None:
        async with Decider(route_at(endpoint.url)) as decider:
            await decider.adecide("x")
            await decider.aclose()
            await decider.adecide("x")

    with serve(completion(GOOD)) as endpoint:
        asyncio.run(run(endpoint))
    assert len(endpoint.requests) == 2


def test_an_engine_may_be_asked_from_many_threads_and_closed_twice() -> None:
    with serve(completion(GOOD)) as endpoint:
        task = route_at(endpoint.url)
        engine = ChatEngine(task=task)
        said: list[str] = []
        threads = [
            threading.Thread(target=lambda: said.append(engine.predict(Request(input="x", fields=task.fields)).text))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        engine.close()
        engine.close()
    assert said == [GOOD] * 8
