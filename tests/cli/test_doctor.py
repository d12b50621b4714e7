"""`decider doctor` as its user types it: what it prints, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from decider.cli import main
from probe_endpoint import Chat, Decisions, Running, running

KEY = "sk-abcdefghij0123456789"


class Ran:
    """How a command ended, and what it said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def command(*arguments: Any) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(["doctor", *(str(one) for one in arguments)])
        captured = capsys.readouterr()
        code = stopped.value.code
        assert isinstance(code, int)
        assert "Traceback" not in captured.err
        return Ran(code, captured.out, captured.err)

    return command


SPEC = """
name: t
fields: {{team: {{options: [billing, technical]}}, urgent: bool}}
prompt: {{model: m, base_url: '{url}'}}
"""


@pytest.fixture
def spec_at(tmp_path: Path) -> Callable[..., Path]:
    """Writes a spec for an endpoint."""

    def write(there: Running, more: str = "") -> Path:
        (tmp_path / "spec.yaml").write_text(SPEC.format(url=there.url) + more)
        return tmp_path / "spec.yaml"

    return write


def unframed(text: str) -> str:
    """What is said in a table, on one line."""
    return " ".join(text.replace("│", " ").split())


def test_help_has_an_example_and_fits_80_columns(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    assert "Example:  decider doctor mine/spec.yaml" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_a_good_endpoint_ends_with_0(run: Run, spec_at: Callable[..., Path]) -> None:
    with running(Chat()) as there:
        ran = run(spec_at(there))
    assert ran.code == 0
    assert f"m at {there.url}" in ran.out
    assert "Nothing has to change." in ran.out
    assert "To change" not in ran.out
    assert f"Worth a thought, below `prompt:` in {spec_at(there)}:\n" in ran.out
    assert "\n  params: {logprobs: true, top_logprobs: 20}  # logprobs\n" in ran.out
    assert "\n  price: {input: …, output: …}  # price\n" in ran.out
    assert ran.err.startswith("7 calls, ") or ran.err.startswith("8 calls, ")
    assert ran.err.endswith("tokens at an unknown price\n")


def test_what_has_to_change_ends_with_1_and_stands_in_whole_lines(run: Run, spec_at: Callable[..., Path]) -> None:
    server = Chat(schema="ignored", context=4096, models=[{"id": "a-name/" + "x" * 90}], served="a-name/" + "x" * 90)
    with running(server) as there:
        ran = run(spec_at(there, "  # end\n"))
    assert ran.code == 1
    assert f"\n  model: a-name/{'x' * 90}  # model\n" in ran.out
    assert "\n  structure: tools  # schema\n  context: 4096  # long-input\n" in ran.out
    table = [line for line in ran.out.splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, table)) <= 80
    assert unframed("\n".join(table)).replace(" ", "").count("x" * 20) > 0
    assert "…" not in "".join(table)


def test_what_no_change_helps_is_said(run: Run, spec_at: Callable[..., Path]) -> None:
    with running(Chat(schema="ignored", tools="dropped", json="prose")) as there:
        ran = run(spec_at(there))
    assert ran.code == 1
    assert "Does not work, and no line of the spec helps: schema\n" in ran.out
    assert "Nothing has to change" not in ran.out


def test_json_is_one_object(run: Run, spec_at: Callable[..., Path]) -> None:
    price = "prompt.price={input: 1, output: 2}"
    with running(Chat(models=[{"id": "m"}])) as there:
        ran = run(spec_at(there), "--json", "--set", price)
    said = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert set(said) == {"endpoint", "model", "served_model", "mode", "checks", "calls", "usage", "cost_usd"}
    assert (said["endpoint"], said["model"], said["served_model"], said["mode"]) == (there.url, "m", "m", "prompt")
    assert all(set(one) == {"code", "status", "found", "spec", "change"} for one in said["checks"])
    assert said["cost_usd"] > 0
    with running(Chat(schema="ignored")) as there:
        ran = run(spec_at(there), "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["cost_usd"] is None


def test_a_known_cost_is_said(run: Run, spec_at: Callable[..., Path]) -> None:
    with running(Chat()) as there:
        ran = run(spec_at(there), "--set", "prompt.price={input: 1, output: 2}")
    assert " tokens for $0.0" in ran.err


def test_what_is_asked_is_told_on_a_terminal(
    run: Run, spec_at: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("decider.cli.console.notes._force_terminal", True)
    with running(Chat()) as there:
        shown = run(spec_at(there))
        quiet = run(spec_at(there), "--json")
    assert "asking whether it answers\nasking which models there are\n" in shown.err
    assert quiet.err == ""


def test_a_missing_key_ends_with_2_before_anything_is_asked(run: Run, spec_at: Callable[..., Path]) -> None:
    with running(Chat()) as there:
        ran = run(spec_at(there), "--set", "prompt.api_key_env=NO_SUCH_KEY")
    assert ran.code == 2
    assert "the environment variable NO_SUCH_KEY is not set" in ran.err
    assert there.requests == []


def test_a_refused_key_ends_with_1_and_is_not_shown(
    run: Run, spec_at: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with running(Chat(key="another")) as there:
        ran = run(spec_at(there), "--set", "prompt.api_key_env=MY_KEY")
    assert ran.code == 1
    assert ran.err.startswith(f"error: {there.url} refused the key (401)")
    assert ran.out == ""
    assert KEY not in ran.err


def test_a_key_is_in_nothing_that_is_printed(
    run: Run, spec_at: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with running(Chat(key=KEY, schema="refused", logprobs="refused", context=100)) as there:
        spec = spec_at(there)
        for more in ((), ("--json",)):
            ran = run(spec, "--set", "prompt.api_key_env=MY_KEY", *more)
            assert ran.code == 1
            assert KEY not in ran.out + ran.err


def test_an_endpoint_that_is_down_ends_with_1(run: Run, spec_at: Callable[..., Path]) -> None:
    with running(Chat()) as there:
        spec = spec_at(there)
    ran = run(spec)
    assert (ran.code, ran.out) == (1, "")
    assert "cannot be reached" in ran.err


def test_a_model_folder_has_no_endpoint(run: Run, spec_at: Callable[..., Path]) -> None:
    with running(Chat()) as there:
        ran = run(spec_at(there), "--mode", "finetuned")
    assert ran.code == 2
    assert "there is no endpoint to probe; to probe that of the prompt, add --mode prompt" in ran.err
    assert there.requests == []


@pytest.mark.parametrize(("more", "says"), [("cascade: [finetuned, prompt]\n", "cascade"), ("mode: 1\n", "mode")])
def test_a_spec_that_decides_nothing_ends_with_2(run: Run, spec_at: Callable[..., Path], more: str, says: str) -> None:
    with running(Chat()) as there:
        ran = run(spec_at(there, more))
    assert ran.code == 2
    assert says in ran.err


def test_open_fields_beside_a_model_folder_are_probed_where_they_are_asked(
    run: Run, spec_at: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    with running(Chat(answer='{"note": "x"}')) as there:
        spec = spec_at(there, "finetuned: {model: model}\n")
        spec.write_text(spec.read_text().replace("urgent: bool", "note: text"))
        ran = run(spec, "--mode", "finetuned", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["mode"] == "finetuned"
    assert "team" not in there.bodies[1]["messages"][0]["content"]


def test_a_tuned_model_is_probed_where_it_is(run: Run, spec_at: Callable[..., Path]) -> None:
    with running(Chat(context=4096, served="ft")) as there:
        ran = run(spec_at(there, "finetuned: {engine: chat, model: ft}\n"), "--mode", "finetuned")
    assert ran.code == 1
    assert f"ft at {there.url}" in ran.out
    assert "To change, below `finetuned:` in" in ran.out
    assert {body["model"] for body in there.bodies} == {"ft"}


def test_open_fields_beside_a_decision_endpoint_are_not_probed(run: Run, spec_at: Callable[..., Path]) -> None:
    with running(Decisions(path="/decisions")) as there:
        spec = spec_at(there)
        spec.write_text(
            spec.read_text()
            .replace("urgent: bool", "urgent: bool, note: text")
            .replace("m, ", "m, engine: decisions, ")
        )
        ran = run(spec)
    assert ran.code == 0
    assert "not probed: how the engine chat asks m for note\n" in ran.err
    assert {path for path, _ in there.requests} == {"/v1/models", "/v1/systemone", "/v1/decisions"}


def test_nothing_that_an_endpoint_says_reaches_the_terminal_as_an_order(run: Run, spec_at: Callable[..., Path]) -> None:
    name = "a\x1b]0;owned\x07b\nc"
    with running(Chat(models=[{"id": name}], served=name)) as there:
        ran = run(spec_at(there))
    assert "a]0;ownedb c" in ran.out
    assert "\x1b" not in ran.out


def test_a_real_server_is_told_of_in_whole_sentences(run: Run, llama: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(
        f"name: t\nfields: {{urgent: bool}}\nprompt: {{model: m, base_url: '{llama}', context: 256}}\n"
    )
    ran = run(tmp_path / "spec.yaml")
    assert ran.code == 1, "the server calls its model otherwise"
    assert "192 tokens are kept whole" in unframed(ran.out)
    assert "SmolLM2" in ran.out
