"""What surrounds decisions: the log, redaction, telemetry, and what people say afterwards."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from conftest import Decide
from decider.decider import Decider
from decider.errors import DataError, EngineRejected, InputError, SpecError
from decider.pipeline import around
from decider.runtime.log import Log
from decider.runtime.telemetry import Telemetry
from decider.task import Task
from decider.testing import FakeEngine

CANARY = "ana.canary@example.com"


class Route(BaseModel):
    team: Literal["billing", "login"]


BILLING = {"team": "billing"}
LOGIN = {"team": "login"}


def decider_of(folder: Path, *script: Any, **keys: Any) -> tuple[Decider[Any], FakeEngine]:
    engine = FakeEngine(*script or (BILLING,))
    return Decider(Task(Route, name="route", prompt={"model": "m"}, folder=folder, **keys), engine=engine), engine


def everything(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_nothing_is_on_disk_unasked(decide: Decide, tmp_path: Path) -> None:
    decider, _ = decider_of(tmp_path)
    decide(decider, "x")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SpecError, match="the spec has no `log:`"):
        decider.confirm("0" * 32)


def test_a_decision_is_recorded_before_it_is_returned(decide: Decide, tmp_path: Path) -> None:
    decider, _ = decider_of(tmp_path, log={}, cache={})
    for expected in (False, True):
        decision = decide(decider, "charged twice", id="7")
        assert decider.log is not None
        record = list(decider.log.records())[-1]
        assert (record.id, record.row_id, record.input, record.output) == (decision.id, "7", "charged twice", BILLING)
        assert (record.cached, record.steps[0]["cache_key"]) == (expected, decision.steps[0].cache_key)


def test_failures_are_recorded_too(decide: Decide, tmp_path: Path) -> None:
    decider, _ = decider_of(tmp_path, EngineRejected("no", reason="request"), log={})
    with pytest.raises(EngineRejected):
        decide(decider, "x")
    assert decider.log is not None
    (record,) = decider.log.records()
    assert (record.status, record.error) == ("failed", "no")


def test_a_log_that_cannot_be_written_fails_the_decision(decide: Decide, tmp_path: Path) -> None:
    (tmp_path / ".decider").write_text("a file in the way")
    decider, _ = decider_of(tmp_path, log={})
    with pytest.raises(DataError):
        decide(decider, "x")
    with pytest.raises(DataError):
        list(decider.decide_many(["x", "y"]))


def test_people_say_what_was_right(tmp_path: Path) -> None:
    decider, _ = decider_of(tmp_path, log={}, cache={})
    first, second = decider.decide("a"), decider.decide("b")
    assert decider.correct(first.id, LOGIN, by="ana", note="they cannot get in").output == LOGIN
    assert decider.confirm(second.id, by="ben").checked == "confirmed"
    assert decider.outcome(second.id, "refunded", True).said == {"refunded": True}
    with pytest.raises(DataError, match="refunds"):
        decider.correct(first.id, {"team": "refunds"})
    forgotten = decider.forget(first.id)
    assert b'"a"' not in everything(tmp_path / ".decider" / "log")
    assert decider.cache is not None
    assert forgotten.to_json()
    assert not decider.decide("a").cached
    assert decider.decide("b").cached


def test_all_samples_of_what_is_forgotten_are_forgotten(tmp_path: Path) -> None:
    engine = FakeEngine(BILLING)
    prompt = {"model": "m", "samples": 5}
    with Decider(Task(Route, name="r", prompt=prompt, folder=tmp_path, log={}, cache={}), engine=engine) as decider:
        decision = decider.decide("a")
        decider.decide("b")
        assert decider.forget(decision.id).cached == 5
        assert decider.decide("b").cached
        assert decider.cache is not None
        assert decider.cache.clear() == 5


def test_another_log_or_none_takes_the_place_of_the_specs(tmp_path: Path) -> None:
    mine = Log(tmp_path / "mine")
    task = Task(Route, name="route", folder=tmp_path, log={"folder": "theirs"}, cache={})
    with Decider(task, engine=FakeEngine(BILLING), log=mine, cache=False) as decider:
        decider.decide("x")
    assert len(list(mine.records())) == 1
    with Decider(task, engine=FakeEngine(BILLING), log=False, cache=True) as decider:
        decider.decide("x")
        assert decider.log is None
    assert not (tmp_path / "theirs").exists()


@pytest.mark.parametrize("send", ["redacted", "original"])
def test_redaction_acts_before_all_else(decide: Decide, tmp_path: Path, send: str) -> None:
    (tmp_path / "examples.jsonl").write_text(json.dumps({"input": f"from {CANARY}", "output": BILLING}) + "\n")
    prompt = {"model": "m", "examples": {"file": "examples.jsonl"}}
    task = Task(Route, name="r", prompt=prompt, folder=tmp_path, log={}, cache={}, redact={"send": send})
    engine = FakeEngine(BILLING)
    decider = Decider(task, engine=engine)
    decision = decide(decider, f"{CANARY} was charged twice")
    assert decision.input == "[EMAIL] was charged twice"
    sent = engine.requests[0].input
    assert sent == (decision.input if send == "redacted" else f"{CANARY} was charged twice")
    assert CANARY.encode() not in everything(tmp_path / ".decider")
    from decider import prompt as renderer

    messages = str(renderer.render(task, engine.requests[0]))
    assert (CANARY in messages) is (send == "original")


def test_a_model_of_ones_own_sees_what_is_redacted(tmp_path: Path) -> None:
    class Own(FakeEngine):
        local = True

    engine = Own(BILLING)
    task = Task(Route, name="r", folder=tmp_path, redact={"kinds": ["email"], "send": "original"})
    Decider(task, engine=engine).decide(f"from {CANARY}")
    assert engine.requests[0].input == "from [EMAIL]"


def test_an_error_about_an_input_does_not_quote_what_is_redacted(decide: Decide, tmp_path: Path) -> None:
    decider, _ = decider_of(tmp_path, input={"text": "text", "age": "integer"}, redact={}, log={})
    with pytest.raises(InputError) as caught:
        decide(decider, {"text": "x", "age": f"{'x' * 60} {CANARY}"}, id="7")
    assert (caught.value.row, caught.value.field) == ("7", "age")
    assert "canary" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)
    assert CANARY.encode() not in everything(tmp_path)


def test_1000_texts_leave_no_trace_of_what_is_redacted(tmp_path: Path) -> None:
    def answer(request: Any) -> Any:
        n = len(str(request.input))
        return BILLING if n % 3 else "?"

    decider, engine = decider_of(tmp_path, answer, redact={}, log={}, cache={}, retry={"passes": 1})
    texts = (f"{'x' * (n % 7)} {n}: write to {n}.{CANARY}" for n in range(1000))
    said = "".join(str(one.row()) + str(one.error) + repr(one) for one in decider.decide_many(texts))
    assert "canary" not in said
    assert b"canary" not in everything(tmp_path)
    assert "canary" not in str([one.input for one in engine.requests])


def test_telemetry_is_told_of_decisions_and_calls(
    decide: Decide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(Telemetry, "of", lambda _: Telemetry(tracer_provider=provider))
    engine = FakeEngine("?", BILLING)
    decider = Decider(Task(Route, name="route", folder=tmp_path, cache={}), engine=engine, telemetry=True)
    decide(decider, CANARY)
    decide(decider, CANARY)
    names = [span.name for span in exporter.get_finished_spans()]
    assert [name.split()[0] for name in names] == ["fake", "fake", "decide", "decide"]
    assert CANARY not in "".join(span.to_json() for span in exporter.get_finished_spans())
    exporter.clear()
    course = decider._course("y", decider._around, None)
    next(course)
    course.close()
    assert exporter.get_finished_spans()[-1].attributes["error.type"]  # type: ignore[index]  # it has some


def test_telemetry_is_off_where_nobody_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(Route, name="route")
    assert Decider(task, telemetry=False)._around.telemetry is None
    for name in [one for one in sys.modules if one.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    assert Decider(task)._around.telemetry is None
    assert around.Around().telemetry is None
