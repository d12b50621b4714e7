"""Structured decisions: declared once, answered by a prompt or by a model of one's own."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decider.assess.evaluate import evaluate
    from decider.data.dataset import Dataset
    from decider.decider import Decider, decide
    from decider.decision import Decision, Example
    from decider.errors import DeciderError
    from decider.learn.train import train
    from decider.task import Task

__version__ = "0.1.0"

__all__ = ["Dataset", "Decider", "DeciderError", "Decision", "Example", "Task", "decide", "evaluate", "train"]

_HOMES = {
    "Dataset": "decider.data.dataset",
    "Decider": "decider.decider",
    "DeciderError": "decider.errors",
    "Decision": "decider.decision",
    "Example": "decider.decision",
    "Task": "decider.task",
    "decide": "decider.decider",
    "evaluate": "decider.assess.evaluate",
    "train": "decider.learn.train",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that importing decider imports nothing else."""
    if name not in _HOMES:
        raise AttributeError(f"module 'decider' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Every public name, loaded or not."""
    return sorted({*globals(), *__all__})
