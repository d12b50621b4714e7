"""What OpenTelemetry is told of decisions and calls, and that it is told nothing that was said."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import BaseModel

from decider.decision import Decision, FieldDecision, Reply, Request, Usage
from decider.engines.base import Engine
from decider.errors import DeadlineExceeded, EngineUnavailable, InputError, InvalidDecision
from decider.runtime.telemetry import Telemetry

CANARY = "canary-4711"
START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


class Answer(BaseModel):
    team: Literal["a", "b"]
    note: str


class Asked(Engine):
    """An engine that is only told of."""

    name: ClassVar[str] = "chat"

    def __init__(self, place: str = "https://api.openai.com/v1", *, in_process: bool = False) -> None:
        self._place = place
        self.in_process = in_process

    @property
    def model(self) -> str:
        return "gpt-6-luna"

    @property
    def place(self) -> str:
        return self._place

    @property
    def identity(self) -> str:
        return CANARY

    def predict(self, request: Request) -> Reply:
        raise NotImplementedError


class Trained(Asked):
    name: ClassVar[str] = "local"
    local: ClassVar[bool] = True


@dataclass
class Told:
    """A process that listens: its spans, and its metrics by name."""

    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)
    tracers: TracerProvider = field(default_factory=TracerProvider)

    def __post_init__(self) -> None:
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.meters = MeterProvider([self.reader])
        self.telemetry = Telemetry(tracer_provider=self.tracers, meter_provider=self.meters)

    def span(self, name: str) -> ReadableSpan:
        (found,) = [one for one in self.spans.get_finished_spans() if one.name == name]
        return found

    def metrics(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        return {metric.name: list(metric.data.data_points) for scope in scopes for metric in scope.metrics}

    def everything(self) -> str:
        spans = "".join(span.to_json() for span in self.spans.get_finished_spans())
        return spans + repr(self.metrics())


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


def decision(**more: Any) -> Decision[Answer]:
    given: dict[str, Any] = {
        "id": "d1",
        "task": "triage",
        "version": 3,
        "status": "decided",
        "input": f"text {CANARY}",
        "mode": "prompt",
        "engine": "chat",
        "model": "gpt-6-luna",
        "created_at": datetime.now(UTC),
        "latency_ms": 1500.0,
        "row_id": CANARY,
        "meta": {"who": CANARY},
        "accepted": True,
        "confidence": 0.9,
        "fields": {"team": FieldDecision(value=CANARY)},
        "attempts": 2,
        "cost_usd": 0.25,
        "possibly_billed": 1,
        "answer": Answer(team="a", note=CANARY),
    }
    return Decision(**{**given, **more})


REPLY = Reply(
    text=f'{{"note": "{CANARY}"}}',
    usage=Usage(input_tokens=100, output_tokens=20, cached_tokens=30),
    served_model="gpt-6-luna-2026",
)


def test_a_decision_and_its_calls_are_spans_below_the_callers(told: Told) -> None:
    with told.tracers.get_tracer("app").start_as_current_span("handle ticket") as outer:
        span = told.telemetry.begin("triage")
    engine = Asked()
    late = EngineUnavailable(CANARY)
    span.asked(engine, started=START, ended=START + SECOND, reply=None, error=late)
    worker = threading.Thread(
        target=lambda: span.asked(engine, started=START + SECOND, ended=START + 3 * SECOND, reply=REPLY, error=None)
    )
    worker.start()
    worker.join()
    span.end(decision())
    parent = told.span("decide triage")
    first, second = [one for one in told.spans.get_finished_spans() if one.name == "chat gpt-6-luna"]
    assert parent.parent == outer.get_span_context()
    assert first.parent == second.parent == parent.context
    assert (first.start_time, first.end_time) == (START, START + SECOND)
    assert (second.start_time, second.end_time) == (START + SECOND, START + 3 * SECOND)
    assert (parent.kind, second.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT)
    assert [one.status.status_code for one in (first, second, parent)] == [
        StatusCode.ERROR,
        StatusCode.UNSET,
        StatusCode.UNSET,
    ]


def test_what_the_span_of_a_decision_says(told: Told) -> None:
    told.telemetry.begin("triage").end(decision())
    assert told.span("decide triage").attributes == {
        "decider.task": "triage",
        "decider.version": 3,
        "decider.decision": "d1",
        "decider.mode": "prompt",
        "decider.status": "decided",
        "decider.accepted": True,
        "decider.cached": False,
        "decider.engine": "chat",
        "decider.model": "gpt-6-luna",
        "decider.attempts": 2,
        "decider.possibly_billed": 1,
        "decider.confidence": 0.9,
        "decider.cost_usd": 0.25,
    }


def test_what_is_not_known_is_not_said(told: Told) -> None:
    told.telemetry.begin("triage").end(decision(confidence=None, cost_usd=None, cached=True))
    attributes = told.span("decide triage").attributes
    assert attributes is not None
    assert attributes["decider.cached"] is True
    assert {"decider.confidence", "decider.cost_usd", "error.type"} & set(attributes) == set()
    assert "decider.cost" not in told.metrics()


def test_what_the_span_of_a_call_says(told: Told) -> None:
    ask(told, Asked(), reply=REPLY)
    assert told.span("chat gpt-6-luna").attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-6-luna",
        "gen_ai.response.model": "gpt-6-luna-2026",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "server.address": "api.openai.com",
        "server.port": 443,
        "decider.outcome": "answered",
    }


@pytest.mark.parametrize(
    ("place", "provider", "address", "port"),
    [
        ("https://eu.api.openai.com/v1", "openai", "eu.api.openai.com", 443),
        ("https://acme.openai.azure.com/openai", "azure.ai.openai", "acme.openai.azure.com", 443),
        ("https://x.services.ai.azure.com", "azure.ai.inference", "x.services.ai.azure.com", 443),
        ("https://us-east1-aiplatform.googleapis.com", "gcp.vertex_ai", "us-east1-aiplatform.googleapis.com", 443),
        ("https://bedrock-runtime.x.amazonaws.com", "aws.bedrock", "bedrock-runtime.x.amazonaws.com", 443),
        ("http://127.0.0.1:8000/v1", "127.0.0.1", "127.0.0.1", 8000),
        ("http://vllm/v1", "vllm", "vllm", 80),
        ("", "chat", None, None),
    ],
)  # fmt: skip
def test_where_a_call_went(told: Told, place: str, provider: str, address: str | None, port: int | None) -> None:
    ask(told, Asked(place), reply=Reply(text="{}", usage=None))
    attributes = told.span("chat gpt-6-luna").attributes
    assert attributes is not None
    assert attributes["gen_ai.provider.name"] == provider
    assert (attributes.get("server.address"), attributes.get("server.port")) == (address, port)
    assert {name for name in attributes if "usage" in name or "response" in name} == set()
    assert "gen_ai.client.token.usage" not in told.metrics()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EngineUnavailable(CANARY), "EngineUnavailable"),
        (DeadlineExceeded(CANARY), "DeadlineExceeded"),
        (None, "cancelled"),
    ],
)
def test_a_call_that_fails_has_the_kind_of_its_error(told: Told, error: Any, kind: str) -> None:
    ask(told, Asked(), reply=None, error=error)
    span = told.span("chat gpt-6-luna")
    assert span.attributes is not None
    assert span.attributes["error.type"] == kind
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None
    (point,) = told.metrics()["gen_ai.client.operation.duration"]
    assert point.attributes["error.type"] == kind


def test_an_input_that_was_never_sent_is_no_call(told: Told) -> None:
    ask(told, Asked(), reply=None, error=InputError("too long"))
    assert [one.name for one in told.spans.get_finished_spans()] == ["decide triage"]
    assert "gen_ai.client.operation.duration" not in told.metrics()


def test_a_trained_classifier_is_no_generative_model(told: Told) -> None:
    ask(told, Trained("", in_process=True), reply=Reply(text="{}"))
    span = told.span("local gpt-6-luna")
    assert span.kind is SpanKind.INTERNAL
    assert span.attributes == {
        "decider.engine": "local",
        "decider.model": "gpt-6-luna",
        "decider.outcome": "answered",
    }
    assert set(told.metrics()) == {"decider.decisions", "decider.decision.duration", "decider.cost"}


def test_metrics_of_calls(told: Told) -> None:
    ask(told, Asked(), reply=REPLY)
    common = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-6-luna",
        "gen_ai.response.model": "gpt-6-luna-2026",
        "server.address": "api.openai.com",
        "server.port": 443,
    }
    (duration,) = told.metrics()["gen_ai.client.operation.duration"]
    assert (duration.sum, duration.attributes, len(duration.explicit_bounds)) == (1.0, common, 14)
    tokens = {one.attributes["gen_ai.token.type"]: one for one in told.metrics()["gen_ai.client.token.usage"]}
    assert {name: one.sum for name, one in tokens.items()} == {"input": 100, "output": 20}
    assert tokens["input"].attributes == {**common, "gen_ai.token.type": "input"}
    assert tokens["input"].explicit_bounds[:3] == (1.0, 4.0, 16.0)


def test_metrics_of_decisions(told: Told) -> None:
    for one in (decision(), decision(), decision(status="failed", error=InvalidDecision(CANARY), accepted=False)):
        told.telemetry.begin("triage").end(one)
    counted = {one.attributes["decider.status"]: one for one in told.metrics()["decider.decisions"]}
    assert {status: one.value for status, one in counted.items()} == {"decided": 2, "failed": 1}
    assert counted["failed"].attributes == {
        "decider.task": "triage",
        "decider.mode": "prompt",
        "decider.status": "failed",
        "decider.accepted": False,
        "decider.cached": False,
        "error.type": "InvalidDecision",
    }
    assert sum(one.sum for one in told.metrics()["decider.decision.duration"]) == 4.5
    (cost,) = told.metrics()["decider.cost"]
    assert (cost.value, cost.attributes) == (0.75, {"decider.task": "triage", "decider.mode": "prompt"})


def test_a_failed_decision_is_an_error_without_its_words(told: Told) -> None:
    told.telemetry.begin("triage").end(decision(status="failed", error=InvalidDecision(CANARY), answer=None))
    span = told.span("decide triage")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "InvalidDecision"


def test_a_decision_that_is_given_up_ends_too(told: Told) -> None:
    told.telemetry.begin("triage").abandon()
    span = told.span("decide triage")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes == {"decider.task": "triage", "error.type": "cancelled"}
    assert told.metrics() == {}


def test_nothing_that_was_said_is_told(told: Told) -> None:
    span = told.telemetry.begin("triage")
    for reply, error in ((REPLY, None), (None, EngineUnavailable(CANARY)), (None, InvalidDecision(CANARY))):
        span.asked(Asked(), started=START, ended=START, reply=reply, error=error)
    span.end(decision(status="failed", error=InvalidDecision(CANARY)))
    assert "InvalidDecision" in told.everything()
    assert CANARY not in told.everything()


def test_a_span_that_is_not_sampled_is_counted_all_the_same() -> None:
    told = Told(tracers=TracerProvider(sampler=ALWAYS_OFF))
    ask(told, Asked(), reply=REPLY)
    assert told.spans.get_finished_spans() == ()
    assert set(told.metrics()) >= {"gen_ai.client.operation.duration", "decider.decisions"}


class Broken(SpanProcessor):
    """A processor that fails where it can."""

    def __init__(self, *when: str) -> None:
        self.when = when

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if "start" in self.when:
            raise RuntimeError("no start")

    def on_end(self, span: Any) -> None:
        if "end" in self.when:
            raise RuntimeError("no end")


@pytest.mark.parametrize("when", ["start", "end"])
def test_a_fault_of_what_listens_is_told_once_and_harms_nothing(
    told: Told, when: str, caplog: pytest.LogCaptureFixture
) -> None:
    told.tracers.add_span_processor(Broken(when))
    with caplog.at_level(logging.WARNING, "decider"):
        ask(told, Asked(), reply=REPLY)
        ask(told, Asked(), reply=None)
        told.telemetry.begin("triage").abandon()
    assert caplog.messages == [f"telemetry fails, and decisions go on: RuntimeError: no {when}"]


def test_wanted_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Telemetry.of(wanted=False) is None
    assert Telemetry.of(wanted=True) is Telemetry.of(wanted=None) is not None
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert Telemetry.of(wanted=None) is None


def test_a_process_that_set_nothing_up_decides_as_ever() -> None:
    telemetry = Telemetry.of(wanted=True)
    assert telemetry is not None
    span = telemetry.begin("triage")
    span.asked(Asked(), started=START, ended=START, reply=REPLY, error=None)
    span.end(decision())


def test_telemetry_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ImportError, match=r"pip install 'decider-sdk\[otel\]'"):
        Telemetry()


def test_nothing_is_imported_where_nobody_asks() -> None:
    code = (
        "import sys; from decider.runtime.telemetry import Telemetry; assert Telemetry.of(None) is None; "
        "assert not [one for one in sys.modules if one.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def ask(told: Told, engine: Engine, *, reply: Reply | None, error: Any = None) -> None:
    """One decision with one call of a second."""
    span = told.telemetry.begin("triage")
    span.asked(engine, started=START, ended=START + SECOND, reply=reply, error=error)
    span.end(decision())
