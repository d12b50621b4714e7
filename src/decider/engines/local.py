"""The local engine: a trained classifier of the team's own, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic_core import to_json

from decider.decision import Reply, Request, Usage
from decider.engines.base import Engine
from decider.errors import InvalidDecision
from decider.schema import nest
from decider.task import Task

try:
    from decider.model import folder
    from decider.model.joint import MOST_TRIES, judge_of, most_probable
except ModuleNotFoundError as error:
    if error.name != "numpy":
        raise
    raise ImportError("answering from a trained model needs numpy: pip install 'decider-sdk[local]'") from error


class LocalEngine(Engine):
    """Answers the closed fields of a task from a model folder, the whole record jointly valid."""

    name: ClassVar[str] = "local"
    local: ClassVar[bool] = True

    def __init__(self, *, task: Task[Any], path: Path) -> None:
        self._task = task
        self._path = path
        self._model = folder.load(path, task=task)

    @property
    def model(self) -> str:
        """The name of the model's folder."""
        return self._path.name

    @property
    def identity(self) -> str:
        """The sha256 of the manifest, which holds that of every weight."""
        return f"{self.name}:{self._model.sha256}"

    def cost(self, usage: Usage) -> float | None:
        """Nothing: it is this machine that answers."""
        del usage
        return 0.0

    def predict(self, request: Request) -> Reply:
        """Answer with the most probable values that the schema accepts together; raises `InvalidDecision` for none.

        Where only some of the task's fields are asked, the schema cannot judge yet, and each has its own best value.
        """
        model, fields = self._model, request.fields
        distributions = model.heads.distributions(model.features.vector(request.input), fields)
        values = most_probable(fields, distributions, judge_of(self._task, fields))
        if values is None:
            tried = f"of the most probable records of the model {self.model!r}, {MOST_TRIES} at most were tried"
            raise InvalidDecision(f"the schema accepts no record: {tried}")
        text = to_json(nest(values)).decode()
        return Reply(text=text, probabilities=distributions, source="local", calibrated=True)
