"""What goes over the wire to a decision endpoint and comes back: the questions and answers of each dialect."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import to_json

from decider.decision import Input, Usage

_ROUNDING = 0.005
"""By how much a probability of two decimals may be off; the sum of many by as much for each, up to `_MOST_OFF`."""
_MOST_OFF = 0.1
_TINY = 1e-6
_LONGEST = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question: whether something is true, which option it is, or how far up a scale.

    `options` are the answers in order, each with its description; a truth has none. `about` is the field it is for.
    """

    kind: Literal["truth", "choice", "score"]
    instructions: str
    options: tuple[tuple[str, str], ...] = ()
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One answer: the probability of each option (of a truth: false, true), which is best, or a refusal.

    `shares` are None where the endpoint gave none that add up; then `best` is what it chose.
    """

    shares: tuple[float, ...] | None = None
    best: int | None = None
    refused: bool = False


def _if_readable(said: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """Answers whose tokens are told in another way are answers all the same, with tokens unknown."""
    try:
        return read(said)
    except ValidationError:
        return None


_Count = Annotated[float, Field(ge=0, le=1e12)]


class _Details(BaseModel):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None


class _Tokens(BaseModel):
    input_tokens: _Count
    output_tokens: _Count | None = None
    input_tokens_details: _Details | None = None


class _Share(BaseModel):
    value: Any
    probability: float


_LISTED = TypeAdapter(list[_Share])
_KEYED = TypeAdapter(dict[str, float])


class _Answer(BaseModel):
    """An answer of either dialect."""

    type: str | None = None
    probability: float | None = None
    noul: float | None = None
    choice: Any = None
    score: float | None = None
    probabilities: Any = None


class Answers(BaseModel):
    """All answers: a list in the order of the questions, or by the id of each."""

    model_config = ConfigDict(hide_input_in_errors=True)

    answers: list[Any] | dict[str, Any]
    model: str | None = None
    usage: Annotated[_Tokens | None, WrapValidator(_if_readable)] = None

    @property
    def used(self) -> Usage | None:
        """The tokens that were used, or None where the endpoint did not tell."""
        said = self.usage
        if said is None:
            return None
        details, total = said.input_tokens_details or _Details(), int(said.input_tokens)
        cached = min(int(details.cached_tokens or 0), total)
        return Usage(
            input_tokens=total,
            output_tokens=int(said.output_tokens or 0),
            cached_tokens=cached,
            written_tokens=min(int(details.cache_write_tokens or 0), total - cached),
        )

    def said(self, questions: Sequence[Question]) -> list[Said] | None:
        """Return what was said to each question, or None where that cannot be told."""
        found = self._found(questions)
        said = [_read(one, question) for one, question in zip(found, questions, strict=False)]
        known = [one for one in said if one is not None]
        return known if len(known) == len(questions) else None

    def problem(self, questions: Sequence[Question]) -> str:
        """Return what keeps the first answer that cannot be read from being one."""
        found = self._found(questions)
        if not found:
            return f"{len(self.answers)} answers came to {len(questions)} questions."
        pairs = zip(found, questions, strict=True)
        given, question = next((given, one) for given, one in pairs if _read(given, one) is None)
        if given is None:
            return f"No answer came to {question.about!r}."
        shown = to_json(given, inf_nan_mode="constants").decode()
        shown = shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
        return f"The answer to {question.about!r} {_UNFIT[question.kind]}: {shown}."

    def _found(self, questions: Sequence[Question]) -> list[Any]:
        """The answer to each question, None where there is none; nothing at all where they do not correspond."""
        if isinstance(self.answers, list):
            return self.answers if len(self.answers) == len(questions) else []
        return [self.answers.get(_id(n)) for n in range(len(questions))]


_UNFIT = {
    "truth": "holds no probability between 0 and 1",
    "choice": "neither chooses one of the options nor gives them probabilities that add up to 1",
    "score": "holds no level of the scale, nor probabilities of its levels that add up to 1",
}
"""What is wrong with an answer that cannot be read, by the kind of its question."""


def decisions_body(model: str, value: Input, questions: Sequence[Question]) -> dict[str, Any]:
    """Return the body that OpenAI's dialect takes."""
    text = value if isinstance(value, str) else to_json(value).decode()
    return {"model": model, "input": text, "questions": [_decisions_question(one) for one in questions]}


def systemone_body(model: str, value: Input, questions: Sequence[Question]) -> dict[str, Any]:
    """Return the body that TypeSafe's dialect takes; the ids tell a model nothing."""
    asked = {_id(n): _systemone_question(one) for n, one in enumerate(questions)}
    return {"model": model, "state": value, "questions": asked}


def _id(n: int) -> str:
    return f"q{n}"


def _decisions_question(one: Question) -> dict[str, Any]:
    asked: dict[str, Any] = {"instructions": one.instructions}
    match one.kind:
        case "truth":
            return {"type": "predicate", **asked}
        case "choice":
            return {"type": "choice", **asked, "choices": [_described("value", *option) for option in one.options]}
    return {"type": "score", **asked, "levels": [_described("label", *option) for option in one.options]}


def _described(name: str, value: str, description: str) -> dict[str, str]:
    return {name: value, "description": description} if description else {name: value}


def _systemone_question(one: Question) -> dict[str, Any]:
    asked: dict[str, Any] = {"instructions": one.instructions}
    match one.kind:
        case "truth":
            return {"type": "noul", **asked}
        case "choice":
            return {"type": "choice", **asked, "criteria": {value: text or None for value, text in one.options}}
    levels = [f"{value}: {text}" if text else value for value, text in one.options]
    return {"type": "score", **asked, "criteria": levels}


def _read(given: Any, question: Question) -> Said | None:
    """What one answer says; None where that cannot be told."""
    try:
        answer = _Answer.model_validate(given)
    except ValidationError:
        return None
    if answer.type == "refusal":
        return Said(refused=True)
    match question.kind:
        case "truth":
            true = answer.probability if answer.noul is None else answer.noul
            shares = None if true is None else _normal([1.0 - true, true])
            return None if shares is None else Said(shares=shares)
        case "choice":
            return _choice(answer, [value for value, _ in question.options])
    return _score(answer, len(question.options))


def _choice(answer: _Answer, values: Sequence[str]) -> Said | None:
    names = [_name(value) for value in values]
    shares = _normal(_shares(answer.probabilities, names))
    chosen = None if answer.choice is None else _name(answer.choice)
    best = names.index(chosen) if chosen in names else None
    return None if shares is None and best is None else Said(shares=shares, best=best)


def _score(answer: _Answer, levels: int) -> Said | None:
    shares = _normal(_shares(answer.probabilities, [str(level) for level in range(levels)]))
    best = None if answer.score is None or not isfinite(answer.score) else round(answer.score)
    if best is not None and not 0 <= best < levels:
        best = None
    return None if shares is None and best is None else Said(shares=shares, best=best)


def _shares(given: Any, names: Sequence[str]) -> list[float]:
    """The probabilities of the named options in order; none where they are of other options, or of one twice."""
    try:
        if isinstance(given, list):
            told = [(_name(one.value), one.probability) for one in _LISTED.validate_python(given)]
        else:
            told = [(_name(name), share) for name, share in _KEYED.validate_python(given).items()]
    except ValidationError:
        return []
    by_name = dict(told)
    once_each = by_name.keys() == set(names) and len(told) == len(names)
    return [by_name[name] for name in names] if once_each else []


def _name(value: Any) -> str:
    """An option as it is compared: a server may write it in another form of Unicode, or in small letters."""
    text = value if isinstance(value, str) else to_json(value, inf_nan_mode="constants").decode()
    return unicodedata.normalize("NFC", text).casefold()


def _normal(shares: Sequence[float]) -> tuple[float, ...] | None:
    """Shares that sum to 1, where they did so but for rounding."""
    total = sum(shares)
    fit = all(isfinite(share) and -_ROUNDING - _TINY <= share <= 1.0 + _ROUNDING + _TINY for share in shares)
    if not shares or not fit or abs(total - 1.0) > min(_ROUNDING * len(shares), _MOST_OFF) + _TINY:
        return None
    clipped = [min(max(share, 0.0), 1.0) for share in shares]
    return tuple(share / sum(clipped) for share in clipped)
