"""The probe of a decision endpoint: its dialect, each kind of question, and the task's own fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from httpx2 import Response
from pydantic import ValidationError

from decider.decision import Reply
from decider.engines.decisions import DecisionsEngine
from decider.engines.dialects import Answers, Question, Said, decisions_body, systemone_body
from decider.engines.limits import SYSTEMONE, Dialect, base_of, dialects_of
from decider.engines.parameters import parameters_of
from decider.engines.probe.diagnosis import Finding, Status
from decider.engines.probe.line import Line, refused
from decider.engines.probe.trial import misfit, trial_of, variant
from decider.errors import DeciderError
from decider.schema import Field
from decider.task import Task

_INPUT = "The tomato is ripe."
_NO_SUCH_PATH = (404, 405, 501)
_QUESTIONS: Mapping[str, Question] = {
    "predicate": Question(kind="truth", instructions="Is this about a tomato?"),
    "choice": Question(
        kind="choice", instructions="Which colour has it?", options=(("red", ""), ("green", ""), ("blue", ""))
    ),
    "score": Question(kind="score", instructions="How ripe is it?", options=(("1", ""), ("2", ""), ("3", ""))),
}
"""One question of each kind, by the code of its finding."""


class DecisionsProbe:
    """Asks a decision endpoint one question of each kind, and then what the task asks."""

    def __init__(self, task: Task[Any], *, fields: tuple[Field, ...], line: Line) -> None:
        self._task = task
        self._params = parameters_of(task, "prompt", DecisionsEngine.name)
        self._fields = fields
        self._line = line
        self._asked = task.spec.prompt
        self._dialect = dialects_of(self._asked)[0]
        self._tried: list[Dialect] = []
        self._said: dict[str, Answers | DeciderError] = {}

    def reach(self) -> str | None:
        """Return the name of the model that answers, if told, and keep the dialect; raises what the endpoint says."""
        missed: DeciderError | None = None
        for dialect in dialects_of(self._asked):
            self._dialect = dialect
            said = self._said["predicate"] = self._question("predicate")
            if isinstance(said, Answers):
                return said.model
            status = getattr(said.__cause__, "status_code", None)
            if status not in _NO_SUCH_PATH:
                if refused(said):
                    return None  # there is such a path, and other questions may do
                raise said
            self._tried.append(dialect)
            missed = missed or said
        assert missed is not None  # noqa: S101  # there is at least one dialect
        raise missed

    def findings(self, context: int | None) -> Iterator[Finding]:
        """Yield what the endpoint does; how much it takes in, by its list, does not matter here."""
        del context
        yield self._dialect_finding()
        own = self._own()
        problem = self._line.words(own) if isinstance(own, DeciderError) else misfit(self._task, own, self._fields)
        for code in ("choice", "score"):
            self._said[code] = self._question(code)
        for code, said in self._said.items():
            yield self._kind(code, said, needed=problem is not None)
        yield self._probabilities()
        refused_here = isinstance(own, Reply) and own.outcome == "refused"
        status: Status = "ok" if problem is None else "unknown" if refused_here else "fails"
        yield Finding(code="fields", status=status, found=problem or "a valid answer", spec="engine: decisions")

    def _question(self, code: str) -> Answers | DeciderError:
        """What comes of one question."""
        body_of = systemone_body if self._dialect is SYSTEMONE else decisions_body
        body = {**body_of(self._asked.model or "", _INPUT, [_QUESTIONS[code]]), **self._params}
        path, endpoint = self._dialect.path, self._line.endpoint

        def call() -> Answers:
            response: Response = endpoint.post(path, body)
            try:
                return Answers.model_validate_json(response.content)
            except ValidationError as error:
                raise endpoint.unreadable(response, "answers to these questions") from error

        said = self._line.ask(f"a {code} of {path}", call)
        if isinstance(said, Answers):
            self._line.count(said.used)
        return said

    def _own(self) -> Reply | DeciderError:
        """What the engine gets for the task, asked where the dialect has been found."""
        url = f"{base_of(self._asked).rstrip('/')}{self._dialect.path}"
        task = variant(self._task, "prompt", base_url=url)
        engine = DecisionsEngine(task=task, client=self._line.endpoint.client)
        return self._line.reply("for the task's own fields", engine, trial_of(task, self._fields))

    def _dialect_finding(self) -> Finding:
        missing = "".join(f", and there is no {one.path}" for one in self._tried)
        url = f"{base_of(self._asked).rstrip('/')}{self._dialect.path}"
        offer = f"base_url: {url}" if self._tried else None
        spec = f"base_url: {self._asked.url}"
        return Finding(code="dialect", status="ok", found=f"{self._dialect.path}{missing}", spec=spec, change=offer)

    def _kind(self, code: str, said: Answers | DeciderError, *, needed: bool) -> Finding:
        """Whether one kind of question is answered; that it is not matters where the task is not, either."""
        problem = self._line.words(said) if isinstance(said, DeciderError) else None
        if problem is None and self._read(code) is None:
            problem = "no answer to the question"
        found = "a valid answer" if problem is None else problem
        return Finding(code=code, status="fails" if problem is not None and needed else "ok", found=found)

    def _read(self, code: str) -> Said | None:
        said = self._said[code]
        read = said.said([_QUESTIONS[code]]) if isinstance(said, Answers) else None
        return None if read is None else read[0]

    def _probabilities(self) -> Finding:
        read = {code: self._read(code) for code in self._said}
        answered = {code: one for code, one in read.items() if one is not None and not one.refused}
        without = [code for code, one in answered.items() if one.shares is None]
        code = "probabilities"
        if not answered:
            return Finding(code=code, status="unknown", found="no answer to tell by")
        if without:
            return Finding(code=code, status="fails", found=f"none that add up to 1: {', '.join(without)}")
        return Finding(code=code, status="ok", found="they add up to 1")
