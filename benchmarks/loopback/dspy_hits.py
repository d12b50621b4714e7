"""dspy's cached calls, timed in an environment of its own: for each line with a number it prints the seconds of a hit.

    PYTHON benchmarks/loopback/dspy_hits.py URL FOLDER

A number says how many texts to ask for; the answer is two numbers, for hits in memory and for hits on disk alone. The
endpoint is to answer in the form of dspy's own chat adapter.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Literal

import dspy  # type: ignore[import-not-found]  # it is installed elsewhere
from pydantic import BaseModel


class Ticket(BaseModel):
    """The same as in `tickets`, which cannot be imported without decider."""

    topic: Literal["billing", "delivery", "account", "product"]
    urgency: Literal["low", "normal", "high", "critical"]
    refund: bool
    team: Literal["payments", "logistics", "identity", "quality", "general"]


class Route(dspy.Signature):  # type: ignore[misc]  # untyped, where it is not installed
    """Route a customer's message."""

    text: str = dspy.InputField()
    ticket: Ticket = dspy.OutputField()


def main() -> None:
    """Run."""
    url, folder = sys.argv[1:]
    said = os.dup(1)  # what it prints by itself is not our answer
    os.dup2(2, 1)
    route = dspy.Predict(Route)
    dspy.configure(lm=dspy.LM("openai/loopback", api_base=url, api_key="none"))
    for line in sys.stdin:
        texts = [f"Ticket {n}: {sys.argv[0]}" for n in range(int(line))]
        seconds = [_seconds(route, texts, folder, memory=memory) for memory in (True, False)]
        os.write(said, f"{seconds[0]} {seconds[1]}\n".encode())


def _seconds(route: dspy.Predict, texts: list[str], folder: str, *, memory: bool) -> float:
    dspy.configure_cache(enable_disk_cache=True, enable_memory_cache=memory, disk_cache_dir=folder)
    for text in texts:
        route(text=text)
    begun = time.process_time()
    for text in texts:
        assert isinstance(route(text=text).ticket, Ticket)
    return (time.process_time() - begun) / len(texts)


if __name__ == "__main__":
    main()
