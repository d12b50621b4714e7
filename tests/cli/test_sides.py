"""`train` and `evaluate` keep to the sides of a split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import Ran, ran
from decider.data.split import DEFAULT, Split

SPEC = """
name: triage
fields: {team: {options: [a, b]}}
mode: finetuned
finetuned: {model: m}
"""
SIDES = ("train", "train", "validation", "test")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spec.yaml").write_text(SPEC)
    write(tmp_path / "marked.jsonl", marked=True)
    write(tmp_path / "rows.jsonl", marked=False)
    sides = {str(n + 1): SIDES[n % 4] for n in range(40)}
    split = Split(task="triage", fingerprint="", shares=DEFAULT, sides=sides)  # type: ignore[arg-type]  # all are sides
    split.save(tmp_path / "rows.split.json")
    return tmp_path


def write(path: Path, *, marked: bool) -> None:
    rows = []
    for n in range(40):
        team = "ab"[n % 3 == 0]
        row = {"input": f"{'alpha' if team == 'a' else 'beta'} number {n}", "output": {"team": team}}
        rows.append(row | {"split": SIDES[n % 4]} if marked else row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ran:
    return ran(capsys, *arguments)


@pytest.mark.parametrize("data", [["marked.jsonl"], ["rows.jsonl", "--split", "rows.split.json"]])
def test_test_rows_are_measured_on_and_not_trained_on(
    folder: Path, data: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    trained = run(capsys, "train", "spec.yaml", *data, "-o", "m")
    assert trained.code == 0, trained.err
    assert "30 of 40 rows, by the side of the split that they are on" in trained.err
    measured = run(capsys, "evaluate", "spec.yaml", *data, "--json")
    assert measured.json()["n"] == 10
    assert "10 of 40 rows" in measured.err


def test_a_dataset_without_sides_is_used_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = run(capsys, "train", folder / "spec.yaml", folder / "rows.jsonl", "-o", folder / "m", "--json")
    assert (trained.json()["rows"], trained.err) == (40, "")
