"""What the probe says of endpoints with the habits of real servers, and of a real one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, model_validator

from decider import Decider, Task
from decider.engines.probe import Diagnosis, Finding, diagnose
from decider.errors import EngineError, EngineRejected, EngineUnavailable
from probe_endpoint import PLAIN, Chat, Decisions, Running, Said, Server, refusal, running

TODAY = date(2026, 11, 23)


class Triage(BaseModel):
    team: Literal["billing", "technical"]
    urgent: bool


class Note(BaseModel):
    note: str


def task_at(url: str, output: type[BaseModel] = Triage, **more: Any) -> Task[Any]:
    prompt = {"model": "m", "base_url": url, **more.pop("prompt", {})}
    return Task(output, name="triage", instructions="Decide.", prompt=prompt, **more)


def probed(server: Server, output: type[BaseModel] = Triage, **more: Any) -> Diagnosis:
    with running(server) as there:
        how = {name: more.pop(name) for name in ("role", "engine", "fields") if name in more}
        return diagnose(task_at(there.url, output, **more), today=TODAY, **how)


def by_code(diagnosis: Diagnosis) -> dict[str, Finding]:
    codes = [one.code for one in diagnosis.checks]
    assert len(set(codes)) == len(codes)
    return {one.code: one for one in diagnosis.checks}


def finding(server: Server, code: str, output: type[BaseModel] = Triage, **more: Any) -> tuple[str, str, str | None]:
    """Status, what was found, and the change, of one check."""
    one = by_code(probed(server, output, **more))[code]
    return one.status, one.found, one.change


# A good endpoint


def test_a_good_endpoint_is_as_the_spec_says() -> None:
    price = {"input": 1.0, "output": 2.0}
    with running(Chat(models=[{"id": "m"}])) as there:
        diagnosis = diagnose(task_at(there.url, prompt={"price": price}), today=TODAY)
    assert diagnosis.good
    assert [one.code for one in diagnosis.checks] == [
        "model", "structure", "schema", "tools", "json", "logprobs", "long-input", "usage", "price",
    ]  # fmt: skip
    assert {one.status for one in diagnosis.checks} == {"ok"}
    assert (diagnosis.calls, len(there.requests)) == (8, 8)
    tokens = diagnosis.usage
    assert tokens.output_tokens == 7 * 3
    assert diagnosis.cost_usd == pytest.approx((tokens.input_tokens + 2 * tokens.output_tokens) / 1e6)
    assert by_code(diagnosis)["price"].found == "$1 in, $2 out for a million tokens"
    assert diagnosis.to_json() == {
        "endpoint": there.url,
        "model": "m",
        "served_model": "m",
        "mode": "prompt",
        "checks": [
            {"code": one.code, "status": one.status, "found": one.found, "spec": one.spec, "change": one.change}
            for one in diagnosis.checks
        ],
        "calls": 8,
        "usage": {"input_tokens": tokens.input_tokens, "output_tokens": 21, "cached_tokens": 0, "written_tokens": 0},
        "cost_usd": diagnosis.cost_usd,
    }


def test_every_answer_is_limited() -> None:
    with running(Chat()) as there:
        diagnose(task_at(there.url, prompt={"params": {"extra_body": {"top_k": 1}}}))
    assert [body["max_tokens"] for body in there.bodies] == [256, 1024, 256, 256, 256, 256, 256]
    assert all(body["top_k"] == 1 for body in there.bodies)


def test_a_model_that_thinks_gets_room_for_it() -> None:
    with running(Chat(thinks=300)) as there:
        diagnose(task_at(there.url))
    assert {body["max_tokens"] for body in there.bodies[2:]} == {600}


def test_a_limit_of_the_spec_stands() -> None:
    with running(Chat(limits=("max_completion_tokens",))) as there:
        diagnose(task_at(there.url, prompt={"params": {"max_completion_tokens": 77}}))
    own = there.bodies[1]
    assert own["max_completion_tokens"] == 77
    assert all("max_tokens" not in body for body in there.bodies)


def test_the_other_name_of_the_limit_is_tried() -> None:
    with running(Chat(limits=("max_completion_tokens",))) as there:
        found = diagnose(task_at(there.url))
    assert found.good
    assert [("max_tokens" in body) for body in there.bodies] == [True, *[False] * 7]


def test_deciding_sends_the_same_before_and_after(tmp_path: Path) -> None:
    with running(Chat(schema="ignored")) as there:
        (tmp_path / "spec.yaml").write_text(
            "name: t\nfields: {team: {options: [billing, technical]}, urgent: bool}\n"
            f"prompt: {{model: m, base_url: '{there.url}'}}\n"
        )
        task: Task[Any] = Task.load(tmp_path / "spec.yaml")
        with Decider(task) as decider:
            before = decider.decide("hello").output
            diagnose(task)
            assert decider.decide("hello").output == before
        again: Task[Any] = Task.load(tmp_path / "spec.yaml")
    assert there.bodies[0] == there.bodies[-1]
    assert task == again
    assert [file.name for file in tmp_path.iterdir()] == ["spec.yaml"]


def test_no_example_of_the_task_is_sent(tmp_path: Path) -> None:
    secret = "Ana Example, Elm Street 5"
    (tmp_path / "rows.jsonl").write_text(f'{{"input": "{secret}", "output": {{"team": "billing", "urgent": true}}}}\n')
    with running(Chat()) as there:
        task = task_at(there.url, folder=tmp_path, prompt={"examples": {"file": "rows.jsonl"}})
        diagnose(task)
    assert task.examples
    assert secret not in str(there.requests)


class Level(IntEnum):
    low = 1
    high = 2


class Place(BaseModel):
    city: str
    since: date


class Ticket(BaseModel):
    subject: str
    tier: Literal["free", "pro"]
    level: Level
    seats: int
    score: float
    vip: bool
    labels: list[Literal["a", "b"]]
    place: Place
    extra: dict[str, str] | None = None


def test_the_input_says_nothing_and_has_the_form_of_the_task() -> None:
    with running(Chat()) as there:
        diagnose(task_at(there.url, input=Ticket))
    assert there.bodies[1]["messages"][-1]["content"] == (
        '{"subject":"example","tier":"free","level":1,"seats":1,"score":1,"vip":false,"labels":["a"],'
        '"place":{"city":"example","since":"2026-01-01"},"extra":"example"}'
    )


# Reaching it


def test_an_endpoint_that_is_down_is_an_error() -> None:
    with running(Chat()) as there:
        pass
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        diagnose(task_at(there.url))


def test_a_refused_key_is_an_error_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-wrong-1234567890")
    with running(Chat(key="right")) as there, pytest.raises(EngineRejected, match="refused the key") as raised:
        diagnose(task_at(there.url, prompt={"api_key_env": "MY_KEY"}))
    assert raised.value.reason == "auth"
    assert "1234567890" not in str(raised.value)


UNKNOWN: Said = (404, {"error": {"message": "The model does not exist"}})


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (["mm", "other"], "; it lists mm$"),
        (["b1", "b2", "b3", "b4", "b5", "b6"], "; it lists b1, b2, b3, b4, b5 and 1 more$"),
        (["m"], "The model does not exist$"),
        (None, "The model does not exist$"),
    ],
)
def test_an_unknown_model_is_an_error_that_says_which_there_are(models: list[str] | None, says: str) -> None:
    listed = None if models is None else [{"id": name} for name in models]
    says = says.replace("mm$", "mm and 1 more$")
    with pytest.raises(EngineRejected, match=says) as raised:
        probed(Chat(models=listed, failures=[UNKNOWN]))
    assert raised.value.reason == "model"


def test_an_endpoint_that_refuses_everything_is_an_error_with_its_words() -> None:
    params = {"temperature": 0, "seed": 1}
    with running(Chat(failures=[refusal("no chat here")] * 9)) as there, pytest.raises(EngineRejected, match="no chat"):
        diagnose(task_at(there.url, prompt={"params": params}))
    assert len(there.requests) == 6


def test_an_endpoint_that_is_busy_is_asked_once_more() -> None:
    busy: Said = (429, {"error": {"message": "slow down"}})
    assert probed(Chat(failures=[busy])).good
    with pytest.raises(EngineUnavailable, match="slow down"):
        probed(Chat(failures=[busy, busy]))


def test_a_call_that_hangs_ends_at_the_deadline() -> None:
    begun = time.monotonic()
    with (
        running(Chat(), pause=2.0) as there,
        pytest.raises(EngineUnavailable, match=r"within 0.1 s \(retry.deadline\)"),
    ):
        diagnose(task_at(there.url, retry={"deadline": "100ms"}))
    assert time.monotonic() - begun < 2.0


# The model


@pytest.mark.parametrize(
    ("models", "served", "expected"),
    [
        (None, "m", ("ok", "answers as m", None)),
        (None, None, ("ok", "answers, and does not say as which model", None)),
        ("<html>", "m", ("ok", "answers as m", None)),
        ([{"id": "m"}], "m-2026-10-01", ("ok", "answers as m-2026-10-01", None)),
        ([{"id": "other"}], "m", ("ok", "answers as m, and lists no m", None)),
        ([{"id": "other"}], "other", ("differs", "answers as other, and lists no m", "model: other")),
        ([{"id": "@cf/x"}], "@cf/x", ("differs", "answers as @cf/x, and lists no m", 'model: "@cf/x"')),
    ],
)
def test_the_model_that_answers_is_named(
    models: Any, served: str | None, expected: tuple[str, str, str | None]
) -> None:
    assert finding(Chat(models=models, served=served), "model") == expected


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("2027-01-14", "stops answering on 2027-01-14, as its provider announced"),
        ("2026-10-23T00:00:00Z", "stopped answering on 2026-10-23, as its provider announced"),
        (1800000000, "stops answering on 2027-01-15, as its provider announced"),
    ],
)
def test_a_model_that_ends_has_to_be_replaced(said: Any, found: str) -> None:
    server = Chat(models=[{"id": "m", "shutdown_date": said}])
    assert finding(server, "shutdown") == ("differs", found, "model: …")


@pytest.mark.parametrize("said", [None, "soon", [], 1e99, -1e18])
def test_an_end_that_nobody_can_read_is_none(said: Any) -> None:
    assert "shutdown" not in by_code(probed(Chat(models=[{"id": "m", "shutdown_date": said}])))


# The structures


def test_a_schema_that_is_ignored_is_replaced_by_what_works() -> None:
    assert finding(Chat(schema="ignored"), "schema") == ("differs", "ignored", "structure: tools")
    assert finding(Chat(schema="ignored", tools="dropped"), "schema") == ("differs", "ignored", "structure: json")
    none = Chat(schema="ignored", tools="refused", json="prose")
    assert finding(none, "schema") == ("fails", "ignored", None)
    checks = by_code(probed(none))
    assert checks["structure"].status == "ok"
    assert checks["tools"].found == "refused the request (400): this is not supported here"
    assert checks["json"].found == "is not JSON"


def test_a_schema_that_is_answered_with_prose_is_ignored() -> None:
    checks = by_code(probed(Chat(schema="prose")))
    assert (checks["schema"].found, checks["schema"].change) == ("ignored", "structure: tools")
    assert (checks["structure"].status, checks["structure"].change) == ("fails", None)


def test_a_schema_that_is_refused_fails_and_the_structure_is_another_one() -> None:
    checks = by_code(probed(Chat(schema="refused")))
    said = "refused the request (400): this is not supported here"
    assert (checks["structure"].status, checks["structure"].found) == ("fails", said)
    assert checks["structure"].change == "structure: tools"
    assert (checks["schema"].status, checks["schema"].found, checks["schema"].change) == ("fails", said, None)


def test_what_was_cut_off_or_refused_by_the_model_tells_nothing() -> None:
    for habit, found, also in (
        ("cut off", "was not finished within the tokens that it was allowed", "truncated"),
        ("none", "was refused by the model", "refused"),
    ):
        checks = by_code(probed(Chat(schema=habit)))
        assert (checks["structure"].status, checks["structure"].found) == ("unknown", found)
        assert (checks["schema"].status, checks["schema"].found) == ("unknown", f"unclear: the answer was {also}")


def test_what_was_cut_off_by_the_limit_of_the_spec_fails() -> None:
    status, found, _ = finding(Chat(schema="cut off"), "structure", prompt={"params": {"max_tokens": 9}})
    assert (status, found) == ("fails", "was not finished within the tokens that it was allowed")


@pytest.mark.parametrize("structure", ["tools", "json", "md_json"])
def test_another_structure_is_probed_as_it_is_used(structure: str) -> None:
    checks = by_code(probed(Chat(), prompt={"structure": structure}))
    assert (checks["structure"].status, checks["structure"].spec) == ("ok", f"structure: {structure}")
    assert checks["schema"].change == "structure: schema"
    assert structure not in checks
    assert ("logprobs" in checks) == (structure != "tools")
    assert {one.status for one in checks.values()} <= {"ok", "unknown"}


def test_another_structure_that_fails_is_replaced_by_the_strictest() -> None:
    tools = Chat(tools="dropped")
    said = "the reply did not call the tool 'decision'"
    assert finding(tools, "structure", prompt={"structure": "tools"}) == ("fails", said, "structure: schema")
    checks = by_code(probed(Chat(tools="dropped", schema="refused"), prompt={"structure": "tools"}))
    assert (checks["structure"].change, checks["schema"].change) == ("structure: json", None)
    assert checks["schema"].status == "ok"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("[1]", "is JSON, and no object"),
        ('{"team": "billing"}', "does not fit the schema: urgent: Field required"),
        ('{"team": "x", "urgent": true}', "does not fit the schema: team: Input should be 'billing' or 'technical'"),
        (
            '{"team": "billing", "urgent": true, "why": 1}',
            "does not fit the schema: why: Extra inputs are not permitted",
        ),
    ],
)
def test_what_does_not_fit_is_said(answer: str, found: str) -> None:
    assert finding(Chat(answer=answer), "structure") == ("fails", found, None)


class Ruled(Triage):
    @model_validator(mode="after")
    def _rule(self) -> Ruled:
        if self.urgent:
            raise ValueError("never urgent")
        return self


class Broken(Triage):
    @model_validator(mode="after")
    def _rule(self) -> Broken:
        raise KeyError("a rule that reads what is not there")


class Addressed(BaseModel):
    place: Place | None
    team: Literal["billing", "technical"]


@pytest.mark.parametrize("output", [Ruled, Broken])
def test_a_rule_of_the_whole_record_is_no_matter_of_the_endpoint(output: type[BaseModel]) -> None:
    assert finding(Chat(), "structure", output)[:2] == ("ok", "a valid answer")


def test_a_part_of_a_field_is_of_the_field() -> None:
    answer = '{"place": {"city": "x"}, "team": "billing"}'
    found = "does not fit the schema: place.since: Field required"
    assert finding(Chat(answer=answer), "structure", Addressed)[:2] == ("fails", found)


def test_fields_that_are_not_asked_are_not_missed() -> None:
    with running(Chat(answer='{"urgent": true}')) as there:
        task = task_at(there.url)
        diagnosis = diagnose(task, fields=task.fields[1:])
    assert by_code(diagnosis)["structure"].status == "ok"


# Log-probabilities


def test_log_probabilities_that_nobody_asked_for_are_offered() -> None:
    offer = "params: {logprobs: true, top_logprobs: 20}"
    assert finding(Chat(), "logprobs") == ("ok", "a probability for each option", offer)
    more = finding(Chat(), "logprobs", prompt={"params": {"seed": 1}})
    assert more[2] == "add logprobs: true, top_logprobs: 20 to params"


@pytest.mark.parametrize(
    ("habit", "found"),
    [
        ("absent", "absent"),
        ("misaligned", "present, and not aligned with the answer"),
        ("thin", "present, and too thin for any field: too much lies on tokens that are not listed"),
        ("thin for the task", "present, and too thin for these fields: too much lies on tokens that are not listed"),
        ("partly", "for 1 of 2 fields"),
    ],
)
def test_log_probabilities_that_are_of_no_use_do_not_matter_unless_asked_for(habit: str, found: str) -> None:
    asking = {"params": {"logprobs": True, "top_logprobs": 5}}
    assert finding(Chat(logprobs=habit), "logprobs") == ("ok", found, None)
    change = "remove logprobs from params"
    assert finding(Chat(logprobs=habit), "logprobs", prompt=asking) == ("differs", found, change)


@pytest.mark.parametrize("structure", ["json", "md_json"])
def test_why_there_are_no_log_probabilities_is_asked_in_the_structure_of_the_spec(structure: str) -> None:
    with running(Chat(logprobs="absent")) as there:
        diagnosis = diagnose(task_at(there.url, prompt={"structure": structure}))
    assert by_code(diagnosis)["logprobs"].found == "absent"
    formats = [body.get("response_format") for body in there.bodies if body.get("logprobs")]
    assert formats == [{"type": "json_object" if structure == "json" else "text"}] * 2


def test_refused_log_probabilities_are_no_failure_unless_asked_for() -> None:
    said = "refused the request (400): logprobs are not supported with this model"
    diagnosis = probed(Chat(logprobs="refused"))
    assert diagnosis.good
    assert by_code(diagnosis)["logprobs"].found == said
    asking = {"params": {"logprobs": True, "top_logprobs": 5}}
    checks = by_code(probed(Chat(logprobs="refused"), prompt=asking))
    assert (checks["logprobs"].status, checks["logprobs"].found) == ("fails", said)
    assert checks["structure"].status == "ok"


def test_log_probabilities_that_work_as_asked_are_ok() -> None:
    asking = {"params": {"logprobs": True, "top_logprobs": 5}}
    with running(Chat()) as there:
        checks = by_code(diagnose(task_at(there.url, prompt=asking)))
    assert (checks["logprobs"].status, checks["logprobs"].spec) == ("ok", "params: logprobs")
    assert [body.get("top_logprobs") for body in there.bodies] == [None, 5, None, None, None, None]


def test_log_probabilities_of_an_answer_that_did_not_come_are_unknown() -> None:
    asking = {"params": {"logprobs": True}}
    checks = by_code(probed(Chat(schema="refused"), prompt=asking))
    said = "refused the request (400): this is not supported here"
    assert (checks["logprobs"].status, checks["logprobs"].found) == ("unknown", said)
    assert checks["logprobs"].change is None


def test_log_probabilities_of_open_fields_are_of_no_use() -> None:
    checks = by_code(probed(Chat(answer='{"note": "x"}'), Note))
    assert checks["logprobs"].found == "of no use with these fields"


def test_log_probabilities_of_a_tool_call_are_not_read() -> None:
    asking = {"structure": "tools", "params": {"logprobs": True}}
    found = ("differs", "of no use with such answers", "remove logprobs from params")
    assert finding(Chat(), "logprobs", prompt=asking) == found


def test_why_there_are_no_log_probabilities_may_stay_unknown() -> None:
    hiccup: Said = (500, {"error": {"message": "out of order"}})

    class Moody(Chat):
        def respond(self, path: str, headers: Any, body: Any) -> Said:
            tomato = body is not None and "tomato" in str(body["messages"])
            return hiccup if tomato else super().respond(path, headers, body)

    assert finding(Moody(logprobs="absent"), "logprobs")[1] == "answered 500: out of order"


def test_a_schema_that_gets_no_answer_is_unclear() -> None:
    class Moody(Chat):
        def respond(self, path: str, headers: Any, body: Any) -> Said:
            purple = body is not None and "purple" in str(body["messages"])
            return (500, {"error": "out of order"}) if purple else super().respond(path, headers, body)

    assert finding(Moody(), "schema") == ("unknown", "unclear: answered 500: out of order", None)


# Parameters


def test_a_refused_temperature_is_to_be_removed() -> None:
    checks = by_code(probed(Chat(refuses=("temperature",)), prompt={"params": {"temperature": 0, "seed": 1}}))
    said = "refused the request (400): unsupported parameter temperature"
    one = checks["params"]
    assert (one.status, one.found, one.change) == ("fails", said, "remove temperature from params")
    assert one.spec == "params: temperature, seed"
    assert checks["structure"].status == "ok"
    alone = finding(Chat(refuses=("temperature",)), "params", prompt={"params": {"temperature": 0}})
    assert alone == ("fails", said, "remove temperature from params")


def test_other_refused_parameters_are_to_be_removed() -> None:
    refused = finding(Chat(refuses=("seed",)), "params", prompt={"params": {"temperature": 0, "seed": 1}})
    said = "refused the request (400): unsupported parameter seed"
    assert refused == ("fails", said, "remove what it names from params")


def test_parameters_that_are_taken_are_ok_whatever_the_limit_is_called() -> None:
    server = Chat(limits=("max_completion_tokens",))
    assert finding(server, "params", prompt={"params": {"seed": 1}}) == ("ok", "taken", None)


# Long inputs


@pytest.mark.parametrize(
    ("server", "prompt", "expected"),
    [
        (Chat(), {}, ("ok", "6,000 tokens are kept whole", None)),
        (
            Chat(models=[{"id": "m", "max_model_len": 8192}]),
            {},
            ("ok", "6,000 tokens are kept whole, and it lists a context of 8,192", "context: 8192"),
        ),
        (
            Chat(models=[{"id": "m", "meta": {"n_ctx": 8192}}]),
            {"context": 8000},
            ("ok", "6,000 tokens are kept whole", None),
        ),
        (
            Chat(models=[{"id": "m", "context_window": 4096}]),
            {"context": 5000},
            ("differs", "3,750 tokens are kept whole, and it lists a context of 4,096", "context: 4096"),
        ),
        (Chat(context=4096), {"context": 600}, ("ok", "450 tokens are kept whole", None)),
        (
            Chat(context=11, beyond="cut"),
            {},
            ("unknown", "counted as 11 of 6,000 tokens, which no model is cut to", None),
        ),
        (
            Chat(context=4096, beyond="cut"),
            {},
            ("differs", "cut silently: 4,096 of 6,000 tokens", "context: 4096"),
        ),
        (
            Chat(context=4096),
            {},
            (
                "differs",
                "6,000 tokens: refused the request (400): maximum context length is 4,096 tokens, you sent 6003",
                "context: 4096",
            ),
        ),
        (Chat(usage=False), {}, ("unknown", "taken; it does not say how much of it", None)),
    ],
)
def test_a_long_input_is_kept_whole_or_not(
    server: Chat, prompt: dict[str, Any], expected: tuple[str, str, str | None]
) -> None:
    assert finding(server, "long-input", prompt=prompt) == expected


def test_the_context_that_is_listed_is_better_than_one_in_a_message() -> None:
    server = Chat(context=2048, models=[{"id": "m", "context_length": 2000}])
    assert finding(server, "long-input")[2] == "context: 2000"


def test_a_long_input_that_is_refused_without_a_number_leaves_it_open() -> None:
    class Silent(Chat):
        def respond(self, path: str, headers: Any, body: Any) -> Said:
            long = body is not None and len(str(body)) > 9000
            return refusal("too long") if long else super().respond(path, headers, body)

    assert finding(Silent(), "long-input")[2] == "context: …"


def test_a_long_input_that_is_not_answered_tells_nothing() -> None:
    class Slow(Chat):
        def respond(self, path: str, headers: Any, body: Any) -> Said:
            long = body is not None and len(str(body)) > 9000
            return (503, "x" * 500) if long else super().respond(path, headers, body)

    status, found, change = finding(Slow(), "long-input")
    assert (status, change) == ("unknown", None)
    assert found.startswith("6,000 tokens: answered 503")


# Usage and price


def test_usage_that_is_not_told_matters_where_it_has_a_price() -> None:
    diagnosis = probed(Chat(usage=False))
    found = "not reported: what decisions cost stays unknown"
    assert (by_code(diagnosis)["usage"].status, by_code(diagnosis)["usage"].found) == ("unknown", found)
    assert diagnosis.good
    priced = probed(Chat(usage=False), prompt={"price": {"input": 1, "output": 1}})
    assert by_code(priced)["usage"].status == "fails"
    assert priced.cost_usd is None


def test_usage_that_is_told_now_and_then_is_not_told() -> None:
    class Now(Chat):
        def respond(self, path: str, headers: Any, body: Any) -> Said:
            self.usage = body is not None and "tools" in body
            return super().respond(path, headers, body)

    assert finding(Now(), "usage")[1] == "not reported with each answer: what decisions cost stays unknown"


def test_a_price_that_nobody_knows_is_asked_for() -> None:
    found = "in none of the published lists"
    assert finding(Chat(), "price") == ("unknown", found, "price: {input: …, output: …}")


# A model tuned elsewhere


TUNED = {"engine": "chat", "model": "ft"}


def test_a_tuned_model_is_probed_at_the_endpoint_of_the_prompt() -> None:
    with running(Chat(served="ft")) as there:
        diagnosis = diagnose(task_at(there.url, finetuned=TUNED), role="finetuned", mode="finetuned")
    assert (diagnosis.model, diagnosis.mode) == ("ft", "finetuned")
    assert {body["model"] for body in there.bodies} == {"ft"}
    assert by_code(diagnosis)["structure"].status == "ok"


@pytest.mark.parametrize(
    ("answer", "server", "spec", "codes"),
    [
        ("json", Chat(), "structure: schema", {"schema", "logprobs"}),
        ("tool", Chat(), "structure: tools", {"schema"}),
        ({"label": "team"}, Chat(answer=" billing "), "answer: {label: team}", set()),
    ],
)
def test_a_model_tuned_elsewhere_is_probed_in_its_own_words_alone(
    answer: Any, server: Chat, spec: str, codes: set[str]
) -> None:
    tuned = {**TUNED, "messages": {"answer": answer}}
    with running(server) as there:
        task = task_at(there.url, finetuned=tuned)
        fields = task.fields[:1] if answer == {"label": "team"} else task.fields
        checks = by_code(diagnose(task, role="finetuned", fields=fields))
    assert (checks["structure"].status, checks["structure"].spec) == ("ok", spec)
    assert checks.keys() - {"model", "structure", "long-input", "usage", "price"} == codes
    assert checks["structure"].change is None
    assert there.bodies[1]["messages"] == [{"role": "user", "content": "This is an example."}]


# Decision endpoints


CODES = ["model", "dialect", "predicate", "choice", "score", "probabilities", "fields", "usage", "price"]


class Rated(Triage):
    level: Level


@contextmanager
def deciding(server: Decisions, output: type[BaseModel] = Triage, **prompt: Any) -> Iterator[tuple[Diagnosis, Running]]:
    with running(server) as there:
        url = there.url + prompt.pop("path", "")
        task = task_at(url, output, prompt={"engine": "decisions", **prompt})
        yield diagnose(task, engine="decisions", today=TODAY), there


@pytest.mark.parametrize("path", ["/decisions", "/systemone"])
def test_a_good_decision_endpoint_is_as_the_spec_says(path: str) -> None:
    with deciding(Decisions(path=path, models=[{"id": "m"}]), Rated, path=path) as (diagnosis, there):
        assert diagnosis.good
        assert [one.code for one in diagnosis.checks] == CODES
        assert by_code(diagnosis)["dialect"].found == path
        assert by_code(diagnosis)["dialect"].change is None
        assert diagnosis.served_model == "d-1"
        assert diagnosis.endpoint == there.url
        assert (diagnosis.calls, len(there.requests)) == (5, 5)
        assert diagnosis.usage.input_tokens == 4 * 20


def test_the_dialect_that_answers_is_found_and_offered() -> None:
    with deciding(Decisions()) as (diagnosis, there):
        one = by_code(diagnosis)["dialect"]
        assert one.found == "/decisions, and there is no /systemone"
        assert one.change == f"base_url: {there.url}/decisions"
        assert [path for path, body in there.requests if body][:2] == ["/v1/systemone", "/v1/decisions"]
        assert diagnosis.good


def test_an_endpoint_of_no_dialect_is_an_error() -> None:
    with pytest.raises(EngineRejected, match="the path is wrong"), deciding(Decisions(path="/other")):
        pass


def test_a_decision_endpoint_that_is_down_or_busy_is_an_error() -> None:
    busy: Said = (503, {"detail": "busy"})
    with pytest.raises(EngineError, match="busy"), deciding(Decisions(failures=[busy, busy])):
        pass


@pytest.mark.parametrize(
    ("wrong", "how", "found"),
    [
        ("predicate", "refused", "refused the request (400): no such question here"),
        ("choice", "refused", "refused the request (400): no such question here"),
        ("predicate", "bare", "no answer to the question"),
        ("choice", "page", "http"),
    ],
)
def test_a_question_that_is_not_answered_fails_where_the_task_asks_it(wrong: str, how: str, found: str) -> None:
    with deciding(Decisions(wrong=(wrong,), how=how), path="/decisions") as (diagnosis, _):
        checks = by_code(diagnosis)
        assert checks[wrong].status == checks["fields"].status == "fails"
        assert checks[wrong].found.startswith(found)
        assert [one.code for one in diagnosis.checks] == CODES


def test_a_question_that_the_task_does_not_ask_does_not_matter() -> None:
    with deciding(Decisions(wrong=("score",)), path="/decisions") as (diagnosis, _):
        assert diagnosis.good
        assert by_code(diagnosis)["score"].found == "refused the request (400): no such question here"


def test_probabilities_that_do_not_add_up_are_said() -> None:
    with deciding(Decisions(wrong=("choice", "score"), how="uneven"), Rated, path="/decisions") as (diagnosis, _):
        one = by_code(diagnosis)["probabilities"]
        assert (one.status, one.found) == ("fails", "none that add up to 1: choice, score")


def test_refused_answers_tell_nothing_of_probabilities() -> None:
    every = ("predicate", "choice", "score")
    with deciding(Decisions(wrong=every, how="nothing", usage=False), Rated, path="/decisions") as (diagnosis, _):
        checks = by_code(diagnosis)
        assert (checks["probabilities"].status, checks["usage"].status) == ("unknown", "unknown")
        assert (checks["fields"].status, checks["fields"].found) == ("unknown", "was refused by the model")


# A real server


def test_a_real_server_is_seen_as_it_is(llama: str) -> None:
    diagnosis = diagnose(task_at(llama))
    checks = by_code(diagnosis)
    assert checks["model"].status == "differs"
    assert checks["model"].change == f"model: {diagnosis.served_model}"
    assert (checks["structure"].found, checks["schema"].found) == ("a valid answer", "honoured")
    assert checks["tools"].found.startswith(("the reply did not call the tool 'decision'", "was not finished"))
    assert checks["logprobs"].status == "ok"
    assert checks["logprobs"].found.startswith(("present, and ", "for 1 of 2"))
    assert checks["long-input"].found.startswith("6,000 tokens: refused the request (400)")
    assert (checks["long-input"].status, checks["long-input"].change) == ("differs", "context: 4096")
    assert checks["usage"].status == "ok"
    assert diagnosis.cost_usd is None
    assert PLAIN not in str(diagnosis)


def test_a_decision_endpoint_is_probed_with_what_it_would_be_asked_with() -> None:
    with deciding(Decisions(), params={"extra_body": {"seed": 1}}) as (_, there):
        bodies = there.bodies
    assert bodies
    assert all(body["seed"] == 1 and "extra_body" not in body for body in bodies)
