"""Batches at a provider: submitted once, joined by id, asked again where that helps, and resumed from any point."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from openai import AsyncOpenAI

from batch_endpoint import URL, Drop, Provider, Said, client_of, serve_batches
from decider.batch import rounds, sheet
from decider.batch.provider import Standing, check, run_batch, under_way
from decider.batch.run import opened
from decider.decider import Decider
from decider.decision import Decision
from decider.errors import (
    BudgetExceeded,
    DataError,
    EngineRejected,
    EngineUnavailable,
    SpecError,
)
from decider.runtime.log.segment import Segment
from decider.task import Task
from decider.testing import FakeEngine
from endpoint import Answer, Route, completion, error, openai_host, route_at

KEY = "sk-canary-0123456789abcdef"
GOOD = {"team": "billing", "urgent": True}
PRICE = {"input": 100.0, "output": 100.0}
USD = 14 * 100.0 / 1e6 / 2  # 11 and 3 tokens, at half the price


class Killed(BaseException):
    """The process ends here."""


def text_of(body: Said) -> str:
    """The input that a request asks about."""
    texts = [one["content"] for one in body["messages"] if one["role"] == "user"]
    return str(json.loads(texts[0]))


def is_again(body: Said) -> bool:
    """Whether a request corrects an answer."""
    return len(body["messages"]) > 2


def by_text(body: Said) -> Answer:
    """Answers each text differently: rows that ask for login are urgent where their number is even."""
    text = text_of(body)
    number = int("".join(letter for letter in text if letter.isdigit()) or 0)
    return saying(team="login" if "login" in text else "billing", urgent=number % 2 == 0)


def at_first(answers: dict[str, Answer]) -> Callable[[Said], Answer]:
    """Answers some texts like this where they are asked for the first time, and else as all others."""
    left = dict(answers)

    def answer(body: Said) -> Answer:
        return left.pop(text_of(body), None) or by_text(body)

    return answer


def always_corrected(body: Said) -> Answer:
    """Answers rightly when it is asked again."""
    return by_text(body) if is_again(body) else saying(team="x")


def saying(**said: Any) -> Answer:
    return completion(json.dumps(said))


@dataclass
class Case:
    """A run of rows at a provider, which can be made again and goes on then."""

    folder: Path
    provider: Provider
    rows: list[Any]
    keys: dict[str, Any] = field(default_factory=dict)
    pauses: list[float] = field(default_factory=list)
    looks: list[Standing] = field(default_factory=list)
    batches: list[str] = field(default_factory=list)
    """Those that were under way when the last run ended."""

    def task(self) -> Task[Route]:
        prompt = {"price": PRICE, **self.keys.get("prompt", {})}
        prompt = {name: value for name, value in prompt.items() if value is not None}
        return route_at(self.provider.url, **{**self.keys, "prompt": prompt})

    def run(self, before: Callable[[str], None] = lambda _: None, **more: Any) -> list[dict[str, Any]]:
        """Run to the end, and return the records of the rows in order."""
        with client_of(self.provider, before) as client:
            return self.run_with(client, **more)

    def run_with(self, client: Any, **more: Any) -> list[dict[str, Any]]:
        lines = "".join(json.dumps({"text": row}) + "\n" for row in self.rows)
        source, out = self.folder / "in.jsonl", self.folder / "out.jsonl"
        source.write_text(lines, encoding="utf-8")
        how = {"pause": self.pauses.append, "watch": self.looks.append, "folder": self.folder, **more}
        overwrite, decider = how.pop("overwrite", False), how.pop("decider", {})
        with (
            Decider(self.task(), client=client, **decider) as made,
            opened(made, source, out, overwrite=overwrite, batched=True) as run,
        ):
            run.store.begin()
            try:
                run_batch(made, run.inputs, run.store, **how)
            finally:
                self.batches = under_way(run.store)
            return self._records(run.store)

    def _records(self, store: Any) -> list[dict[str, Any]]:
        if not all(store.done(n) for n in range(1, len(self.rows) + 1)):
            return []
        with store.records() as records:
            return [records.of(n) for n in range(1, len(self.rows) + 1)]

    def segment(self) -> str:
        """All that was written about the run."""
        return next(self.folder.glob(".out.jsonl.decider-run.jsonl")).read_text()


@pytest.fixture
def case(tmp_path: Path) -> Callable[..., Case]:
    def make(rows: Any = 6, provider: Provider | None = None, **keys: Any) -> Case:
        texts = [f"text {n}" for n in range(1, rows + 1)] if isinstance(rows, int) else rows
        return Case(tmp_path, provider or Provider(answer=by_text), texts, keys)

    return make


Make = Callable[..., Case]


def outputs(records: list[dict[str, Any]]) -> list[Any]:
    return [one["output"] for one in records]


def urgent(records: list[dict[str, Any]]) -> list[bool]:
    return [one["output"]["urgent"] for one in records]


# --- the usual way -----------------------------------------------------------------------------------------------


def test_every_row_gets_the_answer_to_its_own_text(case: Make) -> None:
    one = case(40)
    records = one.run()
    assert urgent(records) == [n % 2 == 0 for n in range(1, 41)]
    assert [record["row_id"] for record in records] == [str(n) for n in range(1, 41)]
    assert one.provider.count("POST /batches") == 1
    assert set(one.provider.asked.values()) == {1}


def test_a_batch_costs_half(case: Make) -> None:
    record = case(1).run()[0]
    assert record["steps"][0]["cost_usd"] == pytest.approx(USD)
    assert record["steps"][0]["usage"]["input_tokens"] == 11
    assert record["steps"][0]["attempts"] == 1


def test_what_no_list_knows_has_no_price(case: Make) -> None:
    assert case(1, prompt={"price": None}).run()[0]["steps"][0]["cost_usd"] is None


def test_a_decision_took_as_long_as_its_batch(case: Make) -> None:
    assert case(1).run()[0]["steps"][0]["latency_ms"] == 90_000.0


def test_the_clock_here_counts_where_the_provider_tells_no_times(case: Make) -> None:
    one = case(1, Provider(answer=by_text, quiet=True))
    assert 0.0 <= one.run()[0]["steps"][0]["latency_ms"] < 90_000.0
    assert one.looks[0] == Standing(batches=1, requests=0, completed=0, failed=0, seconds=5.0)


def test_the_files_at_the_provider_are_deleted_once_their_rows_are_recorded(case: Make) -> None:
    one = case()
    one.run()
    assert one.provider.files == {}
    assert one.batches == []


def test_files_are_split_at_the_limit_of_requests(case: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "MOST_REQUESTS", 7)
    one = case(20, Provider(answer=by_text, most=7))
    assert urgent(one.run()) == [n % 2 == 0 for n in range(1, 21)]
    assert [len(batch.requests) for batch in one.provider.batches.values()] == [7, 7, 6]
    assert one.looks[0].batches == 3


def test_files_are_split_at_the_limit_of_bytes(case: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "MOST_BYTES", 3000)
    sizes: list[int] = []
    one = case(20)

    def watched(what: str) -> None:
        sizes.extend(len(file.content) for file in one.provider.files.values())

    assert urgent(one.run(watched)) == [n % 2 == 0 for n in range(1, 21)]
    assert len(one.provider.batches) > 5
    assert max(sizes) <= 3000


def test_what_a_file_holds_is_what_is_asked_one_by_one(case: Make, tmp_path: Path) -> None:
    one = case(["größer\n\"than\" \u2028 'all' ☃"])
    one.run()
    (batch,) = one.provider.batches.values()
    (request,) = batch.requests
    with openai_host(saying(**GOOD)) as (client, endpoint), Decider(one.task(), client=client) as decider:
        decider.decide(one.rows[0])
    assert request["body"] == endpoint.bodies[0]
    assert (request["method"], request["url"]) == ("POST", "/v1/chat/completions")


def test_openai_is_told_when_to_forget_answers_that_nobody_fetches(case: Make) -> None:
    sent: list[Said] = []

    def instead(what: str, content: bytes) -> None:
        if what == "POST /batches":
            sent.append(json.loads(content))

    case(1, Provider(answer=by_text, url="https://api.openai.com/v1", instead=instead)).run()
    assert sent[0]["output_expires_after"] == {"anchor": "created_at", "seconds": 2_592_000}


def test_the_looks_become_rarer_and_tell_how_far_it_is(case: Make) -> None:
    one = case(6, Provider(answer=by_text, looks=9))
    one.run()
    assert one.pauses[:3] == [5.0, 7.5, 11.25]
    assert max(one.pauses) == 60.0
    assert one.looks[0] == Standing(batches=1, requests=6, completed=3, failed=0, seconds=5.0)
    assert one.looks[-1].batches == 0


def test_no_rows_are_no_batch(case: Make) -> None:
    one = case(1)
    one.run()
    one.provider.log.clear()
    assert len(one.run()) == 1
    assert one.provider.log == ["GET /batches"]


def test_an_input_that_does_not_fit_is_not_sent(case: Make) -> None:
    one = case(["fine 2", 17, "x" * 4000, "fine 3"], prompt={"context": 500})
    records = one.run()
    assert [record["status"] for record in records] == ["decided", "failed", "failed", "decided"]
    assert "takes 500 in" in records[2]["error"]
    assert [len(batch.requests) for batch in one.provider.batches.values()] == [2]


def test_what_is_redacted_here_is_redacted_there(case: Make) -> None:
    seen: list[str] = []

    def answer(body: Said) -> Answer:
        seen.append(text_of(body))
        return by_text(body)

    provider = Provider(answer=answer)
    case(["write to ana@example.org 2"], provider, redact={"kinds": ["email"]}).run()
    assert "ana@example.org" not in seen[0]


def test_the_mode_of_a_tuned_model_takes_batches_too(case: Make) -> None:
    finetuned = {"engine": "chat", "model": "ft:m", "base_url": URL, "price": PRICE}
    one = case(2, mode="finetuned", finetuned=finetuned)
    assert [record["mode"] for record in one.run(mode="finetuned")] == ["finetuned", "finetuned"]


# --- asking again ------------------------------------------------------------------------------------------------


def test_an_answer_that_does_not_fit_is_asked_again_in_a_second_batch(case: Make) -> None:
    one = case(10, Provider(answer=at_first({"text 3": saying(team="x"), "text 8": saying(team="x")})))
    records = one.run()
    assert urgent(records) == [n % 2 == 0 for n in range(1, 11)]
    assert [len(batch.requests) for batch in one.provider.batches.values()] == [10, 2]
    assert [record["steps"][0]["attempts"] for record in records] == [1, 1, 2, 1, 1, 1, 1, 2, 1, 1]
    assert records[2]["steps"][0]["cost_usd"] == pytest.approx(2 * USD)
    assert records[2]["steps"][0]["latency_ms"] == 180_000.0
    assert one.provider.files == {}


def test_an_answer_that_never_fits_fails_after_it_was_asked_again(case: Make) -> None:
    one = case(2, Provider(answer=lambda body: saying(team="none") if "1" in text_of(body) else by_text(body)))
    one.keys = {"retry": {"passes": 2}}
    records = one.run()
    assert [record["status"] for record in records] == ["failed", "decided"]
    assert "fitted the schema" in records[0]["error"]
    assert [len(batch.requests) for batch in one.provider.batches.values()] == [2, 1]


def test_an_answer_that_was_cut_off_is_asked_again_with_more_room(case: Make) -> None:
    def answer(body: Said) -> Answer:
        return by_text(body) if "max_tokens" in body else completion('{"team": "bil', finish="length")

    one = case(1, Provider(answer=answer))
    assert urgent(one.run()) == [False]
    assert [len(batch.requests) for batch in one.provider.batches.values()] == [1, 1]


def test_refusals_and_filters_are_decisions(case: Make) -> None:
    def answer(body: Said) -> Answer:
        match text_of(body):
            case "text 1":
                return completion(None, refusal="no")
            case "text 2":
                return error(400, "the filter said no", "content_filter")
        return by_text(body)

    one = case(3, Provider(answer=answer))
    assert [record["status"] for record in one.run()] == ["refused", "filtered", "decided"]
    assert one.provider.count("POST /batches") == 1


def test_a_request_that_is_refused_is_a_row_that_failed(case: Make) -> None:
    said = error(400, f"too long {KEY}", "context_length_exceeded")
    one = case(3, Provider(answer=lambda body: said if "2" in text_of(body) else by_text(body)))
    records = one.run()
    assert [record["status"] for record in records] == ["decided", "failed", "decided"]
    assert "refused the request (400): too long [key]" in records[1]["error"]
    assert one.provider.count("POST /batches") == 1
    assert KEY not in one.segment()


@pytest.mark.parametrize(
    "bad",
    [error(500, "down"), error(429, "slow"), Answer(body='{"no": "reply"}'), Answer(body='"x"'), Answer(body="<p>")],
    ids=["500", "429", "other", "text", "html"],
)
def test_rows_that_fail_for_now_are_asked_again(case: Make, bad: Answer) -> None:
    times: dict[str, int] = {}

    def answer(body: Said) -> Answer:
        text = text_of(body)
        times[text] = times.get(text, 0) + 1
        return bad if text == "text 2" and times[text] < 3 else by_text(body)

    one = case(3, Provider(answer=answer))
    records = one.run()
    assert urgent(records) == [False, True, False]
    assert [len(batch.requests) for batch in one.provider.batches.values()] == [3, 1, 1]
    assert [step["attempts"] for step in records[1]["steps"]] == [1, 1, 1]
    assert [step["latency_ms"] for step in records[1]["steps"]] == [90_000.0] * 3
    assert records[1]["steps"][2]["usage"]["input_tokens"] == 11


def test_rows_that_always_fail_are_given_up(case: Make) -> None:
    one = case(2, Provider(answer=lambda body: error(503, "down") if "1" in text_of(body) else by_text(body)))
    records = one.run()
    assert [record["status"] for record in records] == ["failed", "decided"]
    assert "has no answer for it" in records[0]["error"]
    assert "answered 503: down" in records[0]["error"]
    assert one.provider.count("POST /batches") == 3


def test_rows_that_were_not_answered_in_time_are_asked_again(case: Make) -> None:
    one = case(6, Provider(answer=by_text, expires=4))
    assert urgent(one.run()) == [n % 2 == 0 for n in range(1, 7)]
    assert [len(batch.requests) for batch in one.provider.batches.values()] == [6, 4]
    assert set(one.provider.asked.values()) == {1}


def test_a_batch_of_which_nothing_was_answered_has_no_output(case: Make) -> None:
    one = case(3, Provider(answer=by_text, expires=3))
    assert urgent(one.run()) == [False, True, False]


def test_a_row_that_is_never_answered_in_time_says_so(case: Make) -> None:
    one = case(1, Provider(answer=by_text, expires=1), retry={"passes": 1})
    record = one.run()[0]
    assert record["status"] == "failed"
    assert "batch_expired: This request could not be executed" in record["error"]


def test_what_should_not_be_in_an_output_is_told_and_left_alone(case: Make, caplog: pytest.LogCaptureFixture) -> None:
    def alter(lines: list[Any]) -> list[Any]:
        if len(lines) < 3:
            return lines
        first, second, *rest = lines
        strange = [{**first, "custom_id": name} for name in ("9", "77-1-0123456789abcdef", "1-5-0123456789abcdef")]
        doubled = {**second, "response": {"status_code": 200, "body": {"choices": []}}}
        return [*strange, second, doubled, "torn {", {"custom_id": 3}, "", *rest]  # the first one is missing

    one = case(5, Provider(answer=by_text, alter=alter))
    with caplog.at_level(logging.WARNING, "decider"):
        records = one.run()
    assert urgent(records) == [False, True, False, True, False]
    assert [len(batch.requests) for batch in one.provider.batches.values()] == [5, 1]
    assert "has 3 lines for no request that it asked, such as '9'" in caplog.text
    assert "has 1 lines for a request that was answered before it" in caplog.text
    assert "has 2 lines that cannot be read" in caplog.text


def test_lines_without_an_answer_or_an_error_are_no_answers(case: Make) -> None:
    def alter(lines: list[Any]) -> list[Any]:
        alter_next, one.provider.alter = lines, lambda more: more
        return [{**line, "response": None, "error": None} for line in alter_next]

    one = case(2)
    one.provider.alter = alter
    assert urgent(one.run()) == [False, True]
    assert one.provider.count("POST /batches") == 2


# --- what ends a run ---------------------------------------------------------------------------------------------


def test_a_batch_that_is_refused_says_which_row_and_why(case: Make) -> None:
    problems = [{"code": "invalid_json_line", "message": f"line {n} is no JSON", "line": n} for n in (2, 3, 4, 5)]
    one = case(6, Provider(answer=by_text, refuses=[*problems]))
    with pytest.raises(EngineRejected, match=r"refused: row 2: invalid_json_line: line 2 is no JSON; .*; and 1 more"):
        one.run()
    assert one.provider.files == {}
    assert urgent(one.run()) == [n % 2 == 0 for n in range(1, 7)]
    assert set(one.provider.asked.values()) == {1}


@pytest.mark.parametrize(
    ("said", "shown"),
    [({"code": "model_not_found", "message": None, "line": None}, "model_not_found"), ({"line": 99}, "refused: ")],
)
def test_a_refusal_may_say_little(case: Make, said: Said, shown: str) -> None:
    with pytest.raises(EngineRejected, match=shown):
        case(2, Provider(refuses=[said])).run()


def test_a_refusal_may_say_nothing(case: Make) -> None:
    failed = Answer(body='{"id": "batch_2", "status": "FAILED"}')
    one = case(2, Provider(instead=lambda what, _: failed if what == "GET /batches/batch_2" else None))
    with pytest.raises(EngineRejected, match="it does not say why"):
        one.run()


def test_what_a_cancelled_batch_answered_is_kept_and_the_rest_asked_by_the_next_run(case: Make) -> None:
    one = case(6, Provider(answer=by_text, cancels=2))
    with pytest.raises(EngineRejected, match="was cancelled: what it had answered is recorded; the same command"):
        one.run()
    assert one.provider.count("POST /batches") == 1
    assert len(one.batches) == 1
    assert urgent(one.run()) == [n % 2 == 0 for n in range(1, 7)]
    assert [len(batch.requests) for batch in one.provider.batches.values()] == [6, 2]
    assert set(one.provider.asked.values()) == {1}
    assert one.provider.files == {}


def test_a_batch_that_was_cancelled_too_late_matters_to_nobody(case: Make) -> None:
    one = case(2, Provider(answer=by_text, ends="cancelled"))
    assert urgent(one.run()) == [False, True]


@pytest.mark.parametrize(("status", "code"), [(429, "insufficient_quota"), (401, "invalid_api_key"), (404, None)])
def test_what_no_row_survives_ends_the_run_when_the_others_are_recorded(
    case: Make, status: int, code: str | None
) -> None:
    bad = True

    def answer(body: Said) -> Answer:
        return error(status, "no", code) if bad and "2" in text_of(body) else by_text(body)

    one = case(4, Provider(answer=answer))
    with pytest.raises(EngineRejected, match="no"):
        one.run()
    assert one.segment().count('"kind":"decision"') == 3
    bad = False
    assert urgent(one.run()) == [False, True, False, True]
    assert [len(batch.requests) for batch in one.provider.batches.values()] == [4, 1]


def test_a_row_that_has_changed_since_is_refused(case: Make) -> None:
    one = case(3)
    with pytest.raises(Killed):
        one.run(pause=killing)
    one.keys = {"prompt": {"params": {"temperature": 0.5}}}
    segment = next(one.folder.glob(".out.jsonl.decider-run.jsonl"))
    lines = segment.read_text().splitlines(keepends=True)
    with client_of(one.provider) as client, Decider(one.task(), client=client) as decider:
        identity = decider.identity()
    before = json.loads(lines[1])["identity"]
    segment.write_text("".join(lines).replace(before, identity))  # as if the engine's identity did not tell
    with pytest.raises(DataError, match="row 1 is not what batch batch_2 asked"):
        one.run()
    assert '"kind":"decision"' not in one.segment()


def test_a_batch_that_another_key_submitted_is_not_found(case: Make) -> None:
    one = case(3)
    with pytest.raises(Killed):
        one.run(pause=killing)
    one.provider.batches.clear()
    with pytest.raises(EngineRejected, match="batch_2 cannot be looked at: .*ask with the key that submitted it"):
        one.run()
    assert len(one.provider.batches) == 0
    assert urgent(one.run(overwrite=True)) == [False, True, False]


def killing(seconds: float) -> None:
    raise Killed


def test_notes_of_a_part_that_is_not_known_are_left_alone(case: Make) -> None:
    one = case(2)
    with pytest.raises(Killed):
        one.run(pause=killing)
    segment = next(one.folder.glob(".out.jsonl.decider-run.jsonl"))
    segment.write_text("".join(line for line in one.segment().splitlines(keepends=True) if '"mark"' not in line))
    assert urgent(one.run()) == [False, True]  # the power went before the disk had that note


def test_answers_that_are_gone_are_asked_again(case: Make, caplog: pytest.LogCaptureFixture) -> None:
    one = case(6, Provider(answer=at_first({"text 2": saying(team="x")})))

    def kill_before_the_second_batch(what: str) -> None:
        if one.provider.count("POST /batches") == 1 and what == "POST /v1/batches" and len(one.provider.batches) == 1:
            raise Killed

    with pytest.raises(Killed):
        one.run(kill_before_the_second_batch)
    for name, file in list(one.provider.files.items()):
        if file.purpose == "batch_output":
            del one.provider.files[name]
    with caplog.at_level(logging.WARNING, "decider"):
        records = one.run()
    assert urgent(records) == [n % 2 == 0 for n in range(1, 7)]
    assert "is not there any more" in caplog.text


def test_a_full_queue_is_waited_for(case: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "MOST_REQUESTS", 4)
    one = case(12, Provider(answer=by_text, queue=8))
    assert urgent(one.run()) == [n % 2 == 0 for n in range(1, 13)]
    assert set(one.provider.asked.values()) == {1}
    assert one.provider.files == {}


def test_a_batch_that_is_more_than_the_queue_is_halved(case: Make) -> None:
    one = case(12, Provider(answer=by_text, queue=4))
    assert urgent(one.run()) == [n % 2 == 0 for n in range(1, 13)]
    done = [len(batch.requests) for batch in one.provider.batches.values() if batch.said["status"] == "completed"]
    assert sum(done) == 12
    assert max(done) <= 4


def test_a_queue_that_takes_not_even_one_row_ends_the_run(case: Make) -> None:
    one = case(2, Provider(answer=by_text, queue=0))
    with pytest.raises(EngineRejected, match="takes no further batch, not even of one row"):
        one.run()
    one.provider.queue = None
    assert urgent(one.run()) == [False, True]


def test_a_provider_that_takes_no_more_for_now_is_waited_for(case: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "MOST_REQUESTS", 2)
    one = case(4)
    throttled = [error(429, "too many batches")] * 30

    def after_the_first(what: str) -> None:
        if what == "POST /v1/batches done" and one.provider.count("POST /batches") == 1:
            one.provider.rejects = [*throttled]

    assert urgent(one.run(after_the_first)) == [False, True, False, True]
    assert set(one.provider.asked.values()) == {1}
    assert one.provider.files == {}


def test_a_provider_that_never_takes_one_is_told(case: Make) -> None:
    one = case(2, Provider(answer=by_text, rejects=[error(429, "too many batches", retry_after="70")] * 30))
    with pytest.raises(EngineUnavailable, match="too many batches; what was submitted goes on there"):
        one.run()
    assert one.pauses[0] == 70.0
    assert len(one.pauses) == 30
    assert urgent(one.run()) == [False, True]
    assert one.provider.files == {}


# --- calls that fail ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(1, 13))
def test_any_call_may_fail(case: Make, call: int, after: bool) -> None:
    one = case(6, Provider(answer=at_first({"text 3": saying(team="x")}), page=1))
    one.provider.faults = {call: Drop(after=after), call + 2: error(503, "down")}
    assert urgent(one.run()) == [n % 2 == 0 for n in range(1, 7)]
    assert set(one.provider.asked.values()) == {1}
    assert len(one.provider.batches) == 2
    assert one.provider.files == {}


def test_a_provider_that_asks_for_a_long_wait_is_left_alone(case: Make) -> None:
    one = case(2, Provider(answer=by_text, rejects=[error(429, "too many batches", retry_after="3600")]))
    with pytest.raises(EngineUnavailable, match="too many batches; what was submitted goes on there") as caught:
        one.run()
    assert caught.value.retry_after == 3600.0
    assert one.pauses == []


def test_a_batch_that_may_have_been_begun_is_not_begun_again_while_nobody_tells(
    case: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "MOST_REQUESTS", 2)
    busy = False
    one = case(4, Provider(answer=by_text, instead=lambda what, _: error(429, "slow") if busy else None))

    def before(what: str) -> None:
        nonlocal busy
        busy = busy or (what == "POST /v1/batches done" and one.provider.count("POST /batches") == 2)

    one.provider.faults = {5: Drop(after=True)}
    with pytest.raises(EngineUnavailable, match="answered 429"):
        one.run(before)
    assert len(one.batches) == 2
    busy = False
    assert urgent(one.run()) == [False, True, False, True]
    assert len(one.provider.batches) == 2


@pytest.mark.parametrize("call", [3, 4])
def test_a_provider_that_forgets_the_mark_of_a_batch_still_knows_its_file(case: Make, call: int) -> None:
    def changed(what: str, answer: Answer) -> Answer:
        return Answer(body=str(answer.body).replace("decider_run", "x")) if what == "GET /batches" else answer

    one = case(2, Provider(answer=by_text, changed=changed, faults={call: Drop(after=True)}))
    assert urgent(one.run()) == [False, True]
    assert len(one.provider.batches) == 1


def test_a_file_that_is_not_known_yet_is_tried_again(case: Make) -> None:
    one = case(2, Provider(answer=by_text, rejects=[error(400, "Cannot find file"), error(404, "no such file")]))
    assert urgent(one.run()) == [False, True]
    assert len(one.provider.batches) == 1


@pytest.mark.parametrize("said", [error(400, "what is metadata?"), error(401, "no", "invalid_api_key")])
def test_a_provider_that_refuses_to_begin_is_told(case: Make, said: Answer) -> None:
    one = case(2, Provider(answer=by_text, rejects=[said] * 3))
    with pytest.raises(EngineRejected, match="what is metadata|refused the key"):
        one.run()
    assert one.provider.batches == {}
    one.provider.rejects = []
    assert urgent(one.run()) == [False, True]
    assert one.provider.files == {}


def test_files_that_cannot_be_deleted_are_named(case: Make, caplog: pytest.LogCaptureFixture) -> None:
    no = error(403, "no", "no_permission")
    one = case(2, Provider(answer=by_text, instead=lambda what, _: no if what.startswith("DELETE") else None))
    with caplog.at_level(logging.WARNING, "decider"):
        assert urgent(one.run()) == [False, True]
    assert "files of batch batch_2 remain at the provider (file-1, file-3)" in caplog.text
    assert one.batches == []


def test_a_provider_that_lists_no_files_gets_them_again(case: Make) -> None:
    no = error(405, "no")
    one = case(2, Provider(answer=by_text, instead=lambda what, _: no if what == "GET /files" else None))
    one.provider.faults = {2: Drop(after=True)}
    assert urgent(one.run()) == [False, True]
    assert one.provider.count("POST /files") == 2


@pytest.mark.parametrize("answer", [error(404, "Not Found"), error(405, "no"), error(501, "no")])
def test_an_endpoint_without_batches_is_named(case: Make, answer: Answer) -> None:
    one = case(2)
    one.provider.faults = {1: answer}
    with pytest.raises(SpecError, match=r"http://batches.test/v1 has no batches.*; leave out --batch, or name"):
        one.run()
    assert one.provider.log == ["GET /batches"]


def test_a_refused_key_is_no_matter_of_batches(case: Make) -> None:
    one = case(2)
    one.provider.faults = {1: error(401, "no")}
    with pytest.raises(EngineRejected, match="refused the key"):
        one.run()


def test_a_login_page_has_no_batches(case: Make) -> None:
    one = case(2)
    one.provider.faults = dict.fromkeys(range(1, 31), Answer(body="<html>"))
    with pytest.raises(EngineUnavailable, match="not a list of batches"):
        one.run()


def test_a_disk_that_cannot_be_written_to_is_named(case: Make, tmp_path: Path) -> None:
    one, way = case(2), tmp_path / "way"
    with pytest.raises(DataError, match="cannot be written: No such file or directory"):
        one.run(folder=way)
    way.mkdir()
    with pytest.raises(DataError, match="way: cannot be written"):
        one.run(lambda what: way.rmdir() if what == "POST /v1/batches" else None, folder=way)
    assert urgent(one.run(folder=None)) == [False, True]


# --- killed, interrupted, gone on --------------------------------------------------------------------------------


class Counting:
    """Kills at the n-th operation: before and after every call and every record, and in every pause."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def hardened(folder: Path, rows: int = 5) -> Case:
    """A run in which all happens: an answer that does not fit, an error, a row that is not answered in time."""
    answer = at_first({"text 2": saying(team="x"), "text 4": error(500, "down")})
    return Case(folder, Provider(answer=answer, expires=1, looks=1), [f"text {n}" for n in range(1, rows + 1)])


def stripped(records: list[dict[str, Any]]) -> list[Any]:
    """What has to be the same however often a run was killed."""
    return [(one["row"], one["row_id"], one["output"], one["steps"], one["status"]) for one in records]


def run_until_killed(one: Case, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    append = Segment.append

    def counted(self: Segment, record: bytes) -> None:
        counting()
        append(self, record)
        counting()

    with monkeypatch.context() as patch:
        patch.setattr(Segment, "append", counted)
        return one.run(counting, pause=counting)


def test_a_run_that_is_killed_at_any_operation_goes_on_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "MOST_REQUESTS", 3)
    counting = Counting(10**6)
    (tmp_path / "whole").mkdir()
    whole = hardened(tmp_path / "whole")
    expected = stripped(run_until_killed(whole, counting, monkeypatch))
    operations = 10**6 - counting.left
    assert operations > 80
    for n in range(1, operations + 1):
        folder = tmp_path / str(n)
        folder.mkdir()
        one = hardened(folder)
        with pytest.raises(Killed):
            run_until_killed(one, Counting(n), monkeypatch)
        assert stripped(one.run()) == expected, n
        assert one.provider.asked == whole.provider.asked, n
        assert one.provider.files == {}, n
        rows = [json.loads(line)["row"] for line in one.segment().splitlines() if '"kind":"decision"' in line]
        assert sorted(rows) == [1, 2, 3, 4, 5], n


@pytest.mark.parametrize("seed", range(25))
def test_whatever_goes_wrong_every_row_ends_with_its_own_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    chance = Random(seed)
    monkeypatch.setattr(rounds, "MOST_REQUESTS", chance.randint(1, 5))
    rows = [f"text {n}" for n in range(1, chance.randint(2, 12))]
    bad = [saying(team="x"), error(500, "down"), error(429, "quota", "insufficient_quota"), Answer(body="<p>")]
    firsts = {row: chance.choice(bad) for row in rows if chance.random() < 0.4}
    wrong: list[Drop | Answer] = [Drop(), Drop(after=True), error(503, "down"), error(429, "slow")]
    provider = Provider(
        answer=at_first(firsts),
        faults={n: chance.choice(wrong) for n in range(1, 300) if chance.random() < 0.1},
        queue=chance.choice([None, 6]),
        page=chance.randint(1, 3),
        looks=chance.randint(0, 2),
        expires=chance.randint(0, 2),
        cancels=chance.choice([0, 0, 2]),
        alter=lambda lines: lines if chance.random() < 0.7 else lines[1:],
    )
    one = Case(tmp_path, provider, rows, {"retry": {"passes": 9}})
    records: list[dict[str, Any]] = []
    while not records:
        with suppress(Killed, EngineRejected):
            records = run_until_killed(one, Counting(chance.randint(1, 150)), monkeypatch)
    assert urgent(records) == [n % 2 == 0 for n in range(1, len(rows) + 1)]
    recorded = [json.loads(line)["row"] for line in one.segment().splitlines() if '"kind":"decision"' in line]
    assert sorted(recorded) == list(range(1, len(rows) + 1))
    marks = [batch.said["metadata"]["decider_run"] for batch in provider.batches.values()]
    assert len(set(marks)) == len(marks)
    assert all(name in caplog.text or file.name in caplog.text for name, file in provider.files.items())


def test_a_run_that_is_told_to_stop_stops_and_goes_on(case: Make) -> None:
    one = case(6, Provider(answer=by_text, looks=5))
    assert one.run(halted=lambda: len(one.looks) == 2) == []
    assert one.batches == ["batch_2"]
    assert urgent(one.run()) == [n % 2 == 0 for n in range(1, 7)]
    assert one.provider.count("POST /batches") == 1


def test_a_run_that_is_told_to_stop_while_it_reads_submits_nothing(case: Make) -> None:
    one = case(6)
    asked = iter([False, False, True])
    assert one.run(halted=lambda: next(asked)) == []
    assert one.provider.log == ["GET /batches"]


def test_decisions_may_be_recorded_by_whoever_counts_them(case: Make) -> None:
    seen: list[tuple[int, str]] = []

    def record(n: int, decision: Decision[Route]) -> None:
        seen.append((n, decision.status))
        raise Killed

    one = case(2)
    with pytest.raises(Killed):
        one.run(record=record)
    assert seen == [(1, "decided")]


# --- caches and budgets ------------------------------------------------------------------------------------------


def cached(tmp_path: Path) -> dict[str, Any]:
    from decider.runtime.cache import Cache

    return {"cache": Cache(tmp_path / "cache", ttl=1e6, size=1e9)}


def test_the_same_question_is_asked_once_where_there_is_a_cache(case: Make, tmp_path: Path) -> None:
    one = case(["same 2", "other 3", "same 2", "same 2"])
    records = one.run(decider=cached(tmp_path))
    assert urgent(records) == [True, False, True, True]
    assert [len(batch.requests) for batch in one.provider.batches.values()] == [2]
    assert [record["cached"] for record in records] == [False, False, True, True]


def test_the_same_question_in_another_part_is_asked_once_too(
    case: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "MOST_REQUESTS", 2)
    one = case(["same 2", "other 3", "third 4", "same 2"])
    assert urgent(one.run(decider=cached(tmp_path))) == [True, False, True, True]
    assert [len(batch.requests) for batch in one.provider.batches.values()] == [2, 1]


def test_without_a_cache_every_row_is_asked(case: Make) -> None:
    one = case(["same 2", "same 2"])
    one.run()
    assert [len(batch.requests) for batch in one.provider.batches.values()] == [2]


def test_what_is_in_the_cache_is_not_asked(case: Make, tmp_path: Path) -> None:
    one = case(3)
    one.run(decider=cached(tmp_path))
    assert urgent(one.run(decider=cached(tmp_path), overwrite=True)) == [False, True, False]
    assert one.provider.count("POST /batches") == 1


def test_an_answer_that_was_paid_for_is_counted_also_where_the_cache_has_it(case: Make, tmp_path: Path) -> None:
    one = case(2)
    with pytest.raises(Killed):
        one.run(decider=cached(tmp_path), pause=killing)
    with client_of(one.provider) as client, Decider(one.task(), client=client, **cached(tmp_path)) as decider:
        engine = FakeEngine(GOOD)
        with decider.override(engine=engine):
            decider.decide("text 1")
    records = one.run(decider=cached(tmp_path))
    assert [record["cached"] for record in records] == [False, False]
    assert [record["steps"][0]["usage"]["input_tokens"] for record in records] == [11, 11]


def limited(**limits: Any) -> dict[str, Any]:
    return {"prompt": {"params": {"max_tokens": 50}}, "budget": {"run": limits}}


def test_what_is_asked_stays_within_the_budget_of_the_run(case: Make) -> None:
    one = case(6, **limited(calls=4))
    with pytest.raises(BudgetExceeded, match="calls is 4"):
        one.run()
    assert one.segment().count('"kind":"decision"') == 4
    with pytest.raises(BudgetExceeded):  # also for the next one: it goes on from what is spent
        one.run()
    assert sum(one.provider.asked.values()) == 4


def test_what_the_worst_case_keeps_back_is_asked_when_it_is_known(case: Make) -> None:
    worst = 0.5 * 100.0 * (1900 + 50) / 1e6
    one = case(6, **limited(usd=3.5 * worst))
    assert urgent(one.run()) == [n % 2 == 0 for n in range(1, 7)]
    assert one.provider.count("POST /batches") > 1


def test_the_budget_counts_what_is_under_way_also_after_a_kill(case: Make) -> None:
    one = case(6, **limited(calls=4))
    with pytest.raises(Killed):
        one.run(pause=killing)
    with pytest.raises(BudgetExceeded):
        one.run()
    assert sum(one.provider.asked.values()) == 4


def test_asking_again_counts_with_what_was_asked_before(case: Make) -> None:
    one = case(3, Provider(answer=always_corrected), **limited(calls=5))
    with pytest.raises(BudgetExceeded):
        one.run()
    assert sum(one.provider.asked.values()) <= 5


def test_a_run_that_goes_on_holds_for_each_row_what_it_asked_last(case: Make) -> None:
    worst = 0.5 * 100.0 * (1900 + 50) / 1e6
    one = case(3, Provider(answer=always_corrected), **limited(usd=3 * (worst + 2 * USD)))
    with pytest.raises(Killed):
        one.run(lambda what: killing(0.0) if one.provider.count("POST /batches") == 2 else None)
    assert urgent(one.run()) == [False, True, False]
    assert set(one.provider.asked.values()) == {1}


def test_an_answer_that_does_not_tell_its_tokens_counts_as_the_worst_case(case: Make) -> None:
    def answer(body: Said) -> Answer:
        return completion(json.dumps(GOOD), usage=None) if "1" in text_of(body) else by_text(body)

    one = case(["text 1", "text 2 " + "x" * 100], Provider(answer=answer), **limited(tokens=3500))
    with pytest.raises(BudgetExceeded):
        one.run()
    assert one.segment().count('"kind":"decision"') == 1


def test_the_budget_of_one_decision_holds_too(case: Make) -> None:
    one = case(2, Provider(answer=always_corrected), budget={"decision": {"calls": 1}})
    assert [record["status"] for record in one.run()] == ["failed", "failed"]


# --- what can be asked in batches --------------------------------------------------------------------------------


def refusal(**keys: Any) -> str:
    task = route_at(URL, **keys)
    with Decider(task) as decider, pytest.raises(SpecError) as caught:
        check(decider)
    return str(caught.value)


def test_only_one_strict_question_to_a_chat_model_is_a_batch() -> None:
    assert "decision endpoints have no batches; write engine: chat" in refusal(prompt={"engine": "decisions"})
    assert "draws 3 answers to each row" in refusal(prompt={"samples": 3})
    assert "write structure: schema, or leave out --batch" in refusal(prompt={"structure": "tools"})


def test_a_local_model_needs_no_batch(tmp_path: Path) -> None:
    class Local(FakeEngine):
        local = True

    with Decider(route_at(URL), engine=Local(GOOD)) as decider, pytest.raises(SpecError, match="at once"):
        check(decider)


def test_a_plan_of_two_steps_is_no_batch() -> None:
    finetuned = {"engine": "chat", "model": "ft:m", "base_url": URL, "messages": {"answer": {"label": "team"}}}
    said = refusal(mode="finetuned", finetuned=finetuned)
    assert "takes more than one step, and a batch answers one" in said


def test_what_can_be_asked_in_batches_passes() -> None:
    with Decider(route_at(URL)) as decider:
        check(decider)


def test_an_async_client_submits_nothing(case: Make) -> None:
    client = AsyncOpenAI(api_key="none", base_url=URL)
    with pytest.raises(TypeError, match="AsyncOpenAI"):
        case(1).run_with(client)


# --- over the wire -----------------------------------------------------------------------------------------------


def test_a_whole_run_over_the_wire(case: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_KEY", KEY)
    one = case(30, Provider(answer=by_text), prompt={"api_key_env": "BATCH_KEY"})
    with serve_batches(one.provider):
        records = one.run_with(None)
    assert urgent(records) == [n % 2 == 0 for n in range(1, 31)]
    assert one.provider.keys == {f"Bearer {KEY}"}
    assert KEY not in one.segment()


def test_a_download_that_breaks_off_is_begun_anew(case: Make) -> None:
    def changed(what: str, answer: Answer) -> Answer:
        if what.endswith("/content") and one.provider.count(what) == 1:
            return Answer(body=answer.body, short=len(answer.body) // 2)
        return answer

    one = case(30, Provider(answer=by_text, changed=changed))
    with serve_batches(one.provider):
        records = one.run_with(None)
    assert urgent(records) == [n % 2 == 0 for n in range(1, 31)]
    assert one.provider.count("GET /files/file-3/content") == 2


WORKER = """
import os, random, signal, sys, time
from pathlib import Path
import decider.batch.provider, openai.resources
from decider.batch.run import opened
from decider.decider import Decider
from endpoint import route_at

folder, chance = Path(sys.argv[2]), random.Random(3)
Decider(route_at(sys.argv[1])).plan()  # what takes long is loaded before the first is begun

def run():
    pauses = iter([0.1])  # before it asks whether what its predecessor sent did arrive
    with (
        Decider(route_at(sys.argv[1])) as decider,
        opened(decider, folder / "in.jsonl", folder / "out.jsonl", batched=True) as run,
    ):
        return run.go_batched(pause=lambda _: time.sleep(next(pauses, 0.002)))

for kills in range(200):
    child = os.fork()
    if not child:
        os._exit(0 if run().out else 1)
    time.sleep(chance.uniform(0.01, 0.04 + 0.01 * kills))
    os.kill(child, signal.SIGKILL)
    if os.waitpid(child, 0)[1] == 0:
        break
print(kills)
"""


def test_a_process_that_is_killed_at_random_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    one = hardened(tmp_path, 60)
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in one.rows))
    path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    with serve_batches(one.provider):
        command = [sys.executable, "-c", WORKER, one.provider.url, str(tmp_path)]
        kills = int(subprocess.check_output(command, env={**os.environ, "PYTHONPATH": path}))
    assert kills > 3
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert urgent(rows) == [n % 2 == 0 for n in range(1, 61)]
    assert sum(one.provider.asked.values()) == 62  # one was answered wrongly, and one with an error
    assert one.provider.files == {}
