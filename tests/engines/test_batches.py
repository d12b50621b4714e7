"""The batches of an endpoint: one call each, read as it stands, and never made again."""

from __future__ import annotations

import io
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from batch_endpoint import Provider, client_of, serve_batches
from decider.decision import Request, Usage
from decider.engines.batches import Batch, Batches, Problem
from decider.engines.chat import ChatEngine
from decider.engines.endpoint import Endpoint
from decider.errors import EngineRejected, EngineUnavailable
from decider.plan import build, steps_of
from endpoint import Answer, error, route_at

KEY = "sk-canary-0123456789abcdef"
LINE = b'{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"m-1","messages":[]}}\n'
GOOD = '{"team": "billing", "urgent": true}'


def chat(url: str, **prompt: Any) -> ChatEngine:
    task = route_at(url, prompt=prompt)
    engine = build(task, steps_of(task, "prompt")[0])
    assert isinstance(engine, ChatEngine)
    return engine


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serve_batches(Provider(looks=1)) as served:
        yield served


@pytest.fixture
def batches(provider: Provider) -> Iterator[Batches]:
    engine = chat(provider.url)
    yield Batches(engine.endpoint)
    engine.close()


def test_a_batch_from_its_file_to_its_end(provider: Provider, batches: Batches) -> None:
    batches.check()
    file = batches.upload("requests.jsonl", io.BytesIO(LINE))
    assert provider.files[file].content == LINE
    assert provider.files[file].purpose == "batch"
    assert batches.uploaded("requests.jsonl") == file
    assert batches.uploaded("others.jsonl") is None
    begun = batches.create(file, "mark")
    assert not begun.ended
    assert batches.created("mark", None) == begun
    assert batches.created("another", file) == begun
    assert batches.created("another", None) is None
    assert batches.retrieve(begun.id).status == "finalizing"
    ended = batches.retrieve(begun.id)
    assert ended.ended
    assert ended.seconds == 90.0
    assert (ended.counts.total, ended.counts.completed, ended.counts.failed) == (1, 1, 0)
    content = io.BytesIO()
    assert batches.download(ended.files[0], content)
    assert b'"custom_id": "1"' in content.getvalue()
    for name in (file, *ended.files):
        batches.delete(name)
        batches.delete(name)  # it may be gone already
    assert provider.files == {}
    assert not batches.download(ended.files[0], content)


def test_lists_are_read_to_their_end(provider: Provider, batches: Batches) -> None:
    provider.page = 1
    file = batches.upload("requests.jsonl", io.BytesIO(LINE))
    names = [batches.create(file, mark).id for mark in ("first", "second", "third")]
    found = batches.created("first", None)
    assert found is not None
    assert found.id == names[0]
    assert provider.count("GET /batches") == 3


def test_a_list_that_does_not_go_on_ends() -> None:
    same = Answer(body='{"data": [{"id": "b-1", "status": "completed"}], "has_more": true}')
    with serve_batches(Provider(instead=lambda what, _: same)) as provider:
        engine = chat(provider.url)
        assert Batches(engine.endpoint).created("mark", None) is None
        assert provider.count("GET /batches") == 2
        engine.close()


def test_a_status_is_read_in_any_case_and_much_may_be_missing() -> None:
    batch = Batch.model_validate_json('{"id": "b-1", "status": "COMPLETED", "errors": {"data": null}}')
    assert batch.ended
    assert (batch.files, batch.problems, batch.seconds) == ([], [], None)
    assert batch.counts.total == 0


def test_what_is_no_batch_is_said_to_be_none() -> None:
    with serve_batches(Provider(instead=lambda *_: Answer(body="<html>log in</html>"))) as provider:
        engine = chat(provider.url)
        with pytest.raises(EngineUnavailable, match="not a batch: '<html>log in"):
            Batches(engine.endpoint).retrieve("b-1")
        engine.close()


def test_names_that_a_provider_gives_stay_inside_their_paths(provider: Provider, batches: Batches) -> None:
    with pytest.raises(EngineRejected):
        batches.retrieve("../files/x?y=1")
    batches.delete("../../etc")
    assert provider.log == ["GET /batches/..%2Ffiles%2Fx%3Fy%3D1", "DELETE /files/..%2F..%2Fetc"]


def test_only_what_is_gone_is_gone(provider: Provider, batches: Batches) -> None:
    provider.instead = lambda *_: error(403, "no")
    with pytest.raises(EngineRejected, match="refused the key"):
        batches.delete("file-1")
    assert batches.uploaded("requests.jsonl") is None  # nor does anything depend on a list of files


def test_a_ready_client_is_asked_once_too() -> None:
    provider = Provider(instead=lambda *_: error(503, "down"))
    with client_of(provider) as client:
        batches = Batches(Endpoint(route_at(provider.url).spec.prompt, client))
        for call in (batches.check, lambda: batches.download("file-1", io.BytesIO()), lambda: batches.delete("x")):
            with pytest.raises(EngineUnavailable, match="answered 503: down"):
                call()
    assert len(provider.log) == 3


def test_problems_are_shown_on_one_line_and_without_a_key(batches: Batches) -> None:
    problem = Problem(code="bad", line=3, message=f"no\n\x1b[31m {KEY} there")
    assert batches.shown(problem) == "bad: no [31m [key] there"
    assert batches.shown(Problem()) == ""


def test_what_came_in_a_batch_is_read_as_what_comes_by_itself() -> None:
    engine = chat("http://x.test/v1", price={"input": 10, "output": 10})
    request = Request(input="charged twice", fields=route_at("http://x.test/v1").fields)
    body = {"choices": [{"message": {"content": GOOD}}], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    reply = engine.answered(200, body, request)
    assert (reply.text, reply.usage) == (GOOD, Usage(input_tokens=7, output_tokens=2))
    filtered = {"error": {"message": "no", "code": "content_filter"}}
    assert engine.answered(400, filtered, request).outcome == "filtered"
    with pytest.raises(EngineRejected, match="quota") as caught:
        engine.answered(429, {"error": {"message": f"no {KEY}", "code": "insufficient_quota"}}, request)
    assert caught.value.reason == "quota"
    assert KEY not in "".join(traceback.format_exception(caught.value))
    for status, said in ((500, "down"), (429, {"error": "slow"}), (200, {"choices": []}), (200, "text"), (200, None)):
        with pytest.raises(EngineUnavailable):
            engine.answered(status, said, request)


def test_the_price_of_a_batch_is_half_and_the_engine_the_same() -> None:
    usage = Usage(input_tokens=1000, output_tokens=1000)
    engine = chat("http://x.test/v1", price={"input": 10, "output": 30})
    assert engine.batched().cost(usage) == pytest.approx(0.02)
    assert engine.cost(usage) == pytest.approx(0.04)
    assert engine.batched().identity == engine.identity
    assert chat("http://x.test/v1").batched().cost(usage) is None
