"""What a decision endpoint says, in either dialect, and one that also chats, told apart by the path."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from endpoint import Answer
from probe_endpoint import NOT_THERE, Said

Name = Literal["decisions", "systemone"]
DIALECTS: tuple[Name, ...] = ("decisions", "systemone")
REFUSAL: dict[str, Any] = {"type": "refusal"}
TOKENS = {"input_tokens": 100, "output_tokens": 7}


def predicate(dialect: Name, true: Any) -> dict[str, Any]:
    """The answer to a yes-or-no question."""
    return {"type": "noul", "noul": true} if dialect == "systemone" else {"type": "predicate", "probability": true}


def choice(dialect: Name, shares: Mapping[str, Any], chosen: Any = None) -> dict[str, Any]:
    """The answer to a choice; its confidence is nonsense, since nobody may read it."""
    best = max(shares, key=lambda name: shares[name]) if chosen is None else chosen
    listed: Any = dict(shares)
    if dialect == "decisions":
        listed = [{"value": name, "probability": share} for name, share in shares.items()]
    return {"type": "choice", "choice": best, "probabilities": listed, "confidence": 77.0}


def score(dialect: Name, shares: Sequence[Any], said: Any = None) -> dict[str, Any]:
    """The answer to a score."""
    listed: Any = {str(n): share for n, share in enumerate(shares)}
    if dialect == "decisions":
        listed = [{"value": n, "label": "?", "probability": share} for n, share in enumerate(shares)]
    mean = sum(n * share for n, share in enumerate(shares)) if said is None else said
    return {"type": "score", "score": mean, "probabilities": listed, "confidence": -1.0, "legend": {}}


def body_of(dialect: Name, *answers: Any, **more: Any) -> dict[str, Any]:
    """The body of a response with these answers."""
    listed: Any = list(answers) if dialect == "decisions" else {f"q{n}": one for n, one in enumerate(answers)}
    return {"model": "served-2", "answers": listed, "usage": TOKENS, **more}


def answered(dialect: Name, *answers: Any, **more: Any) -> Answer:
    """A response with these answers."""
    return Answer(body=json.dumps(body_of(dialect, *answers, **more)))


@dataclass
class ByPath:
    """Answers each path from a script of its own, the last entry ever after, and knows no other path."""

    scripts: dict[str, list[Said]] = field(default_factory=dict)

    def respond(self, path: str, headers: Mapping[str, str], body: Any) -> Said:
        script = self.scripts.get(path.removeprefix("/v1"))
        if script is None:
            return NOT_THERE
        return script.pop(0) if len(script) > 1 else script[0]
