"""What many tests share: a decision in both colours, and a real model server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from decider.decider import Decider
    from decider.decision import Decision

Decide = Callable[..., "Decision[Any]"]


@pytest.fixture(params=["sync", "async"])
def decide(request: pytest.FixtureRequest) -> Decide:
    """Decides once, as `decide(decider, input, **options)`: each test that uses it runs in both colours."""

    def sync(decider: Decider[Any], x: Any, **options: Any) -> Decision[Any]:
        return decider.decide(x, **options)

    def asynchronous(decider: Decider[Any], x: Any, **options: Any) -> Decision[Any]:
        return asyncio.run(decider.adecide(x, **options))

    return sync if request.param == "sync" else asynchronous


@pytest.fixture(scope="session")
def llama() -> Iterator[str]:
    """The base URL of a real OpenAI-compatible server; its model is tiny, so assert on form and never on content."""
    command = [sys.executable, str(Path(__file__).with_name("llama.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            said = server.stdout.readline().strip()
            if not said.startswith("http"):
                pytest.fail(f"no model server: {said or 'it died while starting, see stderr'}", pytrace=False)
            yield said
        finally:
            server.kill()
