"""The form in which a chat endpoint takes requests: which parameters, and by which name the limit of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decider.engines.completion import Completion
from decider.engines.probe.diagnosis import Finding
from decider.engines.probe.line import Line
from decider.errors import DeciderError, EngineRejected
from decider.spec import Asked

LIMITS = ("max_completion_tokens", "max_tokens")
LOGPROBS: Mapping[str, Any] = {"logprobs": True, "top_logprobs": 20}

_WARMTH = "temperature"
_ROOM = 256
_MOST_ROOM = 1024
_OURS = frozenset({*LIMITS, *LOGPROBS, "extra_body", "response_format", "tools", "tool_choice", "n"})
"""Parameters of the spec that a probe sets itself, or leaves out."""


class Form:
    """What a request to one endpoint holds beside its messages, as far as the endpoint takes it."""

    def __init__(self, asked: Asked, line: Line) -> None:
        self._asked = asked
        self._line = line
        self._given = {**asked.params, **asked.params.get("extra_body", {})}
        self._own = {name: value for name, value in self._given.items() if name not in _OURS}
        self._params = self._own
        self._limit = self._limits()[0]
        self._room = _ROOM
        self._refusal: DeciderError | None = None

    def reach(self) -> Completion:
        """Return the first answer, and keep the form in which it was asked for; raises what the endpoint says."""
        refusals: dict[str, DeciderError] = {}
        for params in self._choices():
            for limit in self._limits():
                body = self.body("Say hello.", {**params, limit: _ROOM})
                said = self._line.complete("whether it answers", body)
                if isinstance(said, Completion):
                    self._params, self._limit, self._refusal = params, limit, refusals.get(limit)
                    return said
                if not (isinstance(said, EngineRejected) and said.reason == "request"):
                    raise said
                refusals.setdefault(limit, said)
        raise next(iter(refusals.values()))

    def body(self, text: str, more: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body of a request with one message."""
        return {"model": self._asked.model, "messages": [{"role": "user", "content": text}], **more}

    def limited(self, most: int = _MOST_ROOM) -> dict[str, Any]:
        """Return the parameters that are taken, with room for a short answer, of `most` tokens at most."""
        return {**self._params, self._limit: min(self._room, most)}

    @property
    def unlimited(self) -> bool:
        """Whether the spec leaves it to the model how long an answer is."""
        return not any(name in self._given for name in LIMITS)

    def own(self) -> dict[str, Any]:
        """Return the parameters of the spec, with a limit where they have none: the probe comes to an end."""
        own = {name: self._given[name] for name in (*LIMITS, *LOGPROBS) if name in self._given}
        return {**self._params, **own, **({self._limit: _MOST_ROOM} if self.unlimited else {})}

    def allow(self, used: int) -> None:
        """Give later answers the room that an answer to the task needs: some models think before they speak."""
        self._room = max(_ROOM, min(2 * used, _MOST_ROOM))

    def findings(self) -> tuple[Finding, ...]:
        """Return whether the endpoint takes the parameters of the spec, if it has any."""
        if not self._own:
            return ()
        spec = f"params: {', '.join(self._own)}"
        if self._refusal is None or self._params == self._own:
            return (Finding(code="params", status="ok", found="taken", spec=spec),)
        warm = self._own.keys() - self._params.keys() == {_WARMTH}
        change = f"remove {_WARMTH if warm else 'what it names'} from params"
        found = self._line.words(self._refusal)
        return (Finding(code="params", status="fails", found=found, spec=spec, change=change),)

    def _choices(self) -> list[dict[str, Any]]:
        """The spec's parameters, and what may be left of them where they are refused."""
        cooler = {name: value for name, value in self._own.items() if name != _WARMTH}
        choices: list[dict[str, Any]] = []
        for one in (self._own, cooler, {}):
            if one not in choices:
                choices.append(one)
        return choices

    def _limits(self) -> list[str]:
        """The names of the limit of an answer, the likelier first: the spec's own, or what is usual there."""
        usual = LIMITS[0] if self._asked.is_openai else LIMITS[1]
        likely = next((name for name in LIMITS if name in self._given), usual)
        return sorted(LIMITS, key=lambda name: name != likely)
