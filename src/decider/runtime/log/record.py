"""One line of the log: how a decision is written down, and what is read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from decider.decision import Decision, Input, Status, StepTrace
from decider.errors import DeciderError, InputError
from decider.runtime.log.segment import VERSION
from decider.task import Task

Inputs: TypeAlias = Literal["text", "hash", "none"]
Kind: TypeAlias = Literal["run", "decision", "correction", "outcome", "shadow"]


class Record(BaseModel):
    """One line of the log, as it is read: a decision, a correction, an outcome, or the header of a run.

    A correction and an outcome are `of` a decision. A correction holds the changed values in `fields`, by path, and
    none where it confirms; an outcome is a `name` and its `value`.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)  # whoever only writes does not pay for it

    v: Literal[1]
    kind: Kind
    id: str
    of: str | None = None
    at: AwareDatetime
    task: str
    version: int
    fingerprint: str | None = None
    row_id: str | None = None
    input: Any = None
    input_sha256: str | None = None
    output: dict[str, Any] | None = None
    status: Status | None = None
    accepted: bool | None = None
    confidence: float | None = None
    fields: dict[str, dict[str, Any]] = {}
    steps: tuple[dict[str, Any], ...] = ()
    mode: str | None = None
    cached: bool = False
    possibly_billed: int = 0
    why: Literal["random", "doubtful", "disputed"] | None = None
    p_sampled: float | None = None
    by: str | None = None
    note: str | None = None
    error: str | None = None
    meta: dict[str, Any] | None = None
    name: str | None = None
    value: Any = None

    @classmethod
    def read(cls, line: bytes) -> Record | None:
        """Return the record that a line holds, or None where it holds none."""
        try:
            return cls.model_validate_json(line)
        except ValidationError:
            return None


def record_of(decision: Decision[Any], task: Task[Any], *, inputs: Inputs = "text") -> dict[str, Any]:
    """Return the record of a decision, to be `encoded`; `inputs` says what is kept of the input.

    Without the text of inputs an error is named by its type alone: its message may quote them.
    """
    said = decision.input
    record = {
        "v": VERSION,
        "kind": "decision",
        "id": decision.id,
        "of": None,
        "at": decision.created_at,
        "task": decision.task,
        "version": decision.version,
        "fingerprint": task.prompt_fingerprint,
        "row_id": decision.row_id,
        "input": said if inputs == "text" else None,
        "input_sha256": None if said is None or inputs == "none" else hash_of(said),
        "output": decision.answer,
        "status": decision.status,
        "accepted": decision.accepted,
        "confidence": decision.confidence,
        "fields": {
            path: {
                "value": one.value,
                "probability": one.probability,
                "source": one.source,
                "calibrated": one.calibrated,
                "step": one.step,
            }
            for path, one in decision.fields.items()
        },
        "steps": [_step(step) for step in decision.steps],
        "mode": decision.mode,
        "cached": decision.cached,
        "possibly_billed": decision.possibly_billed,
        "why": None,
        "p_sampled": None,
        "by": None,
        "note": None,
        "error": None if decision.error is None else _said(decision.error, task, inputs),
    }
    if decision.meta is not None:
        record["meta"] = decision.meta
    return record


def amendment(kind: Kind, decision: Record, *, id: str, at: datetime, **said: Any) -> dict[str, Any]:
    """Return the record of what somebody says about a decision afterwards, to be `encoded`."""
    return {
        "v": VERSION,
        "kind": kind,
        "id": id,
        "of": decision.id,
        "at": at,
        "task": decision.task,
        "version": decision.version,
        "fingerprint": decision.fingerprint,
        "row_id": decision.row_id,
        **said,
    }


def encoded(record: Mapping[str, Any]) -> bytes:
    """Return a record as one line of JSON; what JSON lacks becomes text, and half a character a question mark."""
    try:
        return to_json(record, by_alias=False, inf_nan_mode="strings", fallback=str)
    except PydanticSerializationError:
        plain = to_jsonable_python(record, by_alias=False, inf_nan_mode="strings", bytes_mode="base64", fallback=str)
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def hash_of(input: Input) -> str:
    """Return the `input_sha256` of an input, as `Task.encode` made it."""
    return hashlib.sha256(to_json(input)).hexdigest()


def _step(step: StepTrace) -> dict[str, Any]:
    used = step.usage
    return {
        "engine": step.engine,
        "model": step.model,
        "fields": step.fields,
        "attempts": step.attempts,
        "usage": {
            "input_tokens": used.input_tokens,
            "output_tokens": used.output_tokens,
            "cached_tokens": used.cached_tokens,
            "written_tokens": used.written_tokens,
        },
        "cost_usd": step.cost_usd,
        "latency_ms": step.latency_ms,
        "cache_key": step.cache_key,
    }


def _said(error: DeciderError, task: Task[Any], inputs: Inputs) -> str:
    """The message of an error, where it may be kept: that of a wrong input quotes it as it was before redaction."""
    kept = inputs == "text" and (task.spec.redact is None or not isinstance(error, InputError))
    return str(error) if kept else type(error).__name__
