"""`data export`: what it writes and prints, and what becomes of mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from commands import Ran, ran
from decider.data.split import DEFAULT, Split

SPEC = """
name: triage
fields: {team: {options: [a, b]}, level: {options: [low, high]}}
finetuned: {engine: chat, model: ft}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spec.yaml").write_text(SPEC)
    rows = [{"input": f"text {n}", "output": {"team": "ab"[n % 2], "level": "low"}, "id": f"r{n}"} for n in range(1200)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sides: dict[str, Any] = {f"r{n}": "train" if n < 1000 else "test" for n in range(1200)}
    Split(task="triage", fingerprint="", shares=DEFAULT, sides=sides).save(tmp_path / "rows.split.json")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ran:
    return ran(capsys, "data", "export", *arguments)


def test_it_says_what_it_wrote_and_what_is_next(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, folder / "spec.yaml", folder / "rows.jsonl", "--for", "openai", "-o", folder / "out")
    assert ran.code == 0
    path = folder / "out" / "train.jsonl"
    assert ran.out.splitlines()[0].startswith(
        f"wrote {path}: 1,200 rows (train), {path.stat().st_size:,} bytes, about "
    )
    assert ran.out.splitlines()[-1] == "next: upload each file with purpose fine-tune, and start a job with their ids"
    assert "OpenAI takes new fine-tuning jobs" in ran.err


def test_json_is_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(
        capsys, folder / "spec.yaml", folder / "rows.jsonl", "--for", "jsonl", "-o", folder / "out",
        "--split", folder / "rows.split.json", "--json",
    )  # fmt: skip
    said = ran.json()
    assert said["target"] == "jsonl"
    assert [(one["side"], one["rows"], one["tokens"]) for one in said["files"]] == [
        ("train", 1000, None),
        ("test", 200, None),
    ]
    assert ran.err == ""


def test_one_side_and_one_field(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(
        capsys, folder / "spec.yaml", folder / "rows.jsonl", "--for", "setfit", "-o", folder / "test.csv",
        "--split", folder / "rows.split.json", "--side", "test", "--field", "team",
    )  # fmt: skip
    assert ran.out.startswith(f"wrote {folder / 'test.csv'}: 200 rows (test), ")
    assert (folder / "test.csv").read_text().startswith("text,label\ntext 1000,a\n")


def test_the_targets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "--list")
    assert "llama-factory-alpaca" in ran.out
    assert "prompt-completion" in ran.out
    assert "and for every row of messages: one system message at most" in ran.out
    named = [json.loads(line)["target"] for line in run(capsys, "--list", "--json").out.splitlines()]
    assert named[:2] == ["openai", "azure"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give SPEC DATA --for TARGET -o OUT; --list shows the targets"),
        (("spec.yaml", "rows.jsonl", "-o", "out"), "give SPEC DATA --for TARGET -o OUT"),
        (
            ("spec.yaml", "rows.jsonl", "--for", "opnai", "-o", "out"),
            "there is no target 'opnai'; did you mean openai?",
        ),
        (("spec.yaml", "rows.jsonl", "--for", "setfit", "-o", "out"), "choose the field that it learns, with --field"),
        (("spec.yaml", "rows.jsonl", "--for", "trl", "-o", "out", "--with-examples"), "names no examples to show"),
        (("spec.yaml", "rows.jsonl", "--for", "trl", "-o", "out", "--split", "no"), "decider data split SPEC DATA"),
    ],
)
def test_a_mistake_ends_with_2(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(folder)
    ran = run(capsys, *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert not (folder / "out").exists()


def test_rows_are_counted_on_a_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("decider.cli.console.notes._force_terminal", True)
    monkeypatch.setattr("decider.cli.console.notes.is_interactive", True)
    ran = run(capsys, folder / "spec.yaml", folder / "rows.jsonl", "--for", "jsonl", "-o", folder / "out")
    assert "rows written or read back" in ran.err


def test_its_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Example:  decider data export decider-demo/spec.yaml" in run(capsys, "--help").out
