"""Which decisions of a log somebody wants to see."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from decider.decision import Status
from decider.runtime.log.history import History
from decider.schema import pick


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a decision must be like; a part that is None is not looked at. `fields` are meant as corrected."""

    task: str | None = None
    since: datetime | None = None
    status: Status | None = None
    mode: str | None = None
    checked: bool | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def takes(self, history: History) -> bool:
        """Whether a decision is one of these."""
        decision = history.decision
        asked = (
            (self.task, decision.task),
            (self.status, decision.status),
            (self.mode, decision.mode),
            (self.checked, history.checked is not None),
        )
        return (
            all(wanted is None or wanted == found for wanted, found in asked)
            and (self.since is None or decision.at >= self.since)
            and all(self._has(history, path, value) for path, value in self.fields.items())
        )

    def newest(self, histories: Iterable[History], limit: int) -> list[History]:
        """Return the last of these decisions, the newest first."""
        return heapq.nlargest(limit, filter(self.takes, histories), key=_when)

    def _has(self, history: History, path: str, value: Any) -> bool:
        try:
            return bool(pick(history.output or {}, path) == value)
        except KeyError:
            return False


def _when(history: History) -> datetime:
    return history.decision.at
