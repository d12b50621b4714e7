"""The one interface of everything that answers: `Engine`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from decider.decision import Reply, Request, Usage


class Engine(ABC):
    """Answers a request; knows nothing of retries, caches, logs or other engines.

    An engine is safe for threads. It raises an `EngineError` where it cannot answer, and returns whatever was said
    where it can: validating that is the pipeline's work.
    """

    name: ClassVar[str]
    """The word for it in a spec, a decision and a log."""

    in_process: bool = True
    """False where `apredict` is native; sync callers then go through the Decider's loop thread."""

    local: ClassVar[bool] = False
    """Whether a model of one's own answers on this machine: its answers are made anew, and neither cached nor paid."""

    @property
    def place(self) -> str:
        """Where it is asked: engines at one place are unavailable together. Empty where there is no such place."""
        return ""

    @property
    @abstractmethod
    def model(self) -> str:
        """The name of the model that answers, as a person would write it."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """What decides the answer beside the task: endpoint, model and parameters, or the weights; holds no secret."""

    def cost(self, usage: Usage) -> float | None:
        """The dollars that `usage` costs, or None where the price is unknown."""
        del usage
        return None

    def most(self, request: Request) -> Usage | None:
        """The most tokens that one call for `request` can use, or None where nothing bounds the reply."""
        del request
        return None

    @abstractmethod
    def predict(self, request: Request) -> Reply:
        """Answer, or raise an `EngineError`."""

    async def apredict(self, request: Request) -> Reply:
        """Answer without blocking the event loop."""
        import asyncio  # not needed by those who only decide in process, and slow to import

        return await asyncio.to_thread(self.predict, request)

    def close(self) -> None:
        """Let go of what `predict` opened; closing twice is fine."""

    async def aclose(self) -> None:
        """Let go of what `apredict` opened in the running loop."""
