"""What a decision waits for: the values that its generator yields, and that a driver performs."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pydantic import BaseModel

from decider.decision import Decision, Reply, Request
from decider.engines.base import Engine

if TYPE_CHECKING:
    from concurrent.futures import Future

S = TypeVar("S", bound=BaseModel)


@dataclass(slots=True, kw_only=True)
class Ask:
    """Wait for an engine's reply, `timeout` seconds at most.

    The driver tells whether this is `waiting` for its turn, with nothing asked yet, and how many seconds it `queued`.
    """

    engine: Engine
    request: Request
    timeout: float
    queued: float = 0.0
    waiting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """Wait for time to pass."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Wait for the answer to the same question, that another decision is getting: `timeout` seconds at most."""

    flight: Future[str | None]
    timeout: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """Wait for all of several courses of one engine, side by side where it is not in this process."""

    engine: Engine
    courses: Sequence[Generator[Any, Any, Any]]


Effect: TypeAlias = Ask | Sleep | Wait | Together
Waiting: TypeAlias = Generator[Effect, Any, "Decision[S]"]
Part: TypeAlias = Generator[Effect, Any, Reply]
