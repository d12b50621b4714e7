"""The log as a dataset: what was decided, as corrected, and how much is left out, and why."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from decider.data.dataset import Dataset
from decider.data.logged import Choice, Logged, write_rows
from decider.errors import DataError
from decider.runtime.log import Log
from logged import ANSWER, decision, task

TASK = task()
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


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
    assert [{key: row[key] for key in ("input", "output", "id", "source")} for row in rows] == [
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
    rows = Logged(log, TASK, Choice(checked=True))
    assert [row["source"] for row in rows] == ["corrected", "confirmed"]
    assert rows.left_out == {"not checked by anybody": 1}


def test_a_row_says_when_it_was_decided_and_who_corrected_it_last_and_when(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.append(decision("x", created_at=NOON, row_id="x"), TASK)
    log.append(decision("y", created_at=NOON), TASK)
    one = log.resolve("x")
    log.correct(one, {"routing.team": "bug"}, task=TASK, by="ana")
    log.correct(one, {"routing.team": "login"}, task=TASK, by="ben")
    last = log.find(one).corrections[-1].at
    corrected, plain = Logged(log, TASK)
    assert corrected["output"]["routing"]["team"] == "login"
    assert (corrected["time"], corrected["by"], corrected["at"]) == (NOON.isoformat(), "ben", last.isoformat())
    assert plain.keys() == {"input", "output", "id", "source", "time"}
    log.confirm(one, task=TASK)
    corrected, _ = Logged(log, TASK)
    assert "by" not in corrected
    assert Logged(log, TASK).folder == tmp_path / "log"


def test_the_time_of_a_case_is_that_of_its_input_where_it_says_one(tmp_path: Path) -> None:
    log, one = Log(tmp_path / "log"), task(data={"time": "opened"})
    for value in ({"body": "x", "opened": "2026-01-01"}, {"body": "y", "opened": None}, "z"):
        log.append(decision(value), one)
    assert ["time" in row for row in Logged(log, one)] == [False, True, True]


def test_decisions_are_chosen_by_time_mode_and_whether_they_were_accepted(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    for hours, mode, accepted in ((0, "prompt", True), (1, "finetuned", False), (2, "prompt", False)):
        when = NOON + timedelta(hours=hours)
        log.append(decision(f"{hours}", created_at=when, mode=mode, accepted=accepted, row_id=f"{hours}"), TASK)
    log.confirm(log.resolve("2"), task=TASK)

    def chosen(**choice: Any) -> tuple[list[Any], dict[str, int]]:
        rows = Logged(log, TASK, Choice(**choice))
        return [row["input"] for row in rows], dict(rows.left_out)

    hour = NOON + timedelta(hours=1)
    assert chosen(since=hour) == (["1", "2"], {"of another time": 1})
    assert chosen(until=hour) == (["0"], {"of another time": 2})
    assert chosen(mode="prompt") == (["0", "2"], {"of another mode": 1})
    assert chosen(accepted=True) == (["0", "2"], {"not accepted by any step, and not checked": 1})
    assert chosen(since=hour, until=hour + timedelta(minutes=1), mode="finetuned")[0] == ["1"]


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
    rows = Logged(log, TASK, Choice(versions=True))
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
