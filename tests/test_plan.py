"""Plans: which steps a mode takes, and what stands in the way."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model

from decider.decider import Decider
from decider.engines.chat import ChatEngine
from decider.engines.decisions import DecisionsEngine
from decider.engines.instructor import InstructorEngine
from decider.errors import EngineRejected, SpecError
from decider.plan import MODES, Step, build, doubts, given, not_yet, obstacles, steps_of
from decider.task import Task
from decider.testing import FakeEngine


class Mixed(BaseModel):
    team: Literal["a", "b"]
    why: str


class Closed(BaseModel):
    team: Literal["a", "b"]
    tags: list[Literal["x", "y"]]
    level: Annotated[int, Field(ge=1, le=3)]


class Open(BaseModel):
    why: str


def with_options(count: int, letters: int = 4, **keys: Any) -> Task[Any]:
    options: Any = Literal[tuple(f"{n:0{letters}}" for n in range(count))]
    return Task(create_model("Many", label=(options, ...)), name="many", **{"prompt": {"model": "m"}, **keys})


def with_tags(count: int, **keys: Any) -> Task[Any]:
    options: Any = Literal[tuple(map(str, range(count)))]
    return Task(create_model("Many", tags=(list[options], ...)), name="many", **keys)


def shape(steps: tuple[Step, ...]) -> list[tuple[str, str, list[str]]]:
    return [(step.role, step.engine, [field.path for field in step.fields]) for step in steps]


CHAT = {"engine": "chat", "model": "ft"}
PROMPT: dict[str, Any] = {"model": "m", "samples": 3, "reask": 2}
DECISIONS = {"engine": "decisions", "model": "gpt-6-luna"}


@pytest.mark.parametrize(
    ("output", "keys", "mode", "expected"),
    [
        (Mixed, {}, "prompt", [("prompt", "chat", ["team", "why"])]),
        (Mixed, {"prompt": DECISIONS}, "prompt", [("prompt", "decisions", ["team"]), ("prompt", "chat", ["why"])]),
        (Closed, {"prompt": DECISIONS}, "prompt", [("prompt", "decisions", ["team", "tags", "level"])]),
        (Open, {"prompt": DECISIONS}, "prompt", [("prompt", "chat", ["why"])]),
        (Mixed, {}, "finetuned", [("finetuned", "local", ["team"]), ("prompt", "chat", ["why"])]),
        (Closed, {}, "finetuned", [("finetuned", "local", ["team", "tags", "level"])]),
        (Open, {}, "finetuned", [("prompt", "chat", ["why"])]),
        (Mixed, {"finetuned": CHAT}, "finetuned", [("finetuned", "chat", ["team", "why"])]),
        (Mixed, {"finetuned": CHAT, "prompt": DECISIONS}, "finetuned", [("finetuned", "chat", ["team", "why"])]),
        (
            Mixed,
            {"finetuned": {**CHAT, "messages": {"answer": "tool"}}},
            "finetuned",
            [("finetuned", "chat", ["team", "why"])],
        ),
        (
            Closed,
            {"finetuned": {**CHAT, "messages": {"answer": {"label": "level"}}}},
            "finetuned",
            [("finetuned", "chat", ["level"]), ("prompt", "chat", ["team", "tags"])],
        ),
    ],
)
def test_each_mode_takes_its_steps(
    tmp_path: Path, output: type[BaseModel], keys: dict[str, Any], mode: str, expected: Any
) -> None:
    task: Task[Any] = Task(output, name="t", **{"prompt": PROMPT, "finetuned": {"model": str(tmp_path)}, **keys})
    assert shape(steps_of(task, mode)) == expected


def settings(step: Step) -> tuple[int, int, bool]:
    return step.samples, step.reask, step.widens


def test_a_prompt_is_sampled_and_asked_again_as_the_spec_says(tmp_path: Path) -> None:
    task = Task(Mixed, name="t", prompt=PROMPT, finetuned={"model": str(tmp_path)})
    assert [settings(step) for step in steps_of(task, "prompt")] == [(3, 2, True)]
    assert [settings(step) for step in steps_of(task, "finetuned")] == [(1, 0, False), (3, 2, True)]
    decisions = Task(Mixed, name="t", prompt={**PROMPT, **DECISIONS})
    assert [settings(step) for step in steps_of(decisions, "prompt")] == [(1, 0, False), (3, 2, True)]
    own = given(task, FakeEngine({}))
    assert (own.engine, own.fields, settings(own)) == ("fake", task.fields, (3, 2, True))


def test_a_tuned_model_has_one_answer_and_no_words_for_a_second_of_its_own() -> None:
    tuned = Task(Mixed, name="t", prompt=PROMPT, finetuned=CHAT)
    assert [settings(step) for step in steps_of(tuned, "finetuned")] == [(1, 2, True)]
    for answer in ("json", "tool"):
        own = Task(Mixed, name="t", prompt=PROMPT, finetuned={**CHAT, "messages": {"answer": answer}})
        assert [settings(step) for step in steps_of(own, "finetuned")] == [(1, 0, False)]
    label = Task(Mixed, name="t", prompt=PROMPT, finetuned={**CHAT, "messages": {"answer": {"label": "team"}}})
    assert [settings(step) for step in steps_of(label, "finetuned")] == [(1, 0, False), (3, 2, True)]


SPEC = """\
name: t
mode: finetuned
fields: {team: {options: [a, b]}, tags: {type: tags, options: [a, b]}, why: text}
"""


def told(tmp_path: Path, more: str, mode: str = "finetuned") -> list[str]:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC + more)
    task: Task[Any] = Task.load(path)
    return [str(one).replace(str(tmp_path), "FOLDER") for one in obstacles(task, mode)]


NO_TEXT = "the input has several fields, and no text of its own; write `user: json`"
NO_MODEL = "is missing; name the model to ask:"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            "finetuned: {engine: chat}\n",
            [f"FOLDER/spec.yaml:4:1: finetuned: finetuned.model {NO_MODEL}  finetuned: {{model: gpt-6-luna}}"],
        ),
        (
            "finetuned: {engine: chat, model: ft, messages: {answer: {label: tea}}}\n",
            [
                "FOLDER/spec.yaml:4:49: finetuned.messages.answer: 'tea' is no field of one label; name one of: team",
                f"FOLDER/spec.yaml:2:1: mode: prompt.model {NO_MODEL}  prompt: {{model: gpt-6-luna}}",
            ],
        ),
        (
            "finetuned: {engine: chat, model: ft, messages: {answer: {label: tags}}}\nprompt: {model: m}\n",
            ["FOLDER/spec.yaml:4:49: finetuned.messages.answer: 'tags' is no field of one label; name one of: team"],
        ),
        (
            "finetuned: {engine: chat, model: ft, messages: {answer: {label: why}}}\nprompt: {model: m}\n",
            ["FOLDER/spec.yaml:4:49: finetuned.messages.answer: 'why' is no field of one label; name one of: team"],
        ),
        (
            "finetuned: {engine: chat, model: ft, messages: {user: text}}\ninput: {subject: text, body: text}\n",
            [
                f"FOLDER/spec.yaml:4:49: finetuned.messages.user: {NO_TEXT}",
            ],
        ),
        (
            "finetuned: {engine: chat, messages: {answer: {label: x}}}\ninput: {age: integer}\nprompt: {model: m}\n",
            [
                f"FOLDER/spec.yaml:4:1: finetuned: finetuned.model {NO_MODEL}  finetuned: {{model: gpt-6-luna}}",
                "FOLDER/spec.yaml:4:38: finetuned.messages.answer: 'x' is no field of one label; name one of: team",
                f"FOLDER/spec.yaml:4:27: finetuned.messages.user: {NO_TEXT}",
            ],
        ),
        ("finetuned: {engine: chat, model: ft, messages: {user: json}}\ninput: {subject: text, body: text}\n", []),
        ("finetuned: {engine: chat, model: ft, messages: {}}\ninput: {body: text}\n", []),
        (
            "finetuned: {engine: chat, model: ft, messages: {}}\ninput: {a: text, b: {type: date, optional: true}}\n",
            [],
        ),
        ("finetuned: {engine: chat, model: ft, messages: {answer: {label: team}}}\nprompt: {model: m}\n", []),
    ],
)  # fmt: skip
def test_what_keeps_a_tuned_model_from_being_asked_is_told_with_its_place(
    tmp_path: Path, more: str, says: list[str]
) -> None:
    assert told(tmp_path, more) == says


def test_without_a_field_of_one_label_the_answer_is_an_object() -> None:
    task = Task(Open, name="t", prompt={"model": "m"}, finetuned={**CHAT, "messages": {"answer": {"label": "why"}}})
    with pytest.raises(SpecError, match="'why' is no field of one label; write `answer: json`"):
        steps_of(task, "finetuned")


def test_a_missing_model_of_a_decision_endpoint_is_told(tmp_path: Path) -> None:
    found = told(tmp_path, "prompt: {engine: decisions}\n", "prompt")
    assert found == [f"FOLDER/spec.yaml:4:1: prompt: prompt.model {NO_MODEL}  prompt: {{model: gpt-6-luna}}"]


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (with_options(255, prompt=DECISIONS), None),
        (with_options(256, prompt=DECISIONS), "has 256 answers; a decision endpoint takes 255"),
        (with_tags(400, prompt=DECISIONS), None),
        (
            with_tags(401, prompt=DECISIONS),
            "the task has 401 questions (each tag is one); a decision endpoint takes 400",
        ),
        (with_tags(1000, prompt={**DECISIONS, "base_url": "http://127.0.0.1:9/v1/systemone"}), None),
        (
            with_tags(1001, prompt={**DECISIONS, "base_url": "http://127.0.0.1:9/v1/systemone"}),
            "the task has 1001 questions (each tag is one); a decision endpoint takes 1000",
        ),
    ],
)
def test_limits_of_decision_endpoints_are_told(task: Task[Any], says: str | None) -> None:
    assert [one.message for one in obstacles(task, "prompt")] == ([] if says is None else [says])


def test_a_bare_label_is_held_to_no_strict_schema() -> None:
    task = with_options(1001, finetuned=CHAT)
    assert len(obstacles(task, "finetuned")) == 1
    label = with_options(1001, finetuned={**CHAT, "messages": {"answer": {"label": "label"}}})
    assert obstacles(label, "finetuned") == []


def test_every_obstacle_is_told_at_once() -> None:
    task = Task(Mixed, name="t")
    assert [one.message for one in obstacles(task, "finetuned")] == [
        "finetuned.model is missing",
        "prompt.model is missing",
    ]
    with pytest.raises(SpecError) as caught:
        steps_of(task, "finetuned")
    assert len(str(caught.value).splitlines()) == 2
    with pytest.raises(SpecError, match=r"prompt\.model is missing; name the model to ask"):
        steps_of(task, "prompt")


def test_several_unsupported_keys_are_told_at_once() -> None:
    task = Task(Mixed, name="t", mode="cascade", cascade=["finetuned", "prompt"], accept={"team": 0.8})
    assert [one.message.split()[0] for one in not_yet(task)] == ["mode", "accept", "cascade"]
    with pytest.raises(SpecError) as caught:
        Decider(task)
    assert "accept is not supported in this version; remove it" in str(caught.value)
    assert len(caught.value.also) == 2


def test_limits_of_strict_schemas_bind_the_prompt_alone(tmp_path: Path) -> None:
    for task, says in [
        (with_options(1001, 4), "a strict schema takes 1000 options in all, and the task has 1001, most of them here"),
        (
            with_options(251, 60),
            "has 251 options of 15060 letters; above 250 options a strict schema takes 15000 letters",
        ),
    ]:
        (problem,) = obstacles(task, "prompt")
        assert problem.message == says
        assert problem.field == "label"
        assert "use mode: finetuned" in str(problem)
    fine = Task(with_options(1001, 4).output, name="many", finetuned={"model": str(tmp_path)})
    assert obstacles(fine, "finetuned") == []
    assert obstacles(with_options(251, 59), "prompt") == []


def test_too_many_fields_are_told() -> None:
    fields: Any = {f"f{n}": (bool, ...) for n in range(5001)}
    task = Task(create_model("Wide", **fields), name="wide", prompt={"model": "m"})
    assert any(
        "the task has 5001 fields; a strict schema takes 5000" in one.message for one in obstacles(task, "prompt")
    )


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("nowhere", "file"):
        task = Task(Closed, name="t", folder=tmp_path, finetuned={"model": name})
        (problem,) = obstacles(task, "finetuned")
        assert str(problem) == (
            f"finetuned.model: there is no model at {tmp_path / name}; train one: decider train SPEC DATA -o models/t"
        )


def test_a_model_beyond_the_folder_is_told(tmp_path: Path) -> None:
    task = Task(Mixed, name="t", folder=tmp_path, finetuned={"model": "../model"})
    assert "leads out of the spec's folder" in obstacles(task, "finetuned")[0].message


def test_modes_are_two() -> None:
    assert MODES == ("prompt", "finetuned")


# Which engine answers a step.


@pytest.mark.parametrize(
    ("keys", "mode", "engines"),
    [
        ({"prompt": {"model": "m"}}, "prompt", [(ChatEngine, "m")]),
        ({"prompt": {"model": "m", "structure": "tools"}}, "prompt", [(InstructorEngine, "m")]),
        ({"prompt": {"model": "m", "structure": "json"}}, "prompt", [(InstructorEngine, "m")]),
        ({"prompt": {"model": "m", "structure": "md_json"}}, "prompt", [(InstructorEngine, "m")]),
        ({"prompt": {"engine": "decisions", "model": "m"}}, "prompt", [(DecisionsEngine, "m"), (ChatEngine, "m")]),
        ({"prompt": {"model": "m", "structure": "json"}, "finetuned": CHAT}, "finetuned", [(ChatEngine, "ft")]),
        ({"finetuned": {**CHAT, "structure": "md_json"}}, "finetuned", [(InstructorEngine, "ft")]),
        ({"finetuned": {**CHAT, "messages": {"answer": "tool"}}}, "finetuned", [(InstructorEngine, "ft")]),
        ({"finetuned": {**CHAT, "messages": {}}}, "finetuned", [(ChatEngine, "ft")]),
    ],
)  # fmt: skip
def test_each_step_has_its_engine(keys: dict[str, Any], mode: str, engines: list[tuple[type, str]]) -> None:
    task = Task(Mixed, name="t", **keys)
    built = [build(task, step) for step in steps_of(task, mode)]
    assert [(type(engine), engine.model) for engine in built] == engines
    assert [engine.name for engine in built] == [engine.name for engine, _ in engines]  # type: ignore[attr-defined]  # a class


def test_a_tuned_model_stands_at_the_prompts_endpoint_if_no_other() -> None:
    prompt = {"model": "m", "base_url": "http://127.0.0.1:8/v1", "api_key_env": "KEY"}
    for tuned, url in [(CHAT, ":8/"), ({**CHAT, "base_url": "http://127.0.0.1:9/v1"}, ":9/")]:
        task = Task(Mixed, name="t", prompt=prompt, finetuned=tuned)
        (step,) = steps_of(task, "finetuned")
        assert url in build(task, step).identity
        assert task.spec.asked("finetuned").key_variable == ("KEY" if tuned is CHAT else None)


SAMPLED: dict[str, Any] = {"model": "m", "samples": 3, "params": {"temperature": 0}}
ENDS = "the model 'gpt-4o-mini' stop"


def test_a_model_that_stops_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    task = Task(Mixed, name="t", prompt={"model": "gpt-4o-mini"}, retry={"attempts": 1})
    assert doubts(task, "prompt")[0].startswith(ENDS)
    with caplog.at_level(logging.WARNING, "decider"), Decider(task) as decider:
        for _ in range(3):
            with pytest.raises(EngineRejected, match="OPENAI_API_KEY is not set"):
                decider.decide("x")
    (record,) = caplog.records
    assert record.name == "decider"
    assert record.getMessage().startswith(f"t: {ENDS}")


@pytest.mark.parametrize(
    ("keys", "mode", "says"),
    [
        ({"prompt": {"model": "m"}}, "prompt", []),
        ({"prompt": {"model": "gpt-4o-mini", "base_url": "http://127.0.0.1:9/v1"}}, "prompt", []),
        ({"prompt": {"model": "m"}, "finetuned": {**CHAT, "model": "ft:gpt-4o-mini:us::1"}}, "finetuned", ["stop"]),
        ({"prompt": SAMPLED}, "prompt", ["likely all the same"]),
        ({"prompt": {**SAMPLED, "engine": "decisions"}}, "prompt", ["open fields do not vote"]),
        ({"prompt": {"model": "m", "samples": 3, "params": {"temperature": 0.7}}}, "prompt", []),
        ({"prompt": {**SAMPLED, "model": "gpt-6-luna"}}, "prompt", ["gpt-6-luna takes", "all the same"]),
        ({"prompt": {"model": "gpt-6-luna", "params": {"temperature": 0}}}, "prompt", ["takes temperature only with"]),
        ({"prompt": {"model": "gpt-6-luna", "params": {"top_p": 1, "reasoning_effort": "none"}}}, "prompt", []),
        ({"prompt": {"model": "gpt-6-luna", "structure": "tools"}}, "prompt", ["structure: schema is the surer"]),
        ({"prompt": {**DECISIONS, "structure": "tools"}}, "prompt", ["prompt.structure: schema is the surer"]),
        ({"prompt": {"model": "gpt-4o-mini"}, "finetuned": {"model": "m"}}, "finetuned", ["stop"]),
    ],
)  # fmt: skip
def test_what_may_not_be_meant_is_told(keys: dict[str, Any], mode: str, says: list[str]) -> None:
    found = doubts(Task(Mixed, name="t", **keys), mode)
    assert len(found) == len(says)
    assert all(word in doubt for word, doubt in zip(says, sorted(found), strict=True))


def test_what_is_supported_is_not_told_to_be_otherwise(tmp_path: Path) -> None:
    (tmp_path / "shots.jsonl").write_text('{"input": "x", "output": {"team": "a", "why": "y"}}')
    shots = {"file": "shots.jsonl", "select": "similar"}
    for engine in ("chat", "decisions"):
        prompt = {"model": "m", "engine": engine, "structure": "tools", "samples": 5, "reask": 0, "examples": shots}
        task = Task(Mixed, name="t", folder=tmp_path, prompt=prompt, finetuned=CHAT, retry={"attempts": 2})
        assert not_yet(task) == []
        Decider(task)


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"mode": "cascade", "cascade": ["finetuned", "prompt"]}, "mode"),
        ({"cascade": ["prompt"]}, "cascade"),
        ({"accept": {"team": 0.8}}, "accept"),
    ],
)
def test_what_is_not_supported_is_told(keys: dict[str, Any], key: str) -> None:
    task = Task(Mixed, name="t", prompt={"model": "m"}, **keys)
    assert not_yet(task)[0].message == f"{key} is not supported in this version"
    with pytest.raises(SpecError, match=f"{key} is not supported in this version; remove it"):
        Decider(task)


def test_a_bare_label_is_held_to_no_structure() -> None:
    tuned = {"engine": "chat", "model": "ft", "structure": "tools", "messages": {"answer": {"label": "team"}}}
    (problem,) = obstacles(Task(Mixed, name="t", prompt={"model": "m"}, finetuned=tuned), "finetuned")
    assert str(problem).startswith("finetuned.structure: is for an answer that is an object")


@pytest.mark.parametrize("engine", ["chat", "decisions"])
def test_what_is_no_parameter_is_an_obstacle(engine: str) -> None:
    for params, says in [
        ({"model": "x"}, "prompt.params.model: model is no parameter; name it beside params"),
        ({"extra_body": {"model": "x"}}, "prompt.params.extra_body.model: model is no parameter"),
        ({"extra_body": 5}, "prompt.params.extra_body: expected a mapping of parameters"),
    ]:
        task = Task(with_options(3, 2).output, name="t", prompt={"engine": engine, "model": "m", "params": params})
        (problem,) = obstacles(task, "prompt")
        assert str(problem).startswith(says)


def test_what_a_decision_endpoint_cannot_be_told_is_said() -> None:
    closed = with_options(3, 2).output
    prompt = {
        "engine": "decisions",
        "model": "jev",
        "base_url": "http://127.0.0.1:9/v1",
        "samples": 5,
        "structure": "json",
    }
    found = doubts(Task(closed, name="t", prompt=prompt), "prompt")
    assert [one.split()[0] for one in found] == ["prompt.samples", "prompt.structure"]
    mixed = doubts(Task(Mixed, name="t", prompt={**prompt, "samples": 1}), "prompt")
    assert mixed == []


def test_more_answers_are_drawn_by_another_key() -> None:
    task = Task(with_options(3, 2).output, name="t", prompt={"model": "m", "params": {"n": 5}})
    (problem,) = obstacles(task, "prompt")
    assert str(problem) == "prompt.params.n: n is no parameter; write prompt.samples"
