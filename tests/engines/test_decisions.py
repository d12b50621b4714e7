"""The decisions engine against endpoints that say exactly what the test wants, and against others' real ones."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from enum import Enum, IntEnum
from typing import Any, Literal

import pytest
from jevcompat.mock import FAULTS
from openai import AsyncOpenAI, DefaultAioHttpClient, OpenAI
from pydantic import BaseModel, Field, create_model, field_validator, model_validator

from decider.decider import Decider
from decider.decision import Decision, Request, Usage
from decider.engines.decisions import DecisionsEngine
from decider.errors import DeciderError, EngineRejected, EngineUnavailable, InputError, InvalidDecision, SpecError
from decider.plan import obstacles
from decider.task import Task
from decider.testing import check_engine
from decision_endpoint import DIALECTS, REFUSAL, TOKENS, ByPath, Name, answered, body_of, choice, predicate, score
from endpoint import Answer, Endpoint, Route, error, openai_host, serve
from probe_endpoint import Running, Said, running

Decide = Callable[..., Decision[Any]]

dialects = pytest.mark.parametrize("dialect", DIALECTS)


def decisions_at(endpoint: Endpoint | Running, dialect: Name | None, output: type[BaseModel], **keys: Any) -> Task[Any]:
    """A task that asks a decision endpoint, whose dialect its URL tells unless there is none."""
    url = endpoint.url if dialect is None else f"{endpoint.url}/{dialect}"
    settings = {"engine": "decisions", "model": "jev-latest", "base_url": url, **keys.pop("prompt", {})}
    return Task(output, name="t", prompt=settings, **keys)


def decided(
    decide: Decide, endpoint: Endpoint, dialect: Name, output: type[BaseModel], x: Any = "x", **keys: Any
) -> Decision[Any]:
    with Decider(decisions_at(endpoint, dialect, output, **keys)) as decider:
        return decide(decider, x)


def asked(endpoint: Endpoint) -> list[Any]:
    """The questions of the first request, in order, in whichever dialect."""
    questions = endpoint.bodies[0]["questions"]
    return list(questions.values()) if isinstance(questions, dict) else questions


# What is sent


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    HIGH = 3
    LOW = 1
    MID = 2


class Place(BaseModel):
    room: Literal["kitchen", "hall"] = Field(description="where it is")


class Every(BaseModel):
    team: Literal["billing", "Café"] = Field(
        description="who helps", json_schema_extra={"options": {"billing": "money"}}, alias="Team"
    )
    urgent: bool
    paid: bool = Field(json_schema_extra={"options": {"True": "an invoice is settled"}})
    stars: int = Field(ge=1, le=3)
    level: Level
    longer: int = Field(ge=0, le=10)
    code: Literal[1, 2]
    odd: Literal[True, "yes", "no"]
    colour: Colour | None
    sure: bool | None = Field(json_schema_extra={"options": {"False": "not at all"}})
    grade: int | None = Field(ge=1, le=2)
    none: Literal["None of these", "x"] | None
    tags: list[Literal["refund", "outage"]] = Field(
        description="what it is about", json_schema_extra={"options": {"refund": "money back"}}
    )
    place: Place


def choices(*names: str, **described: str) -> dict[Name, Any]:
    """The options of a choice in both dialects."""
    return {
        "decisions": [
            {"value": name, **({"description": described[name]} if name in described else {})} for name in names
        ],
        "systemone": {name: described.get(name) for name in names},
    }


LEAD = "Decide about it.\n\n"
LEVELS: dict[Name, Any] = {"decisions": [{"label": "1"}, {"label": "2"}, {"label": "3"}], "systemone": ["1", "2", "3"]}
SENT: list[tuple[str, str, Any]] = [
    ("choice", "team: who helps", choices("billing", "Café", billing="money")),
    ("truth", "urgent", None),
    ("truth", "paid\n  - false\n  - true: an invoice is settled", None),
    ("score", "stars", LEVELS),
    ("score", "level", LEVELS),
    ("choice", "longer", choices(*(str(n) for n in range(11)))),
    ("choice", "code", choices("1", "2")),
    ("choice", "odd", choices("true", "yes", "no")),
    ("choice", "colour", choices("red", "blue", "none of these")),
    ("choice", "sure\n  - false: not at all\n  - true", choices("no", "yes", "none of these", no="not at all")),
    ("choice", "grade", choices("1", "2", "none of these")),
    ("choice", "none", choices("None of these", "x", "(none of these)")),
    ("truth", 'tags: what it is about\nDoes "refund" (money back) apply?', None),
    ("truth", 'tags: what it is about\nDoes "outage" apply?', None),
    ("choice", "place.room: where it is", choices("kitchen", "hall")),
]
"""Kind, words and options of each question."""
WORDS: dict[Name, dict[str, tuple[str, str]]] = {
    "decisions": {"truth": ("predicate", ""), "choice": ("choice", "choices"), "score": ("score", "levels")},
    "systemone": {"truth": ("noul", ""), "choice": ("choice", "criteria"), "score": ("score", "criteria")},
}


def sent(dialect: Name, kind: str, words: str, options: Any) -> dict[str, Any]:
    name, key = WORDS[dialect][kind]
    return {"type": name, "instructions": LEAD + words, **({key: options[dialect]} if key else {})}


def said(dialect: Name) -> list[dict[str, Any]]:
    """An answer to each question."""
    return [
        choice(dialect, {"billing": 0.25, "Cafe\u0301": 0.75}),
        predicate(dialect, 0.5),
        predicate(dialect, 0.4),
        score(dialect, [0.25, 0.25, 0.5]),
        score(dialect, [0.5, 0.25, 0.25]),
        choice(dialect, {str(n): float(n == 10) for n in range(11)}),
        choice(dialect, {"1": 0.25, "2": 0.75}),
        choice(dialect, {"yes": 0.25, "true": 0.75, "no": 0.0}),
        choice(dialect, {"red": 0.25, "blue": 0.25, "none of these": 0.5}),
        choice(dialect, {"no": 0.75, "yes": 0.25, "none of these": 0.0}),
        choice(dialect, {"1": 0.25, "2": 0.75, "none of these": 0.0}),
        choice(dialect, {"None of these": 0.75, "x": 0.25, "(none of these)": 0.0}),
        predicate(dialect, 0.25),
        predicate(dialect, 0.75),
        choice(dialect, {"kitchen": 0.0, "hall": 1.0}),
    ]


DECIDED = {
    "team": "Café", "urgent": True, "paid": False, "stars": 3, "level": 1, "longer": 10, "code": 2, "odd": True,
    "colour": None, "sure": False, "grade": 2, "none": "None of these", "tags": ["outage"], "place": {"room": "hall"},
}  # fmt: skip


@dialects
def test_every_kind_of_field_is_asked_and_read(dialect: Name, decide: Decide) -> None:
    with serve(answered(dialect, *said(dialect))) as endpoint:
        decision = decided(decide, endpoint, dialect, Every, "a text", instructions="Decide about it.")
    ((path, _, body),) = endpoint.requests
    assert path == f"/v1/{dialect}"
    assert asked(endpoint) == [sent(dialect, *one) for one in SENT]
    assert set(body) == {"model", "questions", "input" if dialect == "decisions" else "state"}
    assert body["model"] == "jev-latest"
    assert decision.row()["output"] == DECIDED
    assert decision.output.level is Level.LOW
    assert decision.output.odd is True
    assert (decision.engine, decision.model, decision.served_model) == ("decisions", "jev-latest", "served-2")
    assert decision.usage == Usage(**TOKENS)
    assert decision.attempts == 1
    fields = decision.fields
    assert {one.source for one in fields.values()} == {"decisions"}
    assert not any(one.calibrated for one in fields.values())
    assert fields["urgent"].probabilities == {False: 0.5, True: 0.5}
    assert fields["level"].probabilities == {1: 0.5, 2: 0.25, 3: 0.25}
    assert fields["sure"].probabilities == {False: 0.75, True: 0.25, None: 0.0}
    assert fields["tags"].probabilities == {"refund": 0.25, "outage": 0.75}
    assert fields["tags"].probability == pytest.approx(0.75 * 0.75)
    assert fields["place.room"].probability == 1.0


@dialects
def test_the_input_is_sent_as_data_and_cleaned(dialect: Name, decide: Decide) -> None:
    class Ticket(BaseModel):
        subject: str
        tier: Literal["free", "pro"] | None

    x = {"subject": "Ru\u0308ckgabe\u202e <>", "tier": None}
    one = answered(dialect, choice(dialect, {"billing": 1.0, "login": 0.0}), predicate(dialect, 1.0))
    with serve(one) as endpoint:
        decided(decide, endpoint, dialect, Route, x, input=Ticket)
        body = endpoint.bodies[0]
    if dialect == "decisions":
        assert json.loads(body["input"]) == {"subject": "Rückgabe <>", "tier": None}
    else:
        assert body["state"] == {"subject": "Rückgabe <>", "tier": None}


def answer_to_route(dialect: Name, **more: Any) -> Answer:
    billing = choice(dialect, {"billing": 0.8, "login": 0.2})
    return answered(dialect, billing, predicate(dialect, 0.9), **more)


def test_parameters_are_passed_on(decide: Decide) -> None:
    params = {"prompt_cache_key": "k", "extra_body": {"provider": {"order": ["a"]}}}
    with serve(answer_to_route("decisions")) as endpoint:
        decided(decide, endpoint, "decisions", Route, prompt={"params": params})
        body = endpoint.bodies[0]
    assert (body["prompt_cache_key"], body["provider"]) == ("k", {"order": ["a"]})
    assert "extra_body" not in body


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"model": "m"}, "prompt.params.model: model is no parameter; name it beside params"),
        ({"extra_body": {"questions": {}}}, "prompt.params.extra_body.questions: questions is no parameter"),
        ({"state": "s"}, "prompt.params.state: state is no parameter; the input is what is decided"),
        ({"extra_body": []}, "prompt.params.extra_body: expected a mapping of parameters"),
    ],
)
def test_what_is_no_parameter_is_refused(params: dict[str, Any], says: str) -> None:
    with serve(Answer()) as endpoint, pytest.raises(SpecError) as caught:
        DecisionsEngine(task=decisions_at(endpoint, None, Route, prompt={"params": params}))
    assert says in str(caught.value)


def test_the_identity_holds_endpoint_model_and_parameters() -> None:
    prompt = {"engine": "decisions", "model": "m", "base_url": "http://127.0.0.1:9/v1/systemone", "params": {"a": 1}}
    engine = DecisionsEngine(task=Task(Route, name="t", prompt=prompt))
    assert engine.identity == '["decisions","http://127.0.0.1:9/v1","m",{"a":1}]'


# What it costs, and what is too long


def test_what_was_cached_costs_less(decide: Decide) -> None:
    usage = {"input_tokens": 1_000_000, "output_tokens": 9, "input_tokens_details": {"cached_tokens": 500_000}}
    price = {"input": 0.1, "output": 0.0, "cached": 0.01}
    with serve(answer_to_route("decisions", usage=usage)) as endpoint:
        decision = decided(decide, endpoint, "decisions", Route, prompt={"price": price})
    assert decision.usage.cached_tokens == 500_000
    assert decision.cost_usd == pytest.approx(0.055)


@pytest.mark.parametrize("usage", [None, {"input_tokens": "many"}])
def test_where_tokens_are_unknown_so_is_the_cost(usage: Any, decide: Decide) -> None:
    with serve(answer_to_route("systemone", usage=usage)) as endpoint:
        decision = decided(decide, endpoint, "systemone", Route, prompt={"price": {"input": 1, "output": 1}})
    assert (decision.usage, decision.cost_usd) == (Usage(), None)


def test_a_price_that_nobody_knows_is_none(decide: Decide) -> None:
    with serve(answer_to_route("systemone")) as endpoint:
        assert decided(decide, endpoint, "systemone", Route).cost_usd is None


def test_the_price_and_the_context_of_a_known_model_are_known() -> None:
    prompt = {"engine": "decisions", "model": "jev-latest", "base_url": "https://api.typesafe.ai/v1/systemone"}
    task = Task(Route, name="t", prompt={**prompt, "api_key_env": "NO_SUCH_KEY"})
    engine = DecisionsEngine(task=task)
    assert engine.cost(Usage(input_tokens=1_000_000, output_tokens=50)) == pytest.approx(0.042)
    with pytest.raises(InputError, match="would need about 320.. tokens, and 'jev-latest' takes 32000 in; shorten it"):
        engine.predict(Request(input="word" * 32_000, fields=task.fields))


@dialects
def test_an_input_that_is_too_long_is_refused_before_the_call(dialect: Name, decide: Decide) -> None:
    with serve(answer_to_route(dialect)) as endpoint:
        with pytest.raises(
            InputError, match=r"takes 100 in; shorten it, or name a model that takes more \(prompt.context"
        ):
            decided(decide, endpoint, dialect, Route, "ä" * 200, prompt={"context": 100})
        assert endpoint.requests == []
        assert decided(decide, endpoint, dialect, Route, "ä" * 150, prompt={"context": 100}).get()


def test_only_the_longest_question_counts_since_each_stands_alone(decide: Decide) -> None:
    class Tagged(BaseModel):
        tags: list[Literal["a", "b", "c", "d"]]

    class Described(BaseModel):
        team: Literal["a", "b"] = Field(json_schema_extra={"options": {"a": "long " * 60}})

    with serve(answered("systemone", *[predicate("systemone", 0.1)] * 4)) as endpoint:
        decided(decide, endpoint, "systemone", Tagged, instructions="word" * 50, prompt={"context": 90})
        with pytest.raises(InputError):
            decided(decide, endpoint, "systemone", Described, prompt={"context": 60})


def with_options(count: int) -> Task[Any]:
    names: Any = Literal[tuple(f"o{n}" for n in range(count))]
    prompt = {"engine": "decisions", "model": "m", "base_url": "http://127.0.0.1:9/v1/decisions"}
    return Task(create_model("Many", label=(names, ...), bit=(bool, ...)), name="many", prompt=prompt)


def test_limits_are_named_with_their_place() -> None:
    assert obstacles(with_options(255), "prompt") == []
    (problem,) = obstacles(with_options(256), "prompt")
    assert (problem.message, problem.field) == ("has 256 answers; a decision endpoint takes 255", "label")
    tags: Any = list[Literal[tuple(f"t{n}" for n in range(400))]]  # type: ignore[misc]  # made at run time
    prompt = {"engine": "decisions", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    wide = create_model("Wide", tags=(tags, ...), bit=(bool, ...))
    (problem,) = obstacles(Task(wide, name="wide", prompt={**prompt, "model": "gpt-6-luna"}), "prompt")
    assert problem.message == "the task has 401 questions (each tag is one); a decision endpoint takes 400"
    assert obstacles(Task(wide, name="wide", prompt=prompt), "prompt") == []


# What comes back


@dialects
def test_refused_questions_leave_what_was_answered(dialect: Name, decide: Decide) -> None:
    class Three(Route):
        tags: list[Literal["a", "b"]]

    answers = [choice(dialect, {"billing": 0.8, "login": 0.2}), REFUSAL, predicate(dialect, 0.9), REFUSAL]
    with serve(answered(dialect, *answers)) as endpoint:
        decision = decided(decide, endpoint, dialect, Three)
    assert decision.status == "refused"
    assert decision.get() is None
    assert not decision.accepted
    assert list(decision.fields) == ["team"]
    assert (decision.fields["team"].value, decision.fields["team"].probability) == ("billing", 0.8)
    assert (len(endpoint.requests), decision.attempts, decision.usage) == (1, 1, Usage(**TOKENS))


def test_everything_may_be_refused(decide: Decide) -> None:
    with serve(answered("decisions", REFUSAL, REFUSAL)) as endpoint:
        decision = decided(decide, endpoint, "decisions", Route)
    assert (decision.status, decision.fields) == ("refused", {})


@dialects
def test_what_was_answered_beside_a_refusal_fits_the_schema_or_is_left_out(dialect: Name, decide: Decide) -> None:
    answers = [choice(dialect, {"billing": 0.9, "login": 0.05, "sales": 0.05}, "billing"), REFUSAL]
    with serve(answered(dialect, *answers)) as endpoint:
        decision = decided(decide, endpoint, dialect, Choosy)
    assert (decision.status, decision.fields["team"].value) == ("refused", "login")
    only = [{"type": "choice", "choice": "billing"}, REFUSAL]
    with serve(answered(dialect, *only)) as endpoint:
        decision = decided(decide, endpoint, dialect, Choosy)
    assert (decision.status, decision.fields, decision.usage) == ("refused", {}, Usage(**TOKENS))


@dialects
def test_without_probabilities_that_add_up_the_choice_is_taken_and_has_none(dialect: Name, decide: Decide) -> None:
    class Rated(Route):
        stars: int = Field(ge=1, le=4)

    answers = [
        choice(dialect, {"billing": 0.9, "login": 0.8}, "login"),
        predicate(dialect, 0.1),
        score(dialect, [0.1, 0.1, 0.2, 0.1], 2.4),
    ]
    with serve(answered(dialect, *answers)) as endpoint:
        decision = decided(decide, endpoint, dialect, Rated)
    assert decision.row()["output"] == {"team": "login", "urgent": False, "stars": 3}
    assert decision.confidence is None
    assert [one.probability for one in decision.fields.values()] == [None, 0.9, None]
    assert [one.source for one in decision.fields.values()] == [None, "decisions", None]


UNREADABLE = "not answers to these questions"


@pytest.mark.parametrize(
    ("answer", "raises", "says", "calls"),
    [
        (Answer(body="<html>Log in</html>", headers={"content-type": "text/html"}), EngineUnavailable, UNREADABLE, 2),
        (Answer(body='{"error": {"message": "x"}}'), EngineUnavailable, UNREADABLE, 2),
        (Answer(body='{"answers": "none"}'), EngineUnavailable, UNREADABLE, 2),
        (Answer(body='{"answers": ['), EngineUnavailable, UNREADABLE, 2),
        (Answer(body="[" * 5000), EngineUnavailable, UNREADABLE, 2),
        (Answer(body=b"\xff\xfe"), EngineUnavailable, UNREADABLE, 2),
        (error(429, "slow"), EngineUnavailable, "answered 429: slow", 2),
        (Answer(status=529, body='{"detail": {"message": "overloaded"}}'), EngineUnavailable, "529: overloaded", 2),
        (Answer(status=503, body='{"error": "loading"}'), EngineUnavailable, "answered 503: loading", 2),
        (
            Answer(status=422, body='{"detail": [{"loc": ["body", 0], "msg": "too many options", "type": "x"}]}'),
            EngineRejected,
            "refused the request (422): body.0: too many options",
            1,
        ),
        (Answer(status=400, body='{"error": "no such option"}'), EngineRejected, "(400): no such option", 1),
        (Answer(status=413, body='{"detail": {"message": "too long"}}'), EngineRejected, "(413): too long", 1),
        (Answer(status=403, body='{"detail": {"message": "no key"}}'), EngineRejected, "refused the key (403)", 1),
    ],
)
def test_each_failure_has_its_meaning_and_its_words(
    answer: Answer, raises: type[DeciderError], says: str, calls: int, decide: Decide
) -> None:
    with serve(answer) as endpoint, pytest.raises(raises) as caught:
        decided(decide, endpoint, "systemone", Route, retry={"attempts": 2})
    assert says in str(caught.value)
    assert len(endpoint.requests) == calls


@dialects
@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ([], "0 answers came to 2 questions"),
        ([{"choice": "billing"}], "1 answers came to 2 questions"),
        ([{"choice": "billing"}, {"noul": 1.7}], "'urgent' holds no probability between 0 and 1: {\"noul\":1.7}"),
        ([{"choice": "sales"}, {"noul": 0.7}], "'team' neither chooses one of the options"),
        ([{"choice": "billing"}, {"choice": True}], "'urgent' holds no probability"),
        ([{"choice": "billing"}, "yes"], "'urgent' holds no probability"),
    ],
)
def test_answers_that_do_not_fit_the_questions_are_asked_for_once_and_counted(
    dialect: Name, said: list[Any], problem: str, decide: Decide
) -> None:
    price = {"input": 10_000, "output": 0}
    with serve(answered(dialect, *said)) as endpoint:
        with Decider(decisions_at(endpoint, dialect, Route, prompt={"price": price})) as decider:
            (decision,) = decider.decide_many(["x"])
            with pytest.raises(InvalidDecision) as caught:
                decide(decider, "x")
        assert len(endpoint.requests) == 2
    if dialect == "decisions" or len(said) == 2:
        assert problem in str(caught.value)
    else:
        assert "No answer came to" in str(caught.value)
    assert decision.status == "failed"
    assert (decision.usage, decision.cost_usd) == (Usage(**TOKENS), 1.0)


def test_failures_that_pass_are_asked_again(decide: Decide) -> None:
    with serve(error(529, "x", retry_after_ms="1"), answer_to_route("systemone")) as endpoint:
        decision = decided(decide, endpoint, "systemone", Route)
    assert (decision.attempts, decision.status) == (2, "decided")


def test_it_keeps_the_contract_of_an_engine() -> None:
    bad = answered("systemone", {"choice": "sales"}, {"noul": 0.5})
    failed = [error(500, "x")] * 2
    with serve(*[answer_to_route("systemone")] * 2, bad, bad, *failed) as endpoint:
        task = decisions_at(endpoint, "systemone", Route)
        engine = DecisionsEngine(task=task)
        check_engine(engine, *[Request(input="x", fields=task.fields)] * 3)
        engine.close()
        engine.close()


def test_an_open_field_cannot_be_asked_of_the_engine_itself(decide: Decide) -> None:
    with serve(Answer()) as endpoint:
        task = decisions_at(endpoint, "systemone", Mixed)
        decider = Decider(task, engine=DecisionsEngine(task=task))
        with decider, pytest.raises(ValueError, match="cannot be asked for 'note', which has no fixed set of answers"):
            decide(decider, "x")
        assert endpoint.requests == []


# Rules of the schema


class Choosy(BaseModel):
    team: Literal["billing", "login", "sales"]
    urgent: bool

    @field_validator("team")
    @classmethod
    def never_billing(cls, team: str) -> str:
        if team == "billing":
            raise ValueError("billing is closed")
        return team


class Joint(Choosy):
    @model_validator(mode="after")
    def no_login_is_urgent(self) -> Joint:
        if self.team == "login" and self.urgent:
            raise ValueError("a login is never urgent")
        return self


class Never(Joint):
    @model_validator(mode="after")
    def never(self) -> Never:
        raise ValueError("never")


@dialects
@pytest.mark.parametrize(
    ("output", "shares", "urgent", "decided_as"),
    [
        (Choosy, (0.7, 0.2, 0.1), 0.9, ("login", True, 0.2)),
        (Choosy, (0.1, 0.2, 0.7), 0.9, ("sales", True, 0.7)),
        (Joint, (0.7, 0.2, 0.1), 0.9, ("sales", True, 0.1)),  # 0.09, against 0.02 for a login that is not urgent
        (Joint, (0.1, 0.85, 0.05), 0.6, ("login", False, 0.85)),
    ],
)
def test_the_answer_is_the_most_probable_one_that_the_schema_takes(
    dialect: Name,
    output: type[BaseModel],
    shares: tuple[float, ...],
    urgent: float,
    decided_as: tuple[str, bool, float],
    decide: Decide,
) -> None:
    team = choice(dialect, dict(zip(("billing", "login", "sales"), shares, strict=True)))
    with serve(answered(dialect, team, predicate(dialect, urgent))) as endpoint:
        decision = decided(decide, endpoint, dialect, output)
    assert (decision.output.team, decision.output.urgent) == decided_as[:2]
    assert decision.fields["team"].probability == pytest.approx(decided_as[2])
    assert decision.attempts == 1


@dialects
def test_where_the_schema_takes_none_the_decision_is_invalid_and_counted(dialect: Name, decide: Decide) -> None:
    team = choice(dialect, {"billing": 0.5, "login": 0.25, "sales": 0.25})
    with serve(answered(dialect, team, predicate(dialect, 0.5))) as endpoint:
        with Decider(decisions_at(endpoint, dialect, Never)) as decider:
            (decision,) = decider.decide_many(["x"])
            with pytest.raises(InvalidDecision, match="The schema accepts none of its most probable answers"):
                decide(decider, "x")
        assert len(endpoint.requests) == 2
    assert decision.usage == Usage(**TOKENS)


@dialects
def test_no_answer_is_made_up_where_only_one_was_told(dialect: Name, decide: Decide) -> None:
    with (
        serve(answered(dialect, {"type": "choice", "choice": "billing"}, predicate(dialect, 0.9))) as endpoint,
        pytest.raises(InvalidDecision, match="accepts none"),
    ):
        decided(decide, endpoint, dialect, Choosy)


# Which dialect


@pytest.mark.parametrize(
    ("model", "there", "paths"),
    [
        ("jev-latest", "systemone", ["/systemone", "/systemone"]),
        ("jev-latest", "decisions", ["/systemone", "/decisions", "/decisions"]),
        ("gpt-6-luna", "decisions", ["/decisions", "/decisions"]),
        ("gpt-6-luna", "systemone", ["/decisions", "/systemone", "/systemone"]),
    ],
)
@pytest.mark.parametrize("missing", [404, 405])
def test_the_dialect_is_found_by_the_first_call_and_remembered(
    model: str, there: Name, paths: list[str], missing: int, decide: Decide
) -> None:
    server = Elsewhere(missing, {f"/{there}": [good(there)]})
    with running(server) as endpoint, Decider(decisions_at(endpoint, None, Route, prompt={"model": model})) as decider:
        assert [decide(decider, "x").attempts for _ in range(2)] == [1, 1]
    assert [path for path, _ in endpoint.requests] == [f"/v1{path}" for path in paths]


def test_an_engine_that_is_asked_by_itself_finds_the_dialect_too() -> None:
    with running(ByPath({"/decisions": [good("decisions")]})) as endpoint:
        task = decisions_at(endpoint, None, Route)
        engine = DecisionsEngine(task=task)
        reply = engine.predict(Request(input="x", fields=task.fields))
        engine.close()
    assert json.loads(reply.text) == {"team": "billing", "urgent": True}
    assert [path for path, _ in endpoint.requests] == ["/v1/systemone", "/v1/decisions"]


class Elsewhere(ByPath):
    """Says with a status of its own that it has no such path."""

    def __init__(self, status: int, scripts: dict[str, list[Said]]) -> None:
        super().__init__(scripts)
        self.status = status

    def respond(self, path: str, headers: Mapping[str, str], body: Any) -> Said:
        known = path.removeprefix("/v1") in self.scripts
        return super().respond(path, headers, body) if known else (self.status, {"detail": f"no {path}"})


def good(dialect: Name) -> Said:
    """A valid answer about a `Route`."""
    return 200, body_of(dialect, choice(dialect, {"billing": 0.8, "login": 0.2}), predicate(dialect, 0.9))


@pytest.mark.parametrize("status", [400, 401, 422, 500])
def test_only_a_missing_path_leads_to_the_other_dialect(status: int, decide: Decide) -> None:
    server = ByPath({"/systemone": [(status, {"detail": "no"})], "/decisions": [good("decisions")]})
    with running(server) as endpoint:
        task = decisions_at(endpoint, None, Route, retry={"attempts": 1})
        with Decider(task) as decider, pytest.raises(DeciderError):
            decide(decider, "x")
    assert len(endpoint.requests) == 1


def test_a_dialect_is_remembered_only_once_it_answered(decide: Decide) -> None:
    page: Said = (200, "<html>welcome</html>")
    server = Elsewhere(404, {"/systemone": [page]})
    with running(server) as endpoint, Decider(decisions_at(endpoint, None, Route, retry={"attempts": 1})) as decider:
        with pytest.raises(EngineUnavailable, match="systemone answered 200 with text/html"):
            decide(decider, "x")
        server.scripts = {"/decisions": [good("decisions")]}
        assert decide(decider, "x").output.team == "billing"


def test_what_is_said_at_each_path_is_told_where_neither_is_there(decide: Decide) -> None:
    server = Elsewhere(404, {"/systemone": [(404, {"detail": {"message": "no model jev-latest"}})]})
    with running(server) as endpoint:
        with Decider(decisions_at(endpoint, None, Route)) as decider, pytest.raises(EngineRejected) as caught:
            decide(decider, "x")
        with Decider(decisions_at(endpoint, "systemone", Route)) as decider, pytest.raises(EngineRejected) as one:
            decide(decider, "x")
    assert caught.value.reason == one.value.reason == "model"
    assert "/systemone: " in str(caught.value)
    assert "no model jev-latest; /decisions: " in str(caught.value)
    assert str(one.value).startswith("http://")
    assert [path for path, _ in endpoint.requests] == ["/v1/systemone", "/v1/decisions", "/v1/systemone"]


def test_openai_is_asked_in_its_own_dialect_alone(decide: Decide) -> None:
    task = Task(Route, name="t", prompt={"engine": "decisions", "model": "gpt-6-luna"})
    with openai_host(answer_to_route("decisions")) as (client, endpoint):
        with Decider(task, client=client) as decider:
            decision = decide(decider, "x")
        endpoint.script(Answer(status=404, body='{"error": {"message": "no such model"}}'))
        with Decider(task, client=client) as decider, pytest.raises(EngineRejected, match="no such model"):
            decide(decider, "x")
        assert [path for path, _, _ in endpoint.requests] == ["/v1/decisions"]
    assert decision.output == Route(team="billing", urgent=True)
    assert decision.cost_usd is not None
    assert decision.cost_usd > 0


# A ready client


def test_the_dialect_of_a_ready_client_is_told_by_its_own_place(decide: Decide) -> None:
    task = Task(Route, name="t", prompt={"engine": "decisions", "model": "jev-latest"})
    with serve(answer_to_route("systemone")) as endpoint:
        for url in (endpoint.url, f"{endpoint.url}/systemone/"):
            with OpenAI(api_key="own", base_url=url, max_retries=0) as client:
                with Decider(task, client=client) as decider:
                    assert decide(decider, "x").output.team == "billing"
                assert not client.is_closed()
        assert [path for path, _, _ in endpoint.requests] == ["/v1/systemone"] * 2
        assert {headers["authorization"] for _, headers, _ in endpoint.requests} == {"Bearer own"}


def test_the_spec_may_tell_the_dialect_of_a_ready_client(decide: Decide) -> None:
    with (
        serve(answer_to_route("decisions")) as endpoint,
        OpenAI(api_key="own", base_url=endpoint.url, max_retries=0) as client,
        Decider(decisions_at(endpoint, "decisions", Route), client=client) as decider,
    ):
        assert decide(decider, "x").output.team == "billing"
        assert [path for path, _, _ in endpoint.requests] == ["/v1/decisions"]


def test_a_ready_async_client_is_used_and_left_open() -> None:
    async def run(endpoint: Endpoint) -> bool:
        client = AsyncOpenAI(
            api_key="own", base_url=f"{endpoint.url}/systemone", max_retries=0, http_client=DefaultAioHttpClient()
        )
        async with client, Decider(decisions_at(endpoint, None, Route), client=client) as decider:
            await decider.adecide("x")
            return not client.is_closed()

    with serve(answer_to_route("systemone")) as endpoint:
        assert asyncio.run(run(endpoint))
        assert [path for path, _, _ in endpoint.requests] == ["/v1/systemone"]


def test_a_running_loop_may_let_go_early() -> None:
    async def run(endpoint: Endpoint) -> None:
        async with Decider(decisions_at(endpoint, "systemone", Route)) as decider:
            await decider.adecide("x")
            await decider.aclose()
            await decider.adecide("x")

    with serve(answer_to_route("systemone")) as endpoint:
        asyncio.run(run(endpoint))
    assert len(endpoint.requests) == 2


# Mixed records


class Mixed(BaseModel):
    team: Literal["billing", "login"]
    note: str
    urgent: bool


class Agreed(Mixed):
    @model_validator(mode="after")
    def a_login_is_noted(self) -> Agreed:
        if (self.team == "login") != ("login" in self.note):
            raise ValueError("the note is about another team")
        return self


class Closed(Mixed):
    @field_validator("team")
    @classmethod
    def never(cls, team: str) -> str:
        raise ValueError(f"never {team}")


CHAT_TOKENS = {"prompt_tokens": 11, "completion_tokens": 3}


def chat(text: str) -> Said:
    message = {"role": "assistant", "content": text}
    return 200, {
        "model": "served-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": CHAT_TOKENS,
    }


def mixed(dialect: Name, *said: Said) -> AbstractContextManager[Running]:
    """An endpoint that decides as `good` does, and chats."""
    return running(ByPath({f"/{dialect}": [good(dialect)], "/chat/completions": list(said)}))


def mixed_at(endpoint: Running, output: type[BaseModel], **prompt: Any) -> Decider[Any]:
    settings = {"model": "gpt-6-luna", "price": {"input": 1000, "output": 0}, **prompt}
    return Decider(decisions_at(endpoint, None, output, prompt=settings))


def required(body: Any) -> list[str]:
    """The fields that a chat model was asked for."""
    return list(body["response_format"]["json_schema"]["schema"]["required"])


@dialects
def test_open_fields_are_asked_of_the_chat_model_of_the_same_endpoint(dialect: Name, decide: Decide) -> None:
    with mixed(dialect, chat('{"note": "two charges"}')) as endpoint, mixed_at(endpoint, Agreed) as decider:
        decision = decide(decider, "charged twice")
    assert decision.output == Agreed(team="billing", note="two charges", urgent=True)
    assert required(endpoint.bodies[-1]) == ["note"]
    fields = decision.fields
    assert [(fields[name].step, fields[name].source) for name in ("team", "note", "urgent")] == [
        (0, "decisions"),
        (1, None),
        (0, "decisions"),
    ]
    assert (fields["team"].probability, fields["note"].probability) == (0.8, None)
    assert decision.confidence is None
    assert [(step.engine, step.fields, step.attempts) for step in decision.steps] == [
        ("decisions", ("team", "urgent"), 1),
        ("chat", ("note",), 1),
    ]
    assert [step.usage.input_tokens for step in decision.steps] == [100, 11]
    assert [step.cost_usd for step in decision.steps] == [pytest.approx(0.1), pytest.approx(0.011)]
    assert (decision.attempts, decision.usage) == (2, Usage(input_tokens=111, output_tokens=10))
    assert decision.cost_usd == pytest.approx(0.111)
    assert (decision.engine, decision.served_model) == ("chat", "served-1")


@dialects
def test_the_chat_model_is_not_asked_below_the_path_of_the_decisions(dialect: Name, decide: Decide) -> None:
    with (
        mixed(dialect, chat('{"note": "two charges"}')) as endpoint,
        mixed_at(endpoint, Mixed, base_url=f"{endpoint.url}/{dialect}") as decider,
    ):
        assert decide(decider, "x").output.note == "two charges"


@dialects
def test_a_ready_client_is_not_asked_below_the_path_of_the_decisions(dialect: Name, decide: Decide) -> None:
    with mixed(dialect, chat('{"note": "two charges"}')) as endpoint:
        task = mixed_at(endpoint, Mixed).task
        with (
            OpenAI(api_key="own", base_url=f"{endpoint.url}/{dialect}", max_retries=0) as client,
            Decider(task, client=client) as decider,
        ):
            assert decide(decider, "x").output.note == "two charges"


def test_openai_charges_nothing_for_what_it_answers() -> None:
    used, asked = Usage(input_tokens=1000, output_tokens=1000), Usage(input_tokens=1000)
    prompt = {"engine": "decisions", "model": "gpt-6-luna"}
    listed = DecisionsEngine(task=Task(Route, name="r", prompt=prompt))
    assert listed.cost(used) == listed.cost(asked) != 0.0
    said = DecisionsEngine(task=Task(Route, name="r", prompt={**prompt, "price": {"input": 1, "output": 2}}))
    assert said.cost(used) == pytest.approx(0.003)


@dialects
def test_a_rule_that_both_steps_break_asks_the_chat_model_for_the_whole_record(dialect: Name, decide: Decide) -> None:
    whole = '{"team": "login", "note": "login fails", "urgent": false}'
    with mixed(dialect, chat('{"note": "login fails"}'), chat(whole)) as endpoint:
        with mixed_at(endpoint, Agreed) as decider:
            decision = decide(decider, "x")
        *_, first, second = endpoint.bodies
    assert decision.output == Agreed(team="login", note="login fails", urgent=False)
    assert required(first) == ["note"]
    assert required(second) == ["team", "note", "urgent"]
    reply, correction = second["messages"][-2:]
    assert json.loads(reply["content"]) == {"team": "billing", "note": "login fails", "urgent": True}
    assert "the note is about another team" in correction["content"]
    assert {one.step for one in decision.fields.values()} == {1}
    assert {one.source for one in decision.fields.values()} == {None}
    assert [step.fields for step in decision.steps] == [("team", "urgent"), ("team", "note", "urgent")]
    assert [step.attempts for step in decision.steps] == [1, 2]
    assert decision.usage == Usage(input_tokens=122, output_tokens=13)
    assert decision.cost_usd == pytest.approx(0.122)


@pytest.mark.parametrize("reask", [0, 1])
def test_a_record_that_never_fits_is_invalid_and_counted(reask: int, decide: Decide) -> None:
    wrong = '{"team": "login", "note": "refund", "urgent": false}'
    said = (chat('{"note": "login fails"}'), chat(wrong))
    with mixed("decisions", *said) as endpoint, mixed_at(endpoint, Agreed, reask=reask) as decider:
        (decision,) = decider.decide_many(["x"])
    with (
        mixed("decisions", *said) as endpoint,
        mixed_at(endpoint, Agreed, reask=reask) as decider,
        pytest.raises(InvalidDecision, match="the note is about another team"),
    ):
        decide(decider, "x")
    assert (decision.status, decision.attempts) == ("failed", 3)
    assert decision.usage.input_tokens == 122


@dialects
def test_a_decision_step_that_never_fits_leaves_everything_to_the_chat_model(dialect: Name, decide: Decide) -> None:
    class Late(Mixed):
        @field_validator("team")
        @classmethod
        def only_what_was_never_said(cls, team: str) -> str:
            if team == "billing":
                raise ValueError("closed")
            return team

    only = (200, body_of(dialect, {"type": "choice", "choice": "billing"}, predicate(dialect, 0.9)))
    whole = chat('{"team": "login", "note": "n", "urgent": false}')
    with running(ByPath({f"/{dialect}": [only], "/chat/completions": [whole]})) as endpoint:
        with mixed_at(endpoint, Late) as decider:
            decision = decide(decider, "x")
        body = endpoint.bodies[-1]
    assert decision.output == Late(team="login", note="n", urgent=False)
    assert required(body) == ["team", "note", "urgent"]
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert {one.step for one in decision.fields.values()} == {1}
    assert [(step.engine, step.attempts, step.usage.input_tokens) for step in decision.steps] == [
        ("decisions", 1, 100),
        ("chat", 1, 11),
    ]
    assert decision.attempts == 2
    assert decision.cost_usd == pytest.approx(0.111)


def test_answers_that_cannot_be_read_leave_everything_to_the_chat_model(decide: Decide) -> None:
    odd = (200, body_of("decisions", {"choice": "sales"}, {"probability": 7}))
    whole = chat('{"team": "login", "note": "n", "urgent": false}')
    with (
        running(ByPath({"/decisions": [odd], "/chat/completions": [whole]})) as endpoint,
        mixed_at(endpoint, Mixed) as decider,
    ):
        decision = decide(decider, "x")
    assert decision.output == Mixed(team="login", note="n", urgent=False)
    assert decision.usage.input_tokens == 111


def test_where_no_step_fits_the_decision_is_invalid(decide: Decide) -> None:
    whole = chat('{"team": "login", "note": "n", "urgent": false}')
    with (
        mixed("systemone", whole) as endpoint,
        mixed_at(endpoint, Closed) as decider,
        pytest.raises(InvalidDecision, match="no reply of chat 'gpt-6-luna' fitted the schema"),
    ):
        decide(decider, "x")
    assert len([path for path, _ in endpoint.requests if path.endswith("completions")]) == 2


def test_a_refused_question_ends_a_mixed_record(decide: Decide) -> None:
    refusing = (200, body_of("decisions", REFUSAL, predicate("decisions", 0.9)))
    server = ByPath({"/decisions": [refusing], "/chat/completions": [chat('{"note": "n"}')]})
    with running(server) as endpoint, mixed_at(endpoint, Mixed) as decider:
        decision = decide(decider, "x")
    assert (decision.status, list(decision.fields)) == ("refused", ["urgent"])
    assert [path for path, _ in endpoint.requests] == ["/v1/decisions"]


@dialects
def test_samples_are_drawn_of_the_open_fields_alone(dialect: Name, decide: Decide) -> None:
    notes = [chat('{"note": "a"}'), chat('{"note": "b"}'), chat('{"note": "b"}')]
    with mixed(dialect, *notes) as endpoint, mixed_at(endpoint, Mixed, samples=3) as decider:
        decision = decide(decider, "x")
    assert decision.output.team == "billing"
    assert [decision.fields[name].source for name in ("team", "note")] == ["decisions", None]
    assert [step.attempts for step in decision.steps] == [1, 3]


def test_a_record_of_open_fields_alone_is_asked_of_the_chat_model(decide: Decide) -> None:
    class Open(BaseModel):
        note: str

    with mixed("decisions", chat('{"note": "a"}')) as endpoint, mixed_at(endpoint, Open) as decider:
        decision = decide(decider, "x")
    assert decision.output.note == "a"
    assert [step.engine for step in decision.steps] == ["chat"]


# Endpoints of others


class Everything(BaseModel):
    team: Literal["billing", "Login", "sales"] = Field(description="who has to answer")
    urgent: bool
    stars: int = Field(ge=1, le=6)
    longer: int = Field(ge=0, le=14)
    level: Level
    sure: bool | None
    colour: Literal["Red", "Blue"] | None
    tags: list[Literal["refund", "outage"]]
    place: Place
    drink: Literal["Café", "thé"]
    many: Literal[tuple(f"o{n}" for n in range(100))]  # type: ignore[valid-type]  # made at run time


ALL = frozenset(Everything.model_fields) - {"place"} | {"place.room"}
CHOICES = frozenset({"team", "longer", "sure", "colour", "place.room", "drink", "many"})
SCORES = frozenset({"stars", "level"})
NEITHER = (EngineRejected, r"wrong \(404\): No route /v1/systemone; /decisions: .* No route /v1/decisions")
OTHER = {"model": "other"}
OUTCOMES: dict[str, Any] = {
    "wrong-route": NEITHER,
    "xssi-200": (EngineUnavailable, r"answered 200 with application/json, not answers to these questions: '\)\]\}"),
    "auth-rejects-header": (EngineRejected, r"refused the key \(401\): This server takes no key"),
    "reject-jev-latest": (EngineRejected, r"'jev-latest', or .*\(404\): Model not served: jev-latest; /decisions: "),
    "first-question-only": (InvalidDecision, "No answer came to 'urgent'"),
    "no-null-description": (EngineRejected, r"refused the request \(422\): .*valid string"),
    "cap-64": (EngineRejected, r"refused the request \(422\): .*at most 64 items after validation, not 100"),
    "cap-5-levels": (EngineRejected, r"refused the request \(422\): .*at most 5 items after validation, not 6"),
    "noul-range": (InvalidDecision, r"The answer to 'urgent' holds no probability between 0 and 1: .*\"noul\":1\."),
    "choice-sum": CHOICES,
    "score-sum": SCORES,
    "score-keys-1-based": SCORES,
}
"""By fault, the error with its words, or the fields that have no probability; else all is as without a fault."""
PROVOKED: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "text-errors": (OTHER, (), r"refused the request \(400\): Unknown model: other"),
    "error-flat": (OTHER, (), r"refused the request \(400\): Unknown model: other"),
    "validation-400": ({}, ("cap-64",), r"refused the request \(400\): .*at most 64 items"),
    "forbid-extra": ({"params": {"seed": 1}}, (), r"refused the request \(422\): .*Extra inputs are not permitted"),
}
"""Faults that show only where something else is wrong: what, further faults, and the words of the error."""
KEYED = {
    "auth-x-api-key": r"refused the key \(403\): Must supply an API key!",
    "auth-invalid-403-text": r"refused the key \(401\): bad key",
    "auth-plain": r"refused the key \(401\): Cannot authenticate",
}


def everything_at(url: str, **prompt: Any) -> Task[Any]:
    settings = {"engine": "decisions", "model": "jev-latest", "base_url": url, **prompt}
    return Task(Everything, name="t", instructions="Decide about it.", prompt=settings, retry={"attempts": 1})


def check_everything(decision: Decision[Any], without: frozenset[str] = frozenset()) -> None:
    """All kinds are decided, and each field has its probability but for some."""
    assert isinstance(decision.output, Everything)
    assert {path for path, one in decision.fields.items() if one.probability is None} == without
    for path, one in decision.fields.items():
        if path not in without:
            assert one.source == "decisions"
            assert one.probabilities is not None
            assert path == "tags" or sum(one.probabilities.values()) == pytest.approx(1.0)


def test_every_fault_of_the_mock_has_an_outcome_or_is_as_none() -> None:
    assert {*OUTCOMES, *PROVOKED, *KEYED} <= FAULTS.keys()


@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_each_way_to_break_the_rules_ends_well_or_is_named(
    fault: str | None, jevcompat: Callable[..., str], decide: Decide
) -> None:
    outcome = OUTCOMES.get(fault or "", frozenset())
    with Decider(everything_at(jevcompat(*([fault] if fault else [])))) as decider:
        if isinstance(outcome, frozenset):
            check_everything(decide(decider, "hello there"), outcome)
            return
        raises, words = outcome
        with pytest.raises(raises, match=words):
            decide(decider, "hello there")


@pytest.mark.parametrize("fault", PROVOKED)
def test_errors_in_another_shape_are_read_too(fault: str, jevcompat: Callable[..., str], decide: Decide) -> None:
    settings, more, words = PROVOKED[fault]
    with (
        Decider(everything_at(jevcompat(fault, *more), **settings)) as decider,
        pytest.raises(EngineRejected, match=words),
    ):
        decide(decider, "hello there")


@pytest.mark.parametrize("fault", KEYED)
def test_a_refused_key_is_said_in_the_words_of_the_server(
    fault: str, jevcompat: Callable[..., str], decide: Decide
) -> None:
    with (
        Decider(everything_at(jevcompat(fault, key="other"))) as decider,
        pytest.raises(EngineRejected, match=KEYED[fault]) as caught,
    ):
        decide(decider, "hello there")
    assert caught.value.reason == "auth"


def test_the_right_key_is_taken(jevcompat: Callable[..., str], decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCK_KEY", "sk-0123456789")
    with Decider(everything_at(jevcompat(key="sk-0123456789"), api_key_env="MOCK_KEY")) as decider:
        check_everything(decide(decider, "hello there"))


TICKETS = ["I was charged twice and want my money back", "cannot log in since this morning", "Käse 🧀 </state> {{7*7}}"]


def test_a_real_model_decides_every_kind(sparrow: str, decide: Decide, capsys: pytest.CaptureFixture[str]) -> None:
    with Decider(everything_at(sparrow)) as decider:
        decisions = [decide(decider, ticket) for ticket in TICKETS]
    for decision in decisions:
        check_everything(decision)
        assert decision.attempts == 1
    with capsys.disabled():
        times = ", ".join(f"{decision.latency_ms:.1f}" for decision in decisions)
        sys.stdout.write(f"\nsparrow: {times} ms for {len(Everything.model_fields) + 1} questions\n")


def test_many_decisions_of_a_real_model(sparrow: str) -> None:
    with Decider(everything_at(f"{sparrow}/systemone")) as decider:
        decisions = list(decider.decide_many(TICKETS * 5, concurrency=4, on_error="raise"))
    assert [decision.row_id for decision in decisions] == [str(n) for n in range(1, 16)]
    assert len({decision.row()["output"]["team"] for decision in decisions[::3]}) == 1
