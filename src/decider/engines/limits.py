"""The dialects of decision endpoints: where each is asked, and how much it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from decider.spec import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A form of decision endpoint, with the most it takes: questions a call, options a choice, levels a score."""

    name: Literal["decisions", "systemone"]
    path: str
    questions: int
    options: int
    levels: int


DECISIONS = Dialect(name="decisions", path="/decisions", questions=400, options=255, levels=10)
"""OpenAI's own form, as its client documents it; others that speak it may take fewer questions, and say so."""

SYSTEMONE = Dialect(name="systemone", path="/systemone", questions=1000, options=255, levels=10)
"""The form of TypeSafe, which Ollama, LocalAI, llama.cpp and others speak too."""

_BY_MODEL = "gpt-"


def dialects_of(asked: Asked) -> tuple[Dialect, ...]:
    """Return the dialects to try, in order: one where the URL or the host tells, else both."""
    for dialect in (DECISIONS, SYSTEMONE):
        if asked.url.rstrip("/").endswith(dialect.path):
            return (dialect,)
    if asked.is_openai:
        return (DECISIONS,)
    first_decisions = (asked.model or "").startswith(_BY_MODEL)
    return (DECISIONS, SYSTEMONE) if first_decisions else (SYSTEMONE, DECISIONS)


def base_of(asked: Asked) -> str:
    """Return the URL without the path of a dialect."""
    url = asked.url.rstrip("/")
    return next((url.removesuffix(one.path) for one in (DECISIONS, SYSTEMONE) if url.endswith(one.path)), asked.url)
