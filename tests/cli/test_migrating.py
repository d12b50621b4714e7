"""`decider data migrate` as its user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands import Ran, ran

SPEC = "name: triage\nfields:\n  team: {options: [payments, refunds, other]}\n"
CHANGES = """\
changes:
  - split: {field: team, from: billing, into: [payments, refunds]}
  - rename: {field: team, from: payments, to: other}
  - rename: {field: team, from: never, to: other}
"""

Migrate = Callable[..., Ran]


@pytest.fixture
def migrate(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Migrate:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(SPEC)
    Path("changes.yaml").write_text(CHANGES)

    def command(*teams: str, options: tuple[str, ...] = ()) -> Ran:
        rows = ({"input": f"ticket {n}", "output": {"team": team}} for n, team in enumerate(teams))
        Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return ran(capsys, "data", "migrate", "spec.yaml", "rows.jsonl", "changes.yaml", "-o", "new.jsonl", *options)

    return command


def test_it_says_what_was_changed_what_is_left_and_how_to_go_on(migrate: Migrate) -> None:
    ran = migrate("billing", "payments", "other", "fax")
    assert ran.code == 1
    for line in (
        "new.jsonl: 2 rows of 4, 1 of them changed",
        "new.review.jsonl: 2 rows for a person to look at",
        "team: billing → payments or refunds 1",
        "team: never → other none: is it spelled as in the rows?",
        "1 row: team 'fax': the new schema has no such label, and no change says what becomes of it",
        "version: the spec says version 1: raise it, if the old schema had the same",
        '# after choosing what stands in place of each "?" in new.review.jsonl',
        "decider data migrate spec.yaml rows.jsonl changes.yaml -o new.jsonl --filled new.review.jsonl",
    ):
        assert line in " ".join(ran.out.split())
    assert "warning: changes.yaml:3:27: changes[1].rename.from: the new schema still has the label" in ran.err


def test_it_is_done_when_people_have_said_what_they_were_asked(migrate: Migrate) -> None:
    teams = ("billing", "payments")
    assert migrate(*teams).code == 1
    review = Path("new.review.jsonl")
    review.write_text(review.read_text().replace('"?"', '"refunds"'))
    ran = migrate(*teams, options=("--filled", "new.review.jsonl"))
    assert ran.code == 0
    assert "new.jsonl: 2 rows of 2, 2 of them changed, 1 as they were filled in" in ran.out
    assert "for a person" not in ran.out


def test_json_is_one_object(migrate: Migrate) -> None:
    ran = migrate("billing", "fax", options=("--json",))
    said: dict[str, Any] = ran.json()
    assert ran.code == 1
    assert (said["rows"], said["written"], said["need_a_person"], said["review"]) == (2, 0, 2, "new.review.jsonl")
    assert said["changes"][0] == {"change": "team: billing → payments or refunds", "rows": 1}
    assert [one["was"] for one in said["unexplained"]] == ["fax"]
    assert [one["what"] for one in said["stale"]] == ["version"]
    assert len(said["warnings"]) == 1


def test_of_many_labels_that_do_not_fit_some_are_named(migrate: Migrate) -> None:
    ran = migrate(*(f"odd {n}" for n in range(12)))
    assert "… and 2 more; new.review.jsonl has all of them" in ran.out


def test_what_is_stale_comes_with_its_command(migrate: Migrate) -> None:
    Path("cache").mkdir()
    Path("spec.yaml").write_text(SPEC + "cache: {folder: cache}\n")
    ran = migrate("other")
    assert ran.code == 0
    assert "    decider cache clear spec.yaml" in ran.out
    Path("spec.yaml").write_text(SPEC + "log: {folder: log}\n")
    assert "of the old schema" not in migrate("other").out


def test_a_mistake_in_the_changes_is_told_with_its_place_and_nothing_is_written(migrate: Migrate) -> None:
    Path("changes.yaml").write_text(CHANGES.replace("to: other", "to: othr"))
    ran = migrate("billing")
    assert ran.code == 2
    assert "error: changes.yaml:3:43: changes[1].rename.to: the new schema has no label 'othr' in team" in ran.err
    assert not Path("new.jsonl").exists()
