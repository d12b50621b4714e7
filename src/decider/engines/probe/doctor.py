"""One diagnosis: what is common to all endpoints, around the probe of one kind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal

from decider.decision import Usage
from decider.engines.limits import base_of
from decider.engines.probe.chat import LONG, ChatProbe
from decider.engines.probe.decisions import DecisionsProbe
from decider.engines.probe.diagnosis import Diagnosis, Finding
from decider.engines.probe.line import Line, Told, Wire
from decider.engines.probe.listing import listed, model_findings, named, unknown_model
from decider.errors import EngineRejected
from decider.runtime.prices import Price, price_of
from decider.schema import Field
from decider.spec import Asked, Role
from decider.task import Task

_THOUSAND = 1000


def diagnose(
    task: Task[Any],
    *,
    engine: Literal["chat", "decisions"] = "chat",
    role: Role = "prompt",
    mode: str = "prompt",
    fields: Sequence[Field] | None = None,
    told: Told = lambda _: None,
    longest: int = LONG,
    today: date | None = None,
) -> Diagnosis:
    """Ask the endpoint of one section of the spec a handful of questions about `fields`, or all.

    Raises `EngineError` where it cannot be reached, does not take the key, or answers nothing at all.
    """
    asked = task.spec.asked(role)
    if engine == "decisions":
        asked = asked.model_copy(update={"base_url": base_of(asked)})
    endpoint = Wire(asked)
    line = Line(endpoint, deadline=task.spec.retry.deadline, told=told)
    of = task.fields if fields is None else tuple(fields)
    try:
        if engine == "decisions":
            probe: ChatProbe | DecisionsProbe = DecisionsProbe(task, fields=of, line=line)
        else:
            probe = ChatProbe(task, role=role, fields=of, line=line, longest=longest)
        return _diagnosis(asked, mode, line, probe, today or date.today())  # noqa: DTZ011  # a day, wherever one is
    finally:
        endpoint.close()


def _diagnosis(asked: Asked, mode: str, line: Line, probe: ChatProbe | DecisionsProbe, today: date) -> Diagnosis:
    model = asked.model or ""
    try:
        served = probe.reach()
    except EngineRejected as error:
        if error.reason == "model":
            raise unknown_model(error, listed(line), model) from error.__cause__
        raise
    models = listed(line)
    entry = named(models, asked.model, served)
    price = price_of(asked)
    checks = [
        *model_findings(asked, models, served, today),
        *probe.findings(entry.context if entry else None),
        _usage(asked, line),
        _price(asked, price),
    ]
    return Diagnosis(
        endpoint=line.endpoint.url,
        model=model,
        served_model=served,
        mode=mode,
        checks=tuple(checks),
        calls=line.calls,
        usage=line.usage,
        cost_usd=price(line.usage) if price is not None and line.metered else None,
    )


def _usage(asked: Asked, line: Line) -> Finding:
    """Whether answers tell the tokens that they took."""
    if line.metered:
        return Finding(code="usage", status="ok", found="reported with each answer")
    often = "not reported" if line.usage == Usage() else "not reported with each answer"
    found = f"{often}: what decisions cost stays unknown"
    return Finding(code="usage", status="unknown" if asked.price is None else "fails", found=found)


def _price(asked: Asked, price: Price | None) -> Finding:
    """What a million tokens cost, as far as that is known."""
    if price is None:
        change = "price: {input: …, output: …}"
        return Finding(code="price", status="unknown", found="in none of the published lists", change=change)
    fresh = price(Usage(input_tokens=_THOUSAND)) * _THOUSAND
    out = price(Usage(output_tokens=_THOUSAND)) * _THOUSAND
    found = f"${fresh:.4g} in, ${out:.4g} out for a million tokens"
    spec = "" if asked.price is None else "price"
    return Finding(code="price", status="ok", found=found, spec=spec)
