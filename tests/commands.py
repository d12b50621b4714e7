"""What tests of the command line share."""

from __future__ import annotations

import json
from typing import Any


class Ran:
    """How a command ended, and what it said."""

    def __init__(self, code: Any, out: str, err: str) -> None:
        self.code, self.out = code, out
        self.err = " ".join(err.replace("│", " ").split())

    def json(self) -> Any:
        return json.loads(self.out)
