"""What many tests share: a decision in both colours, a real model server, and decision endpoints of others."""

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


@pytest.fixture(scope="session")
def jevcompat() -> Iterator[Callable[..., str]]:
    """Gives the base URL of a stand-in for TypeSafe with the named faults: `jevcompat("no-usage")`."""
    from decision_peers import mocks

    with mocks() as url_of:
        yield url_of


@pytest.fixture(scope="session")
def sparrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a decision endpoint with a real model, too small to be right: assert on form."""
    from decision_peers import command, process

    log = tmp_path_factory.mktemp("sparrow") / "log"
    with process([command("sparrow-decider"), "serve"], log=log) as url:
        yield f"{url}/v1"
