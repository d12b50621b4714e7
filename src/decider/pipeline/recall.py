"""What the cache keeps of an answer: its key, its text, and how it is read again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from decider.decision import Reply, Source
from decider.draft import Draft
from decider.engines.base import Engine
from decider.schema import Field, nest
from decider.task import Task

FORM = 1
"""Counts the forms in which answers were written: what was written in another one is not read."""


class Known(NamedTuple):
    """An answer as it was kept: the record in JSON, and what was known of it beside.

    `shares` holds the probabilities of the labels of each field, in the order of the schema.
    """

    form: int
    text: str
    wide: bool
    served_model: str | None
    source: Source | None
    calibrated: bool
    shares: Mapping[str, Sequence[float]]

    def reply(self, fields: Sequence[Field]) -> Reply | None:
        """The reply that it was, or None where its shares are not of these fields."""
        labels = {field.path: field.labels for field in fields}
        try:
            shares = {
                path: dict(zip(labels[path], map(float, said), strict=True)) for path, said in self.shares.items()
            }
        except (KeyError, ValueError, TypeError):
            return None
        return Reply(
            text=self.text,
            probabilities=shares,
            source=self.source,
            calibrated=self.calibrated,
            served_model=self.served_model,
        )


def key(prefix: bytes, sent: bytes) -> str:
    """Return the key of a question: the sha256 of all that its answer depends on; `sent` is the input as JSON."""
    return hashlib.sha256(prefix + sent).hexdigest()


def prefix(task: Task[Any], engine: Engine, role: str, paths: Sequence[str], redaction: str) -> bytes:
    """Return what the keys of a step begin with: task, words, engine, fields, and the forms of what is written."""
    from decider.prompt import VERSION  # its expressions take time to compile, and local models need none of them

    parts = [FORM, VERSION, task.prompt_fingerprint, engine.name, engine.identity, role, paths, redaction]
    return hashlib.sha256(to_json(parts)).digest()


def written(reply: Reply, fields: Sequence[Field], draft: Draft[Any], *, wide: bool) -> str:
    """Return the text that keeps an answer which has been validated."""
    values = draft.values
    record = to_json(nest({field.path: values[field.path] for field in fields})).decode()
    labels = {field.path: field.labels for field in fields}
    shares = {path: [said[label] for label in labels[path]] for path, said in reply.probabilities.items()}
    known = Known(FORM, record, wide, reply.served_model, reply.source, reply.calibrated, shares)
    return to_json(known).decode()


def read(text: str) -> Known | None:
    """Return what a text from the cache holds, or None where it is none of this form: it is not to be trusted."""
    parts = _parts(text)
    return None if parts is None else Known(*parts)


def plain(text: str) -> tuple[str, str | None] | None:
    """Return the record, in JSON that every reader reads alike, and the model; None where there is more to it."""
    parts = _parts(text)
    if parts is None or parts[-1] or "NaN" in parts[1] or "Infinity" in parts[1]:
        return None
    return parts[1], parts[3]


def _parts(text: str) -> list[Any] | None:
    try:
        parts: Any = from_json(text)
        form, record, _, _, _, _, shares = parts
    except (ValueError, TypeError):
        return None
    return parts if form == FORM and isinstance(record, str) and isinstance(shares, dict) else None
