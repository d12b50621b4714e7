"""What is sent to a decision endpoint and read from it, in both dialects, and which dialect an endpoint speaks."""

from __future__ import annotations

import json
from math import isclose
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decider.decision import Usage
from decider.engines.dialects import Answers, Question, Said, decisions_body, systemone_body
from decider.engines.limits import DECISIONS, SYSTEMONE, Dialect, base_of, dialects_of
from decider.spec import Prompt
from decision_endpoint import DIALECTS, REFUSAL, Name, body_of, choice, predicate, score

TRUTH = Question(kind="truth", instructions="Is it urgent?", about="urgent")
CHOICE = Question(kind="choice", instructions="Who?", options=(("billing", "money"), ("Café", "")), about="team")
SCORE = Question(kind="score", instructions="How?", options=(("1", "calm"), ("2", ""), ("3", "")), about="anger")
QUESTIONS = (TRUTH, CHOICE, SCORE)
KIND = {"truth": TRUTH, "choice": CHOICE, "score": SCORE}


def read(question: Question, answer: Any) -> Said | None:
    """What one answer says, which has to be the same wherever it stands."""
    said = [Answers.model_validate_json(json.dumps(body_of(dialect, answer))).said([question]) for dialect in DIALECTS]
    assert said[0] == said[1]
    return None if said[0] is None else said[0][0]


def test_the_bodies_are_as_each_dialect_has_them() -> None:
    assert decisions_body("m", "a text", QUESTIONS) == {
        "model": "m",
        "input": "a text",
        "questions": [
            {"type": "predicate", "instructions": "Is it urgent?"},
            {
                "type": "choice",
                "instructions": "Who?",
                "choices": [{"value": "billing", "description": "money"}, {"value": "Café"}],
            },
            {
                "type": "score",
                "instructions": "How?",
                "levels": [{"label": "1", "description": "calm"}, {"label": "2"}, {"label": "3"}],
            },
        ],
    }
    assert systemone_body("m", "a text", QUESTIONS) == {
        "model": "m",
        "state": "a text",
        "questions": {
            "q0": {"type": "noul", "instructions": "Is it urgent?"},
            "q1": {"type": "choice", "instructions": "Who?", "criteria": {"billing": "money", "Café": None}},
            "q2": {"type": "score", "instructions": "How?", "criteria": ["1: calm", "2", "3"]},
        },
    }


def test_an_input_of_several_fields_is_a_state_or_a_json_text() -> None:
    value = {"subject": "Rückgabe", "tier": None}
    assert systemone_body("m", value, [TRUTH])["state"] == value
    assert decisions_body("m", value, [TRUTH])["input"] == '{"subject":"Rückgabe","tier":null}'


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_kind_of_answer_is_read(dialect: Name) -> None:
    said = Answers.model_validate(
        body_of(
            dialect,
            predicate(dialect, 0.25),
            choice(dialect, {"billing": 0.125, "Café": 0.875}),
            score(dialect, [0.25, 0.5, 0.25]),
        )
    ).said(QUESTIONS)
    assert said == [
        Said(shares=(0.75, 0.25)),
        Said(shares=(0.125, 0.875), best=1),
        Said(shares=(0.25, 0.5, 0.25), best=1),
    ]


def shared(*shares: float, best: int | None = None) -> Said:
    """An answer with about these probabilities."""
    about: Any = tuple(pytest.approx(share) for share in shares)
    return Said(shares=about, best=best)


HALVES = [{"value": "billing", "probability": 0.5}, {"value": "Café", "probability": 0.5}]


@pytest.mark.parametrize(
    ("kind", "answer", "said"),
    [
        ("truth", {"type": "boolean", "noul": 1}, shared(0, 1)),
        ("truth", {"probability": "0.5"}, shared(0.5, 0.5)),
        ("truth", {"noul": 1.004}, shared(0, 1)),
        ("truth", {"noul": -0.004}, shared(1, 0)),
        ("truth", {"noul": 1.02}, None),
        ("truth", {"noul": -0.3}, None),
        ("truth", {"noul": None}, None),
        ("truth", {"noul": float("nan")}, None),
        ("truth", {"probability": float("inf")}, None),
        ("truth", {"probability": 10**400}, None),
        ("truth", {"probability": "likely"}, None),
        ("truth", {"choice": True}, None),
        ("truth", {"type": 5, "noul": 0.5}, None),
        ("truth", 0.5, None),
        ("truth", [0.5], None),
        ("truth", None, None),
        ("truth", REFUSAL, Said(refused=True)),
        ("choice", {**REFUSAL, "name": None}, Said(refused=True)),
        # Of two decimals, and renormalised.
        ("choice", choice("systemone", {"billing": 0.33, "Café": 0.66}), shared(1 / 3, 2 / 3, best=1)),
        ("choice", choice("decisions", {"billing": 0.505, "Café": 0.505}), shared(0.5, 0.5, best=0)),
        ("choice", choice("systemone", {"billing": -0.004, "Café": 1.004}), shared(0, 1, best=1)),
        # The probabilities decide, and what is said to be best only where there are none.
        ("choice", choice("systemone", {"billing": 0.9, "Café": 0.1}, "Café"), shared(0.9, 0.1, best=1)),
        ("choice", choice("decisions", {"billing": 0.9, "Café": 0.1}, "none"), shared(0.9, 0.1)),
        ("choice", choice("systemone", {"billing": 0.9, "Café": 0.3}), Said(best=0)),
        ("choice", choice("decisions", {"billing": 0.6, "Café": 0.3}), Said(best=0)),
        ("choice", choice("systemone", {"billing": float("nan"), "Café": 1.0}, "Café"), Said(best=1)),
        ("choice", choice("systemone", {"billing": -0.3, "Café": 1.3}), Said(best=1)),
        ("choice", choice("systemone", {"billing": 10**400, "Café": 0.0}), Said(best=0)),
        ("choice", choice("systemone", {"billing": "all", "Café": None}, "billing"), Said(best=0)),
        ("choice", choice("decisions", {"billing": 0.5, "Café": 0.4, "more": 0.1}), Said(best=0)),
        ("choice", choice("systemone", {"billing": 1.0}), Said(best=0)),
        ("choice", choice("systemone", {"billing": 0.5, "Billing": 0.5, "Café": 0.5}, "Café"), Said(best=1)),
        ("choice", {"choice": "Café", "probabilities": [*HALVES, HALVES[0]]}, Said(best=1)),
        ("choice", {"choice": "Café", "probabilities": HALVES}, shared(0.5, 0.5, best=1)),
        ("choice", {"choice": "Café", "probabilities": [0.5, 0.5]}, Said(best=1)),
        ("choice", {"choice": "Café", "probabilities": "high"}, Said(best=1)),
        ("choice", {"choice": "Café"}, Said(best=1)),
        ("choice", {"choice": "sales"}, None),
        ("choice", {"choice": None}, None),
        ("choice", {"choice": {"value": "Café"}}, None),
        ("choice", {"choice": float("inf")}, None),
        ("choice", {"noul": 0.5}, None),
        # Another form of Unicode, another case, and a sequence of options that is the server's own.
        ("choice", choice("systemone", {"billing": 0.25, "Cafe\u0301": 0.75}), shared(0.25, 0.75, best=1)),
        ("choice", choice("decisions", {"cafe\u0301": 0.75, "BILLING": 0.25}), shared(0.25, 0.75, best=1)),
        ("score", score("systemone", [0.33, 0.33, 0.33]), shared(1 / 3, 1 / 3, 1 / 3, best=1)),
        ("score", score("decisions", [0.2, 0.2, 0.2], 2.4), Said(best=2)),
        ("score", {"score": 1.6, "probabilities": {"1": 0.2, "2": 0.3, "3": 0.5}}, Said(best=2)),
        ("score", {"score": 9.0, "probabilities": {"0": 0.2, "1": 0.3, "2": 0.5}}, shared(0.2, 0.3, 0.5)),
        ("score", {"score": -0.4}, Said(best=0)),
        ("score", {"score": 2.6}, None),
        ("score", {"score": float("nan")}, None),
        ("score", {"score": None, "choice": "1"}, None),
    ],
)
def test_an_answer_says_what_it_says_and_no_more(kind: str, answer: Any, said: Said | None) -> None:
    assert read(KIND[kind], answer) == said


def test_an_answer_of_an_option_called_null_is_not_no_answer() -> None:
    question = Question(kind="choice", instructions="?", options=(("null", ""), ("true", "")))
    assert read(question, {"choice": None}) is None
    assert read(question, {"choice": True}) == Said(best=1)
    assert read(question, choice("systemone", {"null": 0.25, "true": 0.75})) == Said(shares=(0.25, 0.75), best=1)


@pytest.mark.parametrize("count", [2, 10, 100, 255])
def test_probabilities_of_two_decimals_are_taken_however_many_they_are(count: int) -> None:
    options = tuple((f"o{n}", "") for n in range(count))
    question = Question(kind="choice", instructions="?", options=options)
    first = 1 - sum(round(0.2 / count, 2) for _ in options[1:])
    shares = {name: first if name == "o0" else round(0.2 / count, 2) for name, _ in options}
    said = read(question, choice("decisions", shares))
    assert said is not None
    assert said.shares is not None
    assert isclose(sum(said.shares), 1.0)


def test_options_that_are_many_do_not_make_nonsense_of_rounding() -> None:
    question = Question(kind="choice", instructions="?", options=tuple((f"o{n}", "") for n in range(255)))
    names = [name for name, _ in question.options]
    for shares in (dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0045), {**dict.fromkeys(names, 0.0), "o1": -1.0}):
        assert read(question, choice("systemone", shares, "o3")) == Said(best=3)


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([], "0 answers came to 2 questions."),
        ([{"probability": 0.5}], "1 answers came to 2 questions."),
        ([{"probability": 0.5}] * 3, "3 answers came to 2 questions."),
        ({}, "No answer came to 'urgent'."),
        ({"q0": {"noul": 0.5}}, "No answer came to 'team'."),
        ({"q0": {"noul": 0.5}, "q1": None}, "No answer came to 'team'."),
        (
            {"q0": {"type": "noul", "noul": 1.5}, "q1": {}},
            'The answer to \'urgent\' holds no probability between 0 and 1: {"type":"noul","noul":1.5}.',
        ),
        ([float("nan"), {}], "The answer to 'urgent' holds no probability between 0 and 1: NaN."),
        (["x" * 500, {}], f"The answer to 'urgent' holds no probability between 0 and 1: \"{'x' * 118}…."),
    ],
)
def test_what_keeps_answers_from_being_read_is_told(answers: Any, problem: str) -> None:
    said = Answers.model_validate_json(json.dumps({"answers": answers}))
    assert said.said([TRUTH, CHOICE]) is None
    assert said.problem([TRUTH, CHOICE]) == problem


@pytest.mark.parametrize(
    ("question", "answer", "problem"),
    [
        (CHOICE, {"choice": "sales"}, "neither chooses one of the options nor gives them probabilities that add up"),
        (SCORE, {"score": 9}, "holds no level of the scale, nor probabilities of its levels that add up"),
    ],
)
def test_each_kind_of_answer_has_a_problem_of_its_own(question: Question, answer: Any, problem: str) -> None:
    said = Answers.model_validate({"answers": [answer]})
    assert said.problem([question]).startswith(f"The answer to {question.about!r} {problem}")


def test_an_answer_that_nobody_asked_for_does_no_harm() -> None:
    said = Answers.model_validate({"answers": {"more": "x", "q0": {"noul": 0.5}}, "x_debug": {}})
    assert said.said([TRUTH]) == [Said(shares=(0.5, 0.5))]


@pytest.mark.parametrize(
    ("usage", "used"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(input_tokens=5, output_tokens=2)),
        ({"input_tokens": 5.0, "output_tokens": None}, Usage(input_tokens=5)),
        ({"input_tokens": 5.7}, Usage(input_tokens=5)),
        (
            {"input_tokens": 5, "output_tokens": 0, "input_tokens_details": {"cached_tokens": 3}},
            Usage(input_tokens=5, cached_tokens=3),
        ),
        (
            {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4}},
            Usage(input_tokens=9, cached_tokens=3, written_tokens=4),
        ),
        (
            {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 30}},
            Usage(input_tokens=5, cached_tokens=5),
        ),
        ({"input_tokens": 5, "input_tokens_details": {"cached_tokens": None}}, Usage(input_tokens=5)),
        ({"output_tokens": 5}, None),
        ({"input_tokens": -1}, None),
        ({"input_tokens": float("nan")}, None),
        ({"input_tokens": 10**400}, None),
        ({"input_tokens": "many"}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_is_read_or_unknown(usage: Any, used: Usage | None) -> None:
    assert Answers.model_validate_json(json.dumps({"answers": [], "usage": usage})).used == used


def test_usage_may_be_missing() -> None:
    assert Answers.model_validate({"answers": []}).used is None


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["billing", "Café"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "noul",
                    "probability",
                    "choice",
                    "score",
                    "probabilities",
                    "value",
                    "0",
                    "1",
                    "billing",
                    "Café",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(answers=st.lists(VALUES, max_size=3) | st.dictionaries(st.sampled_from(["q0", "q1", "q2", "q3"]), VALUES))
def test_whatever_comes_is_a_valid_answer_or_has_a_problem(answers: Any) -> None:
    said = Answers.model_validate({"answers": answers})
    read = said.said(QUESTIONS)
    if read is None:
        assert said.problem(QUESTIONS)
        return
    for one, size in zip(read, (2, 2, 3), strict=True):
        assert one.refused or one.shares is not None or one.best is not None
        assert one.best is None or 0 <= one.best < size
        if one.shares is not None:
            assert len(one.shares) == size
            assert all(0.0 <= share <= 1.0 for share in one.shares)
            assert isclose(sum(one.shares), 1.0)


BOTH = (SYSTEMONE, DECISIONS)


@pytest.mark.parametrize(
    ("url", "model", "dialects", "base"),
    [
        (None, "gpt-6-luna", (DECISIONS,), "https://api.openai.com/v1"),
        ("https://eu.api.openai.com/v1", "jev-latest", (DECISIONS,), "https://eu.api.openai.com/v1"),
        ("https://api.openai.com/v1/decisions/", "m", (DECISIONS,), "https://api.openai.com/v1"),
        ("https://api.typesafe.ai/v1", "jev-latest", BOTH, "https://api.typesafe.ai/v1"),
        ("https://api.typesafe.ai/v1/systemone", "jev-latest", (SYSTEMONE,), "https://api.typesafe.ai/v1"),
        ("http://127.0.0.1:8/v1/systemone", "gpt-6-luna", (SYSTEMONE,), "http://127.0.0.1:8/v1"),
        ("http://127.0.0.1:8/v1/decisions", "jev-latest", (DECISIONS,), "http://127.0.0.1:8/v1"),
        ("http://127.0.0.1:8/v1", "gpt-6-luna", BOTH[::-1], "http://127.0.0.1:8/v1"),
        ("http://127.0.0.1:8/v1", None, BOTH, "http://127.0.0.1:8/v1"),
        ("http://openai.com.example/v1", "m", BOTH, "http://openai.com.example/v1"),
        ("http://127.0.0.1:8/mydecisions", "m", BOTH, "http://127.0.0.1:8/mydecisions"),
    ],
)
def test_the_dialect_is_told_by_url_host_or_model(
    url: str | None, model: str | None, dialects: tuple[Dialect, ...], base: str
) -> None:
    asked = Prompt.model_validate({"model": model, "base_url": url})
    assert dialects_of(asked) == dialects
    assert base_of(asked) == base
