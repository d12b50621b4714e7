"""Every command as its user types it: what it prints, what it leaves on disk, and how it ends."""

from __future__ import annotations

import io
import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from decider.cli import main
from decider.spec import editor_schema, read
from decider.task import Task
from endpoint import completion, serve


class Ran:
    """How a command ended, and what it said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def command(*arguments: Any) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(one) for one in arguments])
        captured = capsys.readouterr()
        code = stopped.value.code
        assert isinstance(code, int)
        assert "Traceback" not in captured.err
        return Ran(code, captured.out, captured.err)

    return command


@pytest.fixture(scope="session")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `init` wrote, with a model trained on its rows."""
    folder = tmp_path_factory.mktemp("init") / "mine"
    with pytest.raises(SystemExit) as stopped:
        main(["init", str(folder)])
    assert stopped.value.code == 0
    with pytest.raises(SystemExit) as stopped:
        main(["train", str(folder / "spec.yaml"), str(folder / "rows.jsonl"), "-o", str(folder / "models/triage")])
    assert stopped.value.code == 0
    return folder


TRAINED = ("--mode", "finetuned", "--set", "finetuned.model=models/triage")


@pytest.mark.parametrize("command", ["demo", "init", "check", "decide", "train", "evaluate"])
def test_help_has_an_example(run: Run, command: str) -> None:
    ran = run(command, "--help")
    assert ran.code == 0
    assert f"Example:  decider {command}" in ran.out


def test_help_shows_the_first_commands_first_and_the_version_is_said(run: Run) -> None:
    said = run("--help").out
    assert said.index("First steps") < said.index("From data to a model") < said.index("Measure")
    assert run("--version").out.startswith("decider 0.")
    assert run().code == 2


def test_init_writes_a_working_decision(run: Run, tmp_path: Path) -> None:
    ran = run("init", tmp_path / "mine", "--json")
    assert ran.code == 0
    names = {Path(file).name for file in ran.json()["files"]}
    assert names == {"spec.yaml", "decider.schema.json", "rows.jsonl", "decide.py"}
    again = run("init", tmp_path / "mine")
    assert again.code == 2
    assert "is there already; name a new folder; nothing was written" in again.err
    assert run("check", tmp_path / "mine" / "spec.yaml").code == 0


def test_what_init_writes_fits_the_schema_for_editors(mine: Path) -> None:
    schema = json.loads((mine / "decider.schema.json").read_text())
    assert schema == editor_schema()
    Draft202012Validator.check_schema(schema)
    assert list(Draft202012Validator(schema).iter_errors(read(mine / "spec.yaml").data)) == []


def test_the_program_that_init_writes_decides(
    mine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serve(completion('{"category": "bug", "priority": "low", "escalate": false}')) as endpoint:
        spec = (
            (mine / "spec.yaml").read_text().replace("  model: gpt-6-luna", f"  model: m\n  base_url: {endpoint.url}")
        )
        (tmp_path / "spec.yaml").write_text(spec)
        (tmp_path / "decide.py").write_text((mine / "decide.py").read_text())
        monkeypatch.setattr(sys, "argv", ["decide.py", "it crashes"])
        kept: dict[Any, Any] = {}
        monkeypatch.setattr("decider.decider._kept", kept)
        runpy.run_path(str(tmp_path / "decide.py"))
        for _, decider in kept.values():
            decider.close()
    assert "category: 'bug' (probability: None)" in capsys.readouterr().out


MIXED = """\
name: mixed
instructions: Decide.
fields:
  team: {options: [billing, login]}
  tags: {type: tags, options: [a, b, c]}
  note: text
prompt: {engine: decisions, model: jev-latest, base_url: "http://127.0.0.1:9/v1"}
finetuned: {engine: chat, model: ft, messages: {answer: {label: team}}}
"""


def test_check_shows_what_each_engine_does_with_each_field(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(MIXED)
    ran = run("check", tmp_path / "spec.yaml")
    assert ran.code == 0
    rows = {line.split("│")[1].strip(): line for line in ran.out.splitlines() if line.startswith("│")}
    assert "1 question" in rows["team"]
    assert "asked by the prompt" not in rows["team"]
    assert "3 questions" in rows["tags"]
    assert "asked by" in rows["note"]
    assert "mode finetuned: ready" in ran.out


def test_check_warns_of_what_may_not_be_meant(run: Run, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    sets = ["prompt.samples=3", "prompt.params={temperature: 0}", "prompt.structure=tools"]
    ran = run("check", mine / "spec.yaml", *(part for one in sets for part in ("--set", one)), "--json")
    assert ran.code == 0
    warnings = ran.json()["warnings"]
    assert [" ".join(one.split()[:3]) for one in warnings] == [
        "prompt.samples is 3,", "gpt-6-luna takes temperature", "gpt-6-luna keeps to", "the environment variable",
    ]  # fmt: skip


def test_check_shows_fields_and_what_each_mode_lacks(run: Run, mine: Path) -> None:
    ran = run("check", mine / "spec.yaml")
    assert ran.code == 0
    assert "category" in ran.out
    assert "mode prompt (chosen): ready" in ran.out
    assert "mode finetuned: not yet" in ran.out
    said = run("check", mine / "spec.yaml", "--json").json()
    assert said["mistakes"] == []
    assert said["modes"]["prompt"] == []
    assert "finetuned.model is missing" in said["modes"]["finetuned"][0]
    assert said["fields"][2] == {
        "path": "escalate",
        "kind": "bool",
        "labels": [False, True],
        "description": "whether a senior colleague must see it",
    }


def test_check_says_what_surrounds_decisions(run: Run, mine: Path, tmp_path: Path) -> None:
    budget = (
        "budget: {run: {calls: 100}, decision: {calls: 3, tokens: 9}}\nredact: {kinds: [email], patterns: {order: A-1}}"
    )
    text = (mine / "spec.yaml").read_text().replace("version: 1", f"version: 1\n{budget}")
    (tmp_path / "spec.yaml").write_text(text)
    said = run("check", tmp_path / "spec.yaml", "--set", "prompt.params={max_completion_tokens: 5}")
    assert (
        "\ncache: .decider/cache, 1000 MB at most, each answer for 30 days\nlog: .decider/log, inputs: text\n"
        in said.out
    )
    assert "\nredaction: email, order; endpoints see the redacted\n" in said.out
    assert "\nbudget: for a decision 9 tokens, 3 calls; for a run 100 calls\n" in said.out
    around = json.loads(run("check", tmp_path / "spec.yaml", "--json", "--set", "log.inputs=hash").out)["around"]
    assert around["log"] == ".decider/log, inputs: hash"


UNSUPPORTED = [
    ("mode: prompt", "mode: cascade\ncascade: [finetuned, prompt]", "mode"),
    ("version: 1", "version: 1\naccept: {target: 0.97}", "accept"),
    ("version: 1", "version: 1\ncascade: [finetuned, prompt]", "cascade"),
]


@pytest.mark.parametrize(("old", "new", "key"), UNSUPPORTED, ids=[key for _, _, key in UNSUPPORTED])
def test_what_is_not_built_yet_is_refused_with_its_line(
    run: Run, mine: Path, tmp_path: Path, old: str, new: str, key: str
) -> None:
    text = (mine / "spec.yaml").read_text().replace(old, new, 1)
    (tmp_path / "spec.yaml").write_text(text)
    (tmp_path / "rows.jsonl").write_text((mine / "rows.jsonl").read_text())
    line = next(n for n, one in enumerate(text.splitlines(), 1) if key.rsplit(".", 1)[-1] + ":" in one)
    for command in (("check", tmp_path / "spec.yaml"), ("decide", tmp_path / "spec.yaml", "x")):
        ran = run(*command)
        assert ran.code == 2
        assert f"{key} is not supported in this version; remove it" in ran.err
        assert f"spec.yaml:{line}:" in ran.err


def test_decide_prints_each_field_and_who_answered(run: Run, mine: Path) -> None:
    ran = run("decide", mine / "spec.yaml", "I was charged twice", *TRAINED)
    assert ran.code == 0
    assert '"billing"' in ran.out
    assert "finetuned by local triage in" in ran.err
    said = run("decide", mine / "spec.yaml", "I was charged twice", "--json", *TRAINED).json()
    assert said["output"]["category"] == "billing"
    assert set(said) >= {"id", "decision", "input", "output", "status", "accepted", "confidence", "fields", "mode"}


def test_decide_reads_stdin(run: Run, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("I cannot log in\n"))
    assert run("decide", mine / "spec.yaml", "-", "--json", *TRAINED).json()["input"] == "I cannot log in"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9"), encoding="utf-8"))
    ran = run("decide", mine / "spec.yaml", "-", *TRAINED)
    assert (ran.code, "stdin is not UTF-8 text" in unframed(ran.err)) == (2, True)


def test_decide_takes_structured_input(run: Run, tmp_path: Path) -> None:
    with serve(completion('{"team": "a"}'), completion(None, refusal="no")) as endpoint:
        spec = tmp_path / "spec.yaml"
        spec.write_text(
            "name: t\ninput: {subject: text, tier: {options: [free, pro]}}\nfields: {team: {options: [a, b]}}\n"
            f"prompt: {{model: m, base_url: '{endpoint.url}'}}\n"
        )
        ran = run("decide", spec, "--input", '{"subject": "x", "tier": "pro"}', "--json")
        assert ran.json()["input"] == {"subject": "x", "tier": "pro"}
        refused = run("decide", spec, "--input", '{"subject": "x", "tier": "pro"}')
    assert refused.code == 1
    assert "no output: the engine refused it" in refused.err


def test_the_cache_answers_unless_it_is_told_not_to_and_can_be_emptied(run: Run, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    answer = completion('{"team": "a"}')
    with serve(answer, completion('{"team": "b"}')) as endpoint:
        spec.write_text(
            "name: t\nfields: {team: {options: [a, b]}}\ncache: {}\n"
            f"prompt: {{model: m, base_url: '{endpoint.url}'}}\n"
        )
        assert "; 1 call, 11 + 3 tokens at an unknown price" in run("decide", spec, "x").err
        assert run("decide", spec, "x").err.endswith(" ms; from the cache\n")
        assert '"b"' in run("decide", spec, "x", "--refresh").out
        assert '"b"' in run("decide", spec, "x").out
        run("decide", spec, "y")
        assert len(endpoint.requests) == 3
        assert run("cache", "clear", spec).out == f"2 answers removed from {(tmp_path / '.decider/cache').resolve()}\n"
        assert run("cache", "clear", spec, "--json").json()["removed"] == 0
        run("decide", spec, "x")
        assert len(endpoint.requests) == 4
        (tmp_path / "rows.jsonl").write_text('{"input": "x", "output": {"team": "b"}}\n')
        assert "from the cache: every answer, so" in run("evaluate", spec, tmp_path / "rows.jsonl").out
    spec.write_text(spec.read_text().replace("cache: {}\n", ""))
    ran = run("cache", "clear", spec)
    assert (ran.code, ran.err.endswith("keeps no answers; add  cache: {}  to keep them\n")) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("decide", "SPEC"), 2, "give either TEXT or --input JSON"),
        (("decide", "SPEC", "x", "--input", "{}"), 2, "give either TEXT or --input JSON"),
        (("decide", "SPEC", "--input", "{"), 2, "--input is not JSON"),
        (("decide", "SPEC", "x", "--set", "prompt.model"), 2, "is not KEY=VALUE"),
        (("decide", "SPEC", "x"), 1, "OPENAI_API_KEY is not set"),
        (("decide", "SPEC", ""), 2, "the input is empty"),
        (("decide", "SPEC", "x", "--mode", "finetuned"), 2, "finetuned.model is missing; train one"),
        (("decide", "nowhere.yaml", "x"), 2, "nowhere.yaml: no such file"),
        (("train", "SPEC", "nowhere.jsonl", "-o", "m"), 2, "nowhere.jsonl: there is no such file"),
        (("evaluate", "SPEC", "rows.txt"), 2, "there is no such file"),
        (("check", "SPEC", "--set", "mode=fintuned"), 2, "did you mean `finetuned`?"),
    ],
)
def test_a_mistake_is_a_message_with_a_remedy(
    run: Run, mine: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, says: str
) -> None:
    monkeypatch.chdir(mine)
    ran = run(*(str(mine / "spec.yaml") if one == "SPEC" else one for one in arguments))
    assert ran.code == code
    assert says in unframed(ran.err)


def unframed(text: str) -> str:
    """What is said in the box that usage errors are drawn in, on one line."""
    return " ".join(text.replace("│", " ").split())


def test_an_unknown_mode_says_which_there_are(run: Run, mine: Path) -> None:
    ran = run("decide", mine / "spec.yaml", "x", "--mode", "fine-tuned")
    assert ran.code == 2
    assert "mode must be one of prompt, finetuned, not 'fine-tuned'; did you mean finetuned?" in unframed(ran.err)
    assert "did you mean" not in run("decide", mine / "spec.yaml", "x", "--mode", "model").err


def test_train_says_how_good_it_is_and_how_to_answer_with_it(run: Run, mine: Path, tmp_path: Path) -> None:
    ran = run("train", mine / "spec.yaml", mine / "rows.jsonl", "-o", mine / "models/new")
    assert ran.code == 0
    assert "ms an answer" in ran.out
    assert "95 % interval" in ran.out
    assert ran.err.endswith("spec.yaml:\n  mode: finetuned\n  finetuned: {model: models/new}\n")
    outside = run("train", mine / "spec.yaml", mine / "rows.jsonl", "-o", tmp_path / "model")
    assert f"to answer with it, move it into {mine.resolve()}: a spec names nothing outside" in outside.err
    said = run("train", mine / "spec.yaml", mine / "rows.jsonl", "-o", mine / "models/again", "--json").json()
    assert {"model", "encoder", "fields", "thresholds"} <= set(said)
    assert said["thresholds"] == {}


def test_evaluate_prints_accuracy_beside_latency(run: Run, mine: Path) -> None:
    ran = run("evaluate", mine / "spec.yaml", mine / "rows.jsonl", *TRAINED)
    assert ran.code == 0
    assert "whole record" in ran.out
    assert "latency of one decision" in ran.out


def test_evaluate_says_which_rows_and_fields_do_not_count(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"input": "x", "output": {"team": "a", "note": ""}}\n' * 2)
    answer = completion('{"team": "a", "note": ""}')
    with serve(answer, completion(None, refusal="no")) as endpoint:
        spec = tmp_path / "spec.yaml"
        spec.write_text(
            "name: t\nfields: {team: {options: [a, b]}, note: text}\n"
            f"prompt: {{model: m, base_url: '{endpoint.url}'}}\n"
        )
        ran = run("evaluate", spec, tmp_path / "rows.jsonl")
    assert "open fields, decided and not compared: note\n" in ran.out
    assert "rows without output, which count as wrong: 1\n" in ran.out


def test_evaluate_gives_json_on_stdout_or_in_a_file_and_a_page(run: Run, mine: Path, tmp_path: Path) -> None:
    said = run("evaluate", mine / "spec.yaml", mine / "rows.jsonl", "--json", *TRAINED).json()
    assert set(said) >= {"n", "joint", "fields", "calibration", "latency_ms", "cost_usd", "failed"}
    assert set(said["joint"]) == {"accuracy", "low", "high"}
    assert set(said["fields"]["category"]) >= {"accuracy", "macro_f1"}
    assert (said["n"], said["failed"]) == (40, 0)
    file, page = tmp_path / "report.json", tmp_path / "report.html"
    ran = run("evaluate", "--json", file, mine / "spec.yaml", mine / "rows.jsonl", "--html", page, *TRAINED)
    assert ran.code == 0
    assert json.loads(file.read_text())["n"] == 40
    assert "<title>ticket-triage: finetuned</title>" in page.read_text()


def test_an_interrupt_ends_with_130(run: Run, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Task, "load", interrupted)
    ran = run("check", mine / "spec.yaml")
    assert (ran.code, ran.err) == (130, "interrupted\n")


def test_a_missing_extra_is_a_message(run: Run, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "decider.learn.train", None)
    ran = run("train", mine / "spec.yaml", mine / "rows.jsonl", "-o", mine / "m")
    assert ran.code == 2
    assert ran.err.startswith("error: ")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder: its own bundled rows, cut short so that the tests stay fast."""
    return tmp_path_factory.mktemp("demo")


def test_the_demo_does_the_main_job(run: Run, demo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundled = Path(sys.modules["decider"].__file__ or "").parent / "demo"
    short = tmp_path / "short" / "demo"
    short.mkdir(parents=True)
    for name, most in (("train.jsonl", 200), ("test.jsonl", 40)):
        lines = (bundled / name).read_text().splitlines(keepends=True)
        (short / name).write_text("".join(lines[:most]))
    (short / "spec.yaml").write_text((bundled / "spec.yaml").read_text())
    monkeypatch.setattr("decider.cli.starting.files", lambda _: short.parent)
    ran = run("demo", demo / "out")
    assert ran.code == 0
    assert "200 real complaints to learn from, 40 to test on" in ran.err
    for said in ("ms an answer", "product: ", "whole record", "latency of one decision", "Next:"):
        assert said in ran.out
    assert (demo / "out" / "report.html").is_file()
    assert (demo / "out" / "models" / "complaints" / "manifest.json").is_file()
    said = run("demo", demo / "out", "--json").json()
    assert said["evaluate"]["n"] == 40
    assert said["train"]["rows"] == 200


def test_a_bar_shows_where_somebody_looks(run: Run, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("decider.cli.console.notes._force_terminal", True)
    monkeypatch.setattr("decider.cli.console.notes.is_interactive", True)
    ran = run("evaluate", mine / "spec.yaml", mine / "rows.jsonl", *TRAINED)
    assert "evaluating" in ran.err


def test_a_word_that_is_also_a_command_is_input_like_any_other(run: Run, mine: Path) -> None:
    assert run("decide", mine / "spec.yaml", "evaluate", "--json", *TRAINED).json()["input"] == "evaluate"


def test_answers_are_shown_as_they_are_written_and_not_all_of_many(run: Run, tmp_path: Path) -> None:
    many = ", ".join(f"label{n}" for n in range(30))
    fields = f"{{one: {{options: ['[red]', '[/b]']}}, many: {{options: [{many}]}}, note: text}}"
    with serve(completion('{"one": "[/b]", "many": "label3", "note": "[/i]"}')) as endpoint:
        spec = tmp_path / "spec.yaml"
        spec.write_text(f"name: t\nfields: {fields}\nprompt: {{model: m, base_url: '{endpoint.url}'}}\n")
        checked = run("check", spec)
        decided = run("decide", spec, "x")
    assert '"[red]", "[/b]"' in checked.out
    assert "and 18 more" in " ".join(checked.out.replace("│", " ").split())
    assert "t, version 1: 3 fields" in checked.out
    assert '"[/b]"' in decided.out
    assert '"[/i]"' in decided.out


def test_one_field_is_one_field(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("name: t\nfields: {team: {options: [a, b]}}\nprompt: {model: m}\n")
    assert "t, version 1: 1 field\n" in "\n".join(
        line.strip() for line in run("check", tmp_path / "spec.yaml").out.splitlines()
    )


@pytest.mark.parametrize("option", ["--html", "--json"])
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_decided(
    run: Run, mine: Path, tmp_path: Path, option: str
) -> None:
    target = tmp_path / "nowhere" / "report.json"
    with serve() as endpoint:
        ran = run(
            "evaluate",
            mine / "spec.yaml",
            mine / "rows.jsonl",
            option,
            target,
            "--set",
            f"prompt.base_url={endpoint.url}",
        )
    assert ran.code == 2
    assert "there is no folder" in unframed(ran.err)
    assert "make it first" in unframed(ran.err)
    assert endpoint.requests == []


def test_a_folder_that_cannot_be_written_is_a_message(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = run("init", tmp_path / "file" / "mine")
    assert ran.code == 2
    assert ran.err.startswith("error: [Errno ")


def test_init_names_what_it_wrote_and_touches_nothing_else(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    ran = run("init", tmp_path)
    assert ran.out.count("wrote ") == 4
    assert "notes.txt" not in ran.out
    assert f"  decider check {tmp_path / 'spec.yaml'}\n" in ran.out


def test_the_demo_leaves_the_work_of_others_alone(run: Run, mine: Path) -> None:
    before = (mine / "spec.yaml").read_text()
    ran = run("demo", mine)
    assert ran.code == 2
    assert "spec.yaml is there already, and is not the demo's; name a new folder: decider demo DIR" in ran.err
    assert (mine / "spec.yaml").read_text() == before


@pytest.mark.parametrize("command", [(), ("demo",), ("init",), ("check",), ("decide",), ("train",), ("evaluate",)])
def test_help_fits_a_terminal_of_80_columns(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = run(*command, "--help").out.splitlines()
    assert max(map(len, lines)) <= 80
    (example,) = [line for line in lines if "Example:" in line]
    after = lines[lines.index(example) + 1]
    assert after.strip() == ""


@pytest.mark.parametrize(
    ("sets", "bill"),
    [
        ((), "; 1 call, 11 + 3 tokens at an unknown price"),
        (("--set", "prompt.price={input: 1, output: 2}"), "; 1 call, 11 + 3 tokens for $0.000017"),
        (("--set", "prompt.price={input: 0, output: 0}"), "; 1 call, 11 + 3 tokens for $0.000000"),
    ],
)
def test_decide_says_what_was_used(run: Run, mine: Path, sets: tuple[str, ...], bill: str) -> None:
    answer = '{"category": "billing", "priority": "low", "escalate": false}'
    with serve(completion(answer)) as endpoint:
        ran = run("decide", mine / "spec.yaml", "x", "--set", f"prompt.base_url={endpoint.url}", *sets)
    assert ran.code == 0
    assert ran.err.rstrip().endswith(bill)
