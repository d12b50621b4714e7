"""What a probe found out about an endpoint, and what of the spec to change."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from decider.decision import Usage

Status: TypeAlias = Literal["ok", "differs", "fails", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that an endpoint does, beside what the spec says of it.

    Its `status` is "ok" where the spec fits that, "differs" where the spec should change, "fails" where what the spec
    needs does not work, and "unknown" where nobody could tell. `change` is a line for the section of the spec that was
    probed; beside "ok" and "unknown" it is an offer.
    """

    code: str
    status: Status
    found: str
    spec: str = ""
    change: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings about one endpoint, and what finding them took; `cost_usd` is None where that is unknown."""

    endpoint: str
    model: str
    served_model: str | None
    mode: str
    checks: tuple[Finding, ...]
    calls: int
    usage: Usage
    cost_usd: float | None

    @property
    def good(self) -> bool:
        """Whether all that could be told is as the spec says."""
        return all(one.status in ("ok", "unknown") for one in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return the diagnosis in JSON types."""
        return {**asdict(self), "checks": [asdict(one) for one in self.checks]}
