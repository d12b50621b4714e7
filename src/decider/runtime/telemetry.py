"""OpenTelemetry: a span for each decision, below it one for each call, and what they add up to; never what was said."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias
from urllib.parse import urlsplit

from decider.decision import Decision, Reply
from decider.errors import DeciderError, InputError

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter, MeterProvider
    from opentelemetry.trace import Span as OpenSpan
    from opentelemetry.trace import TracerProvider

logger = logging.getLogger("decider")

Attributes: TypeAlias = dict[str, str | bool | int | float]

_EXTRA = "telemetry needs the OpenTelemetry API: pip install 'decider-sdk[otel]'"
_API = "opentelemetry.trace"
_SCOPE = "decider"
_GIVEN_UP = "cancelled"
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4.0**n for n in range(14))
"""Both as the semantic conventions have them."""

_QUICK = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, *_SECONDS)
"""A model of one's own, and the cache, answer in less than the conventions think of."""

_PROVIDERS = {
    "*.ai.azure.com": "azure.ai.inference",
    "*.openai.azure.com": "azure.ai.openai",
    "*aiplatform.googleapis.com": "gcp.vertex_ai",
    "*api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.cohere.*": "cohere",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.moonshot.*": "moonshot_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "bedrock*.amazonaws.com": "aws.bedrock",
    "generativelanguage.googleapis.com": "gcp.gemini",
}
"""What the semantic conventions call the provider behind a host."""


class Engine(Protocol):
    """What is told of an engine: the parts of decider stand in an order, and engines come after this one."""

    @property
    def name(self) -> str:
        """The word for it in a spec."""

    @property
    def model(self) -> str:
        """The model that answers."""

    @property
    def place(self) -> str:
        """The URL where it is asked, or nothing."""

    @property
    def in_process(self) -> bool:
        """Whether it answers in this process."""

    @property
    def local(self) -> bool:
        """Whether it is a trained classifier, and no language model."""


class Telemetry:
    """Tells what a process has set up for OpenTelemetry of every decision; where nothing is set up, it tells nobody.

    The providers are those of the process unless others are given. No fault of theirs reaches a decision.
    """

    def __init__(
        self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        try:
            from opentelemetry import metrics, trace  # an extra
        except ImportError as error:
            raise ImportError(_EXTRA) from error
        self._api = trace
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
        self._calls = _histogram(meter, "gen_ai.client.operation.duration", "s", _SECONDS)
        self._tokens = _histogram(meter, "gen_ai.client.token.usage", "{token}", _TOKENS)
        self._decisions = meter.create_counter("decider.decisions", "{decision}")
        self._durations = _histogram(meter, "decider.decision.duration", "s", _QUICK)
        self._costs = meter.create_counter("decider.cost", "{USD}")
        self._told = False

    @staticmethod
    def of(wanted: bool | None) -> Telemetry | None:
        """Return what tells of decisions, the same for all, or None where that is not wanted.

        Where nobody said, a process that has imported OpenTelemetry's API wants it: telling nobody costs next to
        nothing, and what is set up later is told from then on. Raises `ImportError` where the API is missing.
        """
        if wanted is None:
            wanted = _API in sys.modules
        return _shared() if wanted else None

    def begin(self, task: str) -> Span:
        """Begin the span of a decision, below the one that is current in the caller's thread."""
        span: OpenSpan = self._api.INVALID_SPAN
        with self._harmless():
            span = self._tracer.start_span(f"decide {task}", attributes={"decider.task": task})
        return Span(self, span)

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """Keep a fault of what is plugged in there from the decision, and say it once."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # an exporter may raise anything
            if not self._told:
                self._told = True
                logger.warning("telemetry fails, and decisions go on: %s: %s", type(error).__name__, error)

    def _called(self, parent: OpenSpan, call: Call) -> None:
        """Tell of one call to an engine: a span with the times that it had, and for language models what it used."""
        names, fault = call.names, call.fault
        failed: Attributes = {} if fault is None else {"error.type": fault}
        if parent.is_recording():
            kind = self._api.SpanKind.INTERNAL if call.engine.in_process else self._api.SpanKind.CLIENT
            span = self._tracer.start_span(
                f"{call.engine.name} {call.engine.model}",
                context=self._api.set_span_in_context(parent),
                kind=kind,
                attributes={**names, **failed, **call.results},
                start_time=call.started,
            )
            if failed:
                span.set_status(self._api.StatusCode.ERROR)
            span.end(end_time=call.ended)
        if not call.engine.local:
            self._calls.record((call.ended - call.started) / 1e9, {**names, **failed})
            for token, count in call.tokens.items():
                self._tokens.record(count, {**names, "gen_ai.token.type": token})

    def _decided(self, span: OpenSpan, decision: Decision[Any]) -> None:
        """Tell of a decision: how it ended, and never what was decided on, or what the answer was."""
        said = _outcome(decision)
        if span.is_recording():
            span.set_attributes({**said, **_provenance(decision)})
            if decision.error is not None:
                span.set_status(self._api.StatusCode.ERROR)
        self._decisions.add(1, said)
        self._durations.record(decision.latency_ms / 1000.0, said)
        if decision.cost_usd:
            self._costs.add(decision.cost_usd, {"decider.task": decision.task, "decider.mode": decision.mode})


class Span:
    """What is told of one decision, from any thread."""

    __slots__ = ("_span", "_telemetry")

    def __init__(self, telemetry: Telemetry, span: OpenSpan) -> None:
        self._telemetry = telemetry
        self._span = span

    def asked(
        self, engine: Engine, *, started: int, ended: int, reply: Reply | None, error: DeciderError | None
    ) -> None:
        """Tell of one call, from `started` to `ended` as `time.time_ns` has them; without either it was given up."""
        if not isinstance(error, InputError):  # what does not fit the engine was never sent
            with self._telemetry._harmless():
                self._telemetry._called(self._span, Call(engine, started, ended, reply, error))

    def end(self, decision: Decision[Any]) -> None:
        """Tell how the decision ended."""
        with self._telemetry._harmless():
            self._telemetry._decided(self._span, decision)
        self._ended()

    def abandon(self) -> None:
        """Tell that the decision was given up: cancelled, or not recorded."""
        with self._telemetry._harmless():
            self._span.set_attribute("error.type", _GIVEN_UP)
            self._span.set_status(self._telemetry._api.StatusCode.ERROR)
        self._ended()

    def _ended(self) -> None:
        with self._telemetry._harmless():
            self._span.end()


class Call(NamedTuple):
    """One call to an engine."""

    engine: Engine
    started: int
    ended: int
    reply: Reply | None
    error: DeciderError | None

    @property
    def fault(self) -> str | None:
        """The kind of error, or None where there is a reply; what an error says may quote a reply."""
        if self.error is not None:
            return type(self.error).__qualname__
        return _GIVEN_UP if self.reply is None else None

    @property
    def tokens(self) -> dict[str, int]:
        """The tokens in and out, where the endpoint told them."""
        usage = None if self.reply is None else self.reply.usage
        return {} if usage is None else {"input": usage.input_tokens, "output": usage.output_tokens}

    @property
    def names(self) -> Attributes:
        """What spans and metrics have in common: which model was asked, and where."""
        if self.engine.local:
            return {"decider.engine": self.engine.name, "decider.model": self.engine.model}
        said: Attributes = {"gen_ai.operation.name": self.engine.name, "gen_ai.request.model": self.engine.model}
        if self.reply is not None and self.reply.served_model is not None:
            said["gen_ai.response.model"] = self.reply.served_model
        place = urlsplit(self.engine.place)
        said["gen_ai.provider.name"] = _provider(place.hostname or self.engine.name)
        if place.hostname is not None:
            said["server.address"] = place.hostname
            said["server.port"] = place.port or (80 if place.scheme == "http" else 443)
        return said

    @property
    def results(self) -> Attributes:
        """What the span says beside: how the call ended, and what it used."""
        if self.reply is None:
            return {}
        said: Attributes = {"decider.outcome": self.reply.outcome}
        if not self.engine.local and self.reply.usage is not None:
            said["gen_ai.usage.input_tokens"] = self.reply.usage.input_tokens
            said["gen_ai.usage.output_tokens"] = self.reply.usage.output_tokens
            said["gen_ai.usage.cache_read.input_tokens"] = self.reply.usage.cached_tokens
        return said


def _outcome(decision: Decision[Any]) -> Attributes:
    """What spans and metrics have in common, with few values each."""
    said: Attributes = {
        "decider.task": decision.task,
        "decider.mode": decision.mode,
        "decider.status": decision.status,
        "decider.accepted": decision.accepted,
        "decider.cached": decision.cached,
    }
    return said if decision.error is None else {**said, "error.type": type(decision.error).__qualname__}


def _provenance(decision: Decision[Any]) -> Attributes:
    """What the span of a decision says beside; its id leads to the record in the log."""
    said: dict[str, str | int | float | None] = {
        "decider.decision": decision.id,
        "decider.version": decision.version,
        "decider.engine": decision.engine,
        "decider.model": decision.model,
        "decider.attempts": decision.attempts,
        "decider.possibly_billed": decision.possibly_billed,
        "decider.confidence": decision.confidence,
        "decider.cost_usd": decision.cost_usd,
    }
    return {name: value for name, value in said.items() if value is not None}


def _provider(host: str) -> str:
    """The provider behind a host; the host itself where the conventions have no word for it."""
    return next((name for hosts, name in _PROVIDERS.items() if fnmatchcase(host, hosts)), host)


def _histogram(meter: Meter, name: str, unit: str, bounds: Sequence[float]) -> Histogram:
    return meter.create_histogram(name, unit, explicit_bucket_boundaries_advisory=bounds)


@cache
def _shared() -> Telemetry:
    return Telemetry()
