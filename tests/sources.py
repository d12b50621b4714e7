"""The task that rows of many sources are imported for, in tests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml

from decider.task import Task

FIELDS: dict[str, Any] = {
    "routing.team": {"options": ["billing", "login"]},
    "vip": {"type": "bool", "optional": True},
}
INPUT: dict[str, Any] = {"body": "text", "lang": {"type": "text", "optional": True}}


def task(*, fields: dict[str, Any] = FIELDS, input: Any = INPUT, folder: Path | None = None, **keys: Any) -> Task[Any]:
    """A task as a spec file declares it; `input=None` is one text."""
    said = {"name": "triage", "fields": fields, **({} if input is None else {"input": input}), **keys}
    with tempfile.TemporaryDirectory() as temporary:
        path = (folder or Path(temporary)) / "spec.yaml"
        path.write_text(yaml.safe_dump(said, sort_keys=False))
        return Task.load(path)
