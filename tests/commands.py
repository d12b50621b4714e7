"""What tests of the command line share."""

from __future__ import annotations

import json
from typing import Any

import pytest

from decider.cli import main


class Ran:
    """How a command ended, and what it said."""

    def __init__(self, code: Any, out: str, err: str) -> None:
        self.code, self.out = code, out
        self.err = " ".join(err.replace("│", " ").split())

    def json(self) -> Any:
        return json.loads(self.out)


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ran:
    """Run a command line in this process."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main([str(one) for one in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return Ran(stopped.value.code, captured.out, captured.err)
