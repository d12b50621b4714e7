"""Decisions through a LiteLLM proxy: a `/v1/decisions` server that somebody else wrote, before a real small model."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from decider.decider import Decider
from decider.decision import Decision
from decider.errors import EngineRejected
from decider.task import Task
from decision_peers import process

Decide = Callable[..., Decision[Any]]
TICKETS = [
    "I was charged twice for May and want my money back",
    "I cannot log in since this morning, and payroll is due today",
    "Which plan includes single sign-on?",
]


class Triage(BaseModel):
    team: Literal["billing", "login", "sales"] = Field(description="who has to answer")
    urgent: bool = Field(description="whether somebody is stopped in their work")
    anger: int = Field(ge=1, le=5, description="how angry the customer is")
    effort: int = Field(ge=0, le=12)
    tags: list[Literal["refund", "outage", "question"]]
    language: Literal["en", "de"] | None
    known: bool | None


@pytest.fixture(scope="module")
def proxy(sparrow: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The base URL of the proxy, and its key."""
    litellm = os.environ.get("LITELLM")
    if litellm is None:
        pytest.fail("LITELLM names no proxy; `make litellm` sets one up", pytrace=False)
    key, folder = f"sk-{secrets.token_hex(24)}", tmp_path_factory.mktemp("litellm")
    config = folder / "config.yaml"
    config.write_text(
        "model_list:\n"
        "  - model_name: gpt-sparrow\n"
        f"    litellm_params: {{model: typesafe/jev-latest, api_key: x, api_base: '{sparrow.removesuffix('/v1')}'}}\n"
    )
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
    with process([litellm, "--config", str(config)], seconds=120, log=folder / "log", env=env) as url:
        yield f"{url}/v1", key


def at(url: str, output: type[BaseModel] = Triage, **prompt: Any) -> Task[Any]:
    settings = {"engine": "decisions", "model": "gpt-sparrow", "base_url": url, "api_key_env": "PROXY_KEY", **prompt}
    return Task(output, name="triage", instructions="Decide how support handles this ticket.", prompt=settings)


@pytest.mark.parametrize("path", ["", "/decisions", "/systemone"])
def test_every_kind_of_field_is_decided(
    proxy: tuple[str, str], path: str, decide: Decide, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, key = proxy
    monkeypatch.setenv("PROXY_KEY", key)
    task = at(url + path)
    with Decider(task) as decider:
        for ticket in TICKETS:
            decision = decide(decider, ticket)
            assert isinstance(decision.output, Triage)
            assert decision.attempts == 1
            assert {one.source for one in decision.fields.values()} == {"decisions"}
            for field in task.fields:
                shares = decision.fields[field.path].probabilities
                assert shares is not None
                assert set(shares) == set(field.labels)
                assert field.kind == "tags" or sum(shares.values()) == pytest.approx(1.0)


def test_both_paths_of_the_proxy_give_the_answer_of_the_server_behind_it(
    proxy: tuple[str, str], sparrow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, key = proxy
    monkeypatch.setenv("PROXY_KEY", key)
    for ticket in TICKETS:
        rows = []
        for where in (sparrow, f"{url}/decisions", f"{url}/systemone"):
            with Decider(at(where)) as decider:
                rows.append(decider.decide(ticket).row())
        assert rows[0]["output"] == rows[1]["output"] == rows[2]["output"]
        assert rows[0]["confidence"] == pytest.approx(rows[1]["confidence"]) == pytest.approx(rows[2]["confidence"])


def test_a_wrong_key_is_said(proxy: tuple[str, str], decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = f"sk-{secrets.token_hex(24)}"
    monkeypatch.setenv("PROXY_KEY", wrong)
    with Decider(at(proxy[0])) as decider, pytest.raises(EngineRejected) as caught:
        decide(decider, TICKETS[0])
    assert caught.value.reason in ("auth", "request"), "without a database, this proxy says 400"
    assert wrong not in str(caught.value)


def test_an_unknown_model_and_too_many_questions_are_said_in_the_words_of_the_proxy(
    proxy: tuple[str, str], decide: Decide, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wide(BaseModel):
        tags: list[Literal[tuple(f"t{n}" for n in range(129))]]  # type: ignore[valid-type]  # made at run time

    url, key = proxy
    monkeypatch.setenv("PROXY_KEY", key)
    for task, words in ((at(url, model="gpt-none"), "gpt-none"), (at(url, Wide), "128")):
        with Decider(task) as decider, pytest.raises(EngineRejected, match=words):
            decide(decider, TICKETS[0])
