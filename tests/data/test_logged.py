"""The log as a dataset: what was decided, as corrected, and how much is left out, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from decider.data.dataset import Dataset
from decider.data.logged import Logged, write_rows
from decider.errors import DataError
from decider.runtime.log import Log
from logged import ANSWER, decision, task

TASK = task()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log(tmp_path / "log")
    for row in ("plain", "corrected", "confirmed"):
        log.append(decision(row, row_id=row), TASK)
    log.correct(log.resolve("corrected"), {"routing.team": "bug"}, task=TASK)
    log.confirm(log.resolve("confirmed"), task=TASK)
    return log


def test_rows_are_a_dataset_with_the_source_of_each_answer(log: Log) -> None:
    rows = list(Logged(log, TASK))
    assert rows == [
        {"input": "plain", "output": ANSWER, "id": log.resolve("plain"), "source": "prompt"},
        {
            "input": "corrected",
            "output": {**ANSWER, "routing": {"team": "bug", "tags": ["late"]}},
            "id": log.resolve("corrected"),
            "source": "corrected",
        },
        {"input": "confirmed", "output": ANSWER, "id": log.resolve("confirmed"), "source": "confirmed"},
    ]
    assert [example.source for example in Dataset.of(rows, TASK)] == ["prompt", "corrected", "confirmed"]


def test_what_nobody_checked_may_be_left_out(log: Log) -> None:
    rows = Logged(log, TASK, checked=True)
    assert [row["source"] for row in rows] == ["corrected", "confirmed"]
    assert rows.left_out == {"not checked by anybody": 1}


def test_what_is_no_row_is_counted_by_its_reason(log: Log) -> None:
    log.append(decision(answer=None), TASK)
    log.append(decision(status="abstained"), TASK)
    log.append(decision(status="abstained", row_id="checked"), TASK)
    log.confirm(log.resolve("checked"), task=TASK)
    log.append(decision(version=2), TASK)
    log.append(decision(task="other"), TASK)
    log.append(decision(row_id="forgotten"), TASK)
    Log(log.folder, inputs="hash").append(decision(), TASK)
    log.close()
    path = log.folder / "decisions.jsonl"
    path.write_bytes(path.read_bytes() + b"\n{torn\n")
    rows = Logged(log, TASK)
    found = list(rows)
    assert [row["source"] for row in found] == ["prompt", "corrected", "confirmed", "confirmed", "prompt"]
    assert rows.left_out == {
        "without an output": 1,
        "not accepted by any step, and not checked": 1,
        "of another version of the task": 1,
        "without the text of the input": 1,
        "unreadable": 1,
    }
    assert list(rows) == found
    assert sum(rows.left_out.values()) == 5


def test_other_versions_may_be_in_as_long_as_they_fit(log: Log) -> None:
    log.append(decision("older", version=2), TASK)
    log.append(decision("unfit", {**ANSWER, "priority": "high"}), TASK)
    log.close()
    path = log.folder / "decisions.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"output":{"priority":"high"', b'"output":{"priority":"gone"'))
    rows = Logged(log, TASK, versions=True)
    assert [row["input"] for row in rows] == ["plain", "corrected", "confirmed", "older"]
    assert rows.left_out == {"no longer fit for the schema": 1}


def test_a_file_is_written_as_a_whole_or_stays_as_it_was(log: Log, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    assert write_rows(Logged(log, TASK), out) == 3
    assert [json.loads(line)["source"] for line in out.read_text().splitlines()] == ["prompt", "corrected", "confirmed"]
    before = out.read_bytes()

    def breaks() -> object:
        yield {"input": "x"}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows(breaks(), out)  # type: ignore[arg-type]  # it never ends
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "rows.jsonl"]
    with pytest.raises(DataError, match=r"rows\.jsonl: cannot be written: No such file or directory"):
        write_rows([], tmp_path / "nowhere" / "rows.jsonl")
