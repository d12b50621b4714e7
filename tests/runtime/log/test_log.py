"""The log: what is acknowledged is there, whoever writes, rotates, deletes or dies at the same time."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import pytest

from decider.decision import FieldDecision, Later
from decider.errors import DataError, InputError, InvalidDecision, SpecError
from decider.runtime.log import Log
from decider.runtime.log.record import Record, encoded, hash_of, record_of
from decider.runtime.log.segment import Reader, Segment
from decider.task import Task
from logged import ANSWER, Triage, decision, task

TASK = task()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


def _ids(log: Log) -> list[str]:
    return [record.id for record in log.records() if record.kind == "decision"]


def _before(log: Log) -> list[Path]:
    return sorted(log.folder.glob("decisions-*.jsonl"))


# What a record says


def test_a_decision_is_one_line_with_all_that_is_known_of_it(log: Log) -> None:
    one = decision(row_id="T-17", confidence=0.5, cached=True, possibly_billed=1)
    log.append(one, TASK)
    assert (log.folder / "decisions.jsonl").read_bytes().count(b"\n") == 2
    assert [line.record for line in Reader(log.folder / "decisions.jsonl")] == [
        {
            "v": 1,
            "kind": "decision",
            "id": one.id,
            "of": None,
            "at": one.created_at.isoformat().replace("+00:00", "Z"),
            "task": "triage",
            "version": 1,
            "fingerprint": TASK.prompt_fingerprint,
            "row_id": "T-17",
            "input": "I paid twice",
            "input_sha256": hash_of("I paid twice"),
            "output": ANSWER,
            "status": "decided",
            "accepted": True,
            "confidence": 0.5,
            "fields": {
                path: {"value": field.value, "probability": None, "source": None, "calibrated": False, "step": 0}
                for path, field in one.fields.items()
            },
            "steps": [
                {
                    "engine": "chat",
                    "model": "gpt-6-luna",
                    "fields": list(one.steps[0].fields),
                    "attempts": 1,
                    "usage": {"input_tokens": 100, "output_tokens": 10, "cached_tokens": 0, "written_tokens": 0},
                    "cost_usd": 0.001,
                    "latency_ms": 250.0,
                    "cache_key": one.steps[0].cache_key,
                }
            ],
            "mode": "prompt",
            "cached": True,
            "possibly_billed": 1,
            "why": None,
            "p_sampled": None,
            "by": None,
            "note": None,
            "error": None,
        }
    ]
    (record,) = log.records()
    assert (record.id, record.at, record.output) == (one.id, one.created_at, ANSWER)


@pytest.mark.parametrize(
    ("inputs", "text", "sha"),
    [("text", "I paid twice", hash_of("I paid twice")), ("hash", None, hash_of("I paid twice")), ("none", None, None)],
)
def test_the_spec_says_what_is_kept_of_inputs(tmp_path: Path, inputs: Any, text: str | None, sha: str | None) -> None:
    log = Log.of(task(log={"folder": "log", "inputs": inputs, "keep": "90d", "fsync": True}, folder=tmp_path))
    assert (log.folder, log.inputs, log.fsync) == (tmp_path / "log", inputs, True)
    assert not log.folder.exists()
    log.append(decision(), TASK)
    log.append(decision(answer=None, status="failed", input=None, error=InvalidDecision("said 'I paid twice'")), TASK)
    answered, failed = log.records()
    assert (answered.input, answered.input_sha256) == (text, sha)
    assert (failed.input, failed.input_sha256) == (None, None)
    assert failed.error == ("said 'I paid twice'" if inputs == "text" else "InvalidDecision")


def test_a_wrong_input_is_not_quoted_where_inputs_are_redacted() -> None:
    failed = decision(answer=None, status="failed", input=None, error=InputError("found 'ana@example.com'"))
    assert record_of(failed, task())["error"] == "found 'ana@example.com'"
    assert record_of(failed, task(redact={"kinds": ["email"]}))["error"] == "InputError"
    refused = decision(answer=None, error=InvalidDecision("said 'hm'"))
    assert record_of(refused, task(redact={"kinds": ["email"]}))["error"] == "said 'hm'"


def test_a_spec_without_a_log_is_told_what_to_add() -> None:
    with pytest.raises(SpecError, match=r"log: the spec has no `log:`.*; add  log: {folder: \.decider/log}"):
        Log.of(task())


def test_answers_are_written_by_the_names_of_their_fields_and_as_json_has_them(log: Log) -> None:
    from datetime import date
    from enum import Enum

    from pydantic import BaseModel, Field

    class Team(Enum):
        BILLING = "billing"
        LOGIN = "login"

    class Due(BaseModel):
        team: Team = Field(alias="Team")
        day: date

    due = Due.model_validate({"Team": "login", "day": "2026-11-25"})
    fields = Later(lambda: {"team": FieldDecision(value="login", probability=0.75, source="local")})
    log.append(decision(answer=None, fields=fields).__class__(**_parts(due, fields)), Task(Due, name="due"))
    (record,) = log.records()
    assert record.output == {"team": "login", "day": "2026-11-25"}
    assert record.fields["team"]["probability"] == 0.75


def _parts(answer: Any, fields: Any) -> dict[str, Any]:
    one = decision(answer=None, status="decided", accepted=True)
    parts = {name: getattr(one, name) for name in one.__dataclass_fields__}
    return {**parts, "answer": answer, "fields": fields}


def test_what_json_lacks_is_written_as_well_as_it_can_be(log: Log) -> None:
    log.append(
        decision(meta={"when": datetime(2026, 11, 25, tzinfo=UTC), "what": Path("x"), "nan": float("nan")}), TASK
    )
    log.append(decision(meta={"half": "a\ud800b", "bytes": b"\xff\xfe", "key": {1: "one"}}), TASK)
    first, second = log.records()
    assert first.meta == {"when": "2026-11-25T00:00:00Z", "what": "x", "nan": "NaN"}
    assert second.meta == {"half": "a?b", "bytes": "__4=", "key": {"1": "one"}}


def test_a_line_of_another_kind_is_no_record(log: Log) -> None:
    log.append(decision(), TASK)
    with Segment.open(log.folder / "decisions.jsonl") as segment:
        segment.append(b'{"v":1,"kind":"dream","id":"x","at":"2026-11-25T00:00:00Z","task":"triage","version":1}')
        segment.append(b'{"v":1,"kind":"decision"')
    records = log.records()
    assert len(list(records)) == 1
    assert records.unreadable == 2
    histories = log.histories()
    assert len(list(histories)) == 1
    assert histories.unreadable == 2


# Files


def test_nothing_is_on_the_disk_before_the_first_record(log: Log) -> None:
    assert list(log.records()) == []
    log.close()
    assert not log.folder.exists()
    log.append(decision(), TASK)
    assert stat.S_IMODE(log.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((log.folder / "decisions.jsonl").stat().st_mode) == 0o600
    assert (log.folder / ".gitignore").read_text() == "*\n"
    log.close()
    log.append(decision(), TASK)
    assert len(_ids(log)) == 2


def test_a_full_segment_is_given_another_name(tmp_path: Path) -> None:
    log = Log(tmp_path, rotate_bytes=3000)
    written = [decision() for _ in range(20)]
    for one in written:
        log.append(one, TASK)
    assert len(_before(log)) >= 5
    assert all(path.stat().st_size < 5000 for path in _before(log))
    assert _ids(log) == [one.id for one in written]


def test_an_old_segment_is_given_another_name(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.append(decision(created_at=datetime.now(UTC) - timedelta(hours=30)), TASK)
    assert _before(log) == []
    log.close()
    log.append(decision(), TASK)
    assert len(_before(log)) == 1
    log.append(decision(), TASK)
    log.append(decision(), TASK)
    assert len(_before(log)) == 1
    assert len(_ids(log)) == 4


def test_a_segment_without_a_readable_record_is_as_old_as_its_file(tmp_path: Path) -> None:
    current = tmp_path / "decisions.jsonl"
    current.write_bytes(b"torn\n")
    long_ago = datetime.now(UTC).timestamp() - 200_000
    os.utime(current, (long_ago, long_ago))
    Log(tmp_path).append(decision(), TASK)
    assert len(_before(Log(tmp_path))) == 1


def test_a_segment_may_be_renamed_while_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = decision(), decision()
    Log(tmp_path).append(first, TASK)
    opened = Path.open

    def late(path: Path, *how: Any) -> Any:
        monkeypatch.undo()
        path.rename(tmp_path / "decisions-a.jsonl")
        return opened(path, *how)

    monkeypatch.setattr(Path, "open", late)
    Log(tmp_path).append(second, TASK)
    assert _ids(Log(tmp_path)) == [first.id, second.id]


def test_a_segment_that_cannot_be_renamed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("in use")

    log = Log(tmp_path, rotate_bytes=1000)
    monkeypatch.setattr(Path, "rename", refuse)
    for _ in range(4):
        log.append(decision(), TASK)
    assert _before(log) == []
    assert len(_ids(log)) == 4


def test_a_segment_that_somebody_works_on_is_renamed_later(tmp_path: Path) -> None:
    log = Log(tmp_path, rotate_bytes=2000)
    log.append(decision(), TASK)
    with (tmp_path / "decisions.jsonl").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        log.append(decision(), TASK)
        log.append(decision(), TASK)
        assert _before(log) == []
    log.append(decision(), TASK)
    assert len(_before(log)) == 1
    assert len(_ids(log)) == 4


@pytest.mark.parametrize("removed", ["file", "folder"])
def test_a_record_is_written_again_where_its_file_is_gone(log: Log, removed: str) -> None:
    log.append(decision(), TASK)
    for path in log.folder.iterdir():
        path.unlink()
    if removed == "folder":
        log.folder.rmdir()
    second, third = decision(), decision()
    log.append(second, TASK)
    log.append(third, TASK)
    assert _ids(log) == [second.id, third.id]


def test_a_changed_mode_of_the_current_segment_means_nothing(log: Log) -> None:
    log.append(decision(), TASK)
    (log.folder / "decisions.jsonl").chmod(0o640)
    log.append(decision(), TASK)
    log.append(decision(), TASK)
    assert len(_ids(log)) == 3


# What is kept


def _old(**what: Any) -> Any:
    return decision(created_at=datetime.now(UTC) - timedelta(days=100), **what)


def _with_old_segments(folder: Path) -> Log:
    """One segment and one run of which all is old, and one of each with something younger."""
    log = Log(folder)
    runs = [log.run_segment(folder / name) for name in ("old.jsonl", "young.jsonl", "held.jsonl")]
    for path in (folder / "decisions-a.jsonl", runs[0], runs[2]):
        with Segment.open(path) as segment:
            segment.append(encoded(record_of(_old(), TASK)))
    for path in (folder / "decisions-b.jsonl", runs[1]):
        with Segment.open(path) as segment:
            segment.append(encoded(record_of(_old(), TASK)))
            segment.append(encoded(record_of(decision(), TASK)))
    return Log(folder, keep=90 * 86400.0)


def test_what_was_kept_long_enough_is_deleted_by_the_first_record(tmp_path: Path) -> None:
    log = _with_old_segments(tmp_path)
    held = log.run_segment(tmp_path / "held.jsonl")
    with Segment.open(held, lock=True):
        log.append(decision(), TASK)
        names = {path.name for path in tmp_path.glob("*.jsonl")}
        assert names == {"decisions-b.jsonl", "decisions.jsonl"}
        assert set((tmp_path / "runs").glob("*.jsonl")) == {log.run_segment(tmp_path / "young.jsonl"), held}
    log.close()
    log.append(decision(), TASK)
    assert not held.exists()
    assert not list((tmp_path / "runs").glob("*.lock"))


def test_without_keep_nothing_is_deleted(tmp_path: Path) -> None:
    _with_old_segments(tmp_path)
    log = Log(tmp_path)
    log.append(decision(), TASK)
    assert len(_ids(log)) == 8


def test_an_old_current_segment_is_renamed_and_then_deleted(tmp_path: Path) -> None:
    log = Log(tmp_path, keep=86400.0)
    old = _old()
    with Segment.open(tmp_path / "decisions.jsonl") as segment:
        segment.append(encoded(record_of(old, TASK)))
    young = decision()
    log.append(young, TASK)
    assert old.id in _ids(log)  # it is in one file with a young one
    log.append(decision(), TASK)
    assert len(_before(log)) == 1


def test_a_segment_of_unreadable_lines_is_as_old_as_its_file(tmp_path: Path) -> None:
    long_ago = datetime.now(UTC).timestamp() - 200_000
    for name in ("decisions-a.jsonl", "decisions-b.jsonl"):
        (tmp_path / name).write_bytes(b"torn\n")
    os.utime(tmp_path / "decisions-a.jsonl", (long_ago, long_ago))
    log = Log(tmp_path, keep=86400.0)
    log.append(decision(), TASK)
    assert [path.name for path in _before(log)] == ["decisions-b.jsonl"]


def test_a_record_that_comes_while_its_segment_is_deleted_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that slept since before the rotation writes at the very moment of the deletion."""
    slow, written = Log(tmp_path), decision()
    slow.append(_old(), TASK)
    (tmp_path / "decisions.jsonl").rename(tmp_path / "decisions-a.jsonl")
    unlink = Path.unlink

    def late(path: Path, missing_ok: bool = False) -> None:
        monkeypatch.undo()
        slow.append(written, TASK)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", late)
    Log(tmp_path, keep=86400.0).append(decision(), TASK)
    assert _before(slow) == []
    assert written.id in _ids(slow)


def test_a_record_that_comes_before_its_segment_is_deleted_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, written = Log(tmp_path), decision()
    slow.append(_old(), TASK)
    (tmp_path / "decisions.jsonl").rename(tmp_path / "decisions-a.jsonl")
    chmod = Path.chmod

    def late(path: Path, mode: int) -> None:
        monkeypatch.undo()
        slow.append(written, TASK)
        chmod(path, mode)

    monkeypatch.setattr(Path, "chmod", late)
    Log(tmp_path, keep=86400.0).append(decision(), TASK)
    assert _ids(slow).count(written.id) == 1
    assert [stat.S_IMODE(path.stat().st_mode) for path in _before(slow)] == [0o600]


def test_what_cannot_be_deleted_fails_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("not yours")

    log = _with_old_segments(tmp_path)
    monkeypatch.setattr(Path, "unlink", refuse)
    log.append(decision(), TASK)
    monkeypatch.undo()
    assert len(_ids(log)) == 8


def test_a_segment_in_use_by_forget_is_deleted_another_time(tmp_path: Path) -> None:
    log = _with_old_segments(tmp_path)
    with (tmp_path / "decisions-a.jsonl").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        log.append(decision(), TASK)
        assert (tmp_path / "decisions-a.jsonl").exists()
    log.close()
    log.append(decision(), TASK)
    assert not (tmp_path / "decisions-a.jsonl").exists()


# Several at once


def test_a_reader_misses_nothing_that_is_renamed_meanwhile(tmp_path: Path) -> None:
    log = Log(tmp_path, rotate_bytes=2500)
    for _ in range(5):
        log.append(decision(), TASK)
    before = set(_ids(log))
    reading = iter(log.records())
    seen = [next(reading).id]
    (tmp_path / "decisions.jsonl").rename(tmp_path / "decisions-z.jsonl")
    log.append(decision(), TASK)
    seen += [record.id for record in reading]
    assert before <= set(seen)
    assert len(seen) == len(set(seen))


def test_a_segment_that_is_deleted_while_others_are_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(tmp_path, rotate_bytes=1000)
    for _ in range(3):
        log.append(decision(), TASK)
    opened = Path.open

    def gone(path: Path, *how: Any) -> Any:
        if path == _before(log)[0]:
            raise FileNotFoundError(path)
        return opened(path, *how)

    monkeypatch.setattr(Path, "open", gone)
    assert len(_ids(log)) == 2


def test_a_segment_that_nobody_may_read_is_an_error(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    log.append(decision(), TASK)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"decisions\.jsonl: cannot be read: Permission denied; allow it"):
        list(log.records())


def _append_all(log: Log, decisions: list[Any]) -> None:
    for one in decisions:
        log.append(one, TASK)


def test_threads_share_a_log(tmp_path: Path) -> None:
    log = Log(tmp_path, rotate_bytes=20_000)
    written = [[decision() for _ in range(60)] for _ in range(8)]
    threads = [threading.Thread(target=_append_all, args=(log, some)) for some in written]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(_ids(log)) == sorted(one.id for some in written for one in some)


def test_a_forked_child_goes_on_with_the_log_of_its_parent(tmp_path: Path) -> None:
    """Also where another thread of the parent was writing at the moment of the fork."""
    log = Log(tmp_path, rotate_bytes=10_000)
    log.append(decision(row_id="first"), TASK)
    with log._segments._lock:  # what a thread holds that the child does not have
        pid = os.fork()
        if pid == 0:
            signal.alarm(30)
            for n in range(20):
                log.append(decision(row_id=f"child {n}"), TASK)
            os._exit(0)
    for n in range(20):
        log.append(decision(row_id=f"parent {n}"), TASK)
    assert os.waitpid(pid, 0)[1] == 0
    rows = [record.row_id for record in log.records()]
    assert sorted(map(str, rows)) == sorted(
        ["first", *(f"{who} {n}" for who in ("child", "parent") for n in range(20))]
    )


@contextmanager
def _writer(folder: Path, *, rotate: int, count: int) -> Iterator[tuple[int, TextIO]]:
    """A process that tells the id of each decision once the log has it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            log = Log(folder, rotate_bytes=rotate)
            for n in range(count):
                one = decision("x" * (n % 7 * 300))
                log.append(one, TASK)
                os.write(writing, f"{one.id}\n".encode())
        finally:
            os._exit(0)  # whatever happens, this is not the process that tests
    os.close(writing)
    with os.fdopen(reading) as told:
        yield pid, told


def test_four_processes_write_one_log_that_rotates_all_the_time(tmp_path: Path) -> None:
    told: list[str] = []
    with ExitStack() as stack:
        writers = [stack.enter_context(_writer(tmp_path, rotate=30_000, count=500)) for _ in range(4)]
        for pid, lines in writers:
            told += [line.strip() for line in lines]
            assert os.waitpid(pid, 0)[1] == 0
    records = Log(tmp_path).records()
    assert sorted(record.id for record in records) == sorted(told)
    assert len(told) == 2000
    assert records.unreadable == 0
    assert len(_before(Log(tmp_path))) > 20


def test_what_was_acknowledged_is_there_after_ten_kills(tmp_path: Path) -> None:
    chance, told = random.Random(7), []
    for _ in range(10):
        with _writer(tmp_path, rotate=50_000, count=100_000) as (pid, lines):
            told += [line.strip() for _, line in zip(range(chance.randrange(1, 400)), lines, strict=False)]
            os.kill(pid, signal.SIGKILL)
            told += [line.strip() for line in lines if line.endswith("\n")]
            assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    records = Log(tmp_path).records()
    there = [record.id for record in records]
    assert set(told) <= set(there)
    assert len(there) == len(set(there))
    assert records.unreadable <= 10  # a kill may tear the record under way, which was not acknowledged


def test_a_log_that_cannot_be_written_fails_the_decision(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    with pytest.raises(DataError, match="cannot be written"):
        Log(tmp_path / "log").append(decision(), TASK)


# Runs


def test_the_segment_of_a_run_is_part_of_the_log(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    path = log.run_segment(tmp_path / "out.jsonl")
    assert path == log.run_segment(tmp_path / "x" / ".." / "out.jsonl")
    assert path != log.run_segment(tmp_path / "other.jsonl")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    header = {"v": 1, "kind": "run", "id": "r", "at": datetime.now(UTC), "task": "triage", "version": 1, "source": "x"}
    one = decision()
    with Segment.open(path, lock=True) as segment:
        segment.append(encoded(header))
        segment.append(encoded({**record_of(one, TASK), "row": 1, "row_hash": "00"}))
        assert [record.kind for record in log.records()] == ["run", "decision"]
    assert log.find(one.id).decision.output == ANSWER


# Corrections and outcomes


def test_a_correction_changes_what_holds_and_stays_with_the_first_answer(log: Log) -> None:
    one = decision(row_id="T-17")
    log.append(one, TASK)
    log.append(decision(), TASK)
    first = log.correct(one.id, {"routing.team": "login"}, task=TASK, by="ana", note="asks for a password")
    second = log.correct(one.id, {"priority": "high", "routing.tags": ["vip"]}, task=TASK)
    history = log.find(one.id)
    assert history == second
    assert history.decision.output == ANSWER
    assert first.output == {**ANSWER, "routing": {"team": "login", "tags": ["late"]}}
    assert history.output == {**ANSWER, "priority": "high", "routing": {"team": "login", "tags": ["vip"]}}
    assert history.checked == "corrected"
    assert [(said.by, said.note, said.row_id) for said in history.corrections] == [
        ("ana", "asks for a password", "T-17"),
        (None, None, "T-17"),
    ]
    (line,) = (one for one in Reader(log.folder / "decisions.jsonl") if one.record.get("by") == "ana")
    assert line.record["fields"] == {"routing.team": {"value": "login"}}
    assert (line.record["kind"], line.record["of"]) == ("correction", one.id)


def test_to_confirm_is_to_correct_nothing(log: Log) -> None:
    one = decision()
    log.append(one, TASK)
    assert log.find(one.id).checked is None
    assert log.confirm(one.id, task=TASK, by="ana").checked == "confirmed"
    assert log.correct(one.id, {"priority": "high"}, task=TASK).checked == "corrected"
    assert log.correct(one.id, {"priority": "low"}, task=TASK).checked == "confirmed"


def test_a_decision_without_an_answer_can_be_given_one(log: Log) -> None:
    one = decision(answer=None)
    log.append(one, TASK)
    with pytest.raises(DataError, match=rf"decision '{one.id}' was refused: there is no output to confirm; correct it"):
        log.confirm(one.id, task=TASK)
    with pytest.raises(DataError, match="would not fit the schema: routing: Field required; rating: Field required"):
        log.correct(one.id, {"priority": "high"}, task=TASK)
    whole: dict[str, Any] = {
        "priority": "low",
        "routing.team": "bug",
        "routing.tags": [],
        "rating": None,
        "summary": "x",
    }
    assert log.correct(one.id, whole, task=TASK).output == {
        "priority": "low",
        "routing": {"team": "bug", "tags": []},
        "rating": None,
        "summary": "x",
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"routing.taem": "login"}, r"has no field 'routing\.taem'; did you mean 'routing\.team'\?"),
        (
            {"routing": {}},
            r"has no field 'routing'; did you mean|has no field 'routing'; its fields: priority, routing",
        ),
        ({"zzz": 1}, "has no field 'zzz'; its fields: priority, routing.team, routing.tags, rating, summary"),
        ({"priority": "hihg"}, 'priority: "hihg" is not one of its answers: "low", "high"'),
        ({"priority": None}, 'priority: null is not one of its answers: "low", "high"'),
        ({"routing.tags": ["late", "new"]}, r'routing\.tags: "new" is not one of its answers: "vip", "late"'),
        ({"routing.tags": None}, r"routing\.tags: null is not one"),
        ({"routing.tags": ["vip"]}, "would not fit the schema: the record: Value error, a vip has a high priority"),
        ({"rating": "seven"}, "would not fit the schema: rating: Input should be a valid integer"),
        ({"rating": object()}, "rating: object is no type that JSON has"),
        ({"summary": "y" * 200, "priority": "z" * 200}, f'priority: "{"z" * 79}… is not one'),
    ],
)
def test_a_correction_that_does_not_fit_is_refused_with_what_would(log: Log, fields: Any, message: str) -> None:
    one = decision()
    log.append(one, TASK)
    with pytest.raises(DataError, match=message):
        log.correct(one.id, fields, task=TASK)
    assert log.find(one.id).corrections == ()


def test_many_misfits_are_said_shortly(log: Log) -> None:
    one = decision(answer=None)
    log.append(one, TASK)
    with pytest.raises(DataError, match="; and 1 more$"):
        log.correct(one.id, {"rating": 1.5}, task=TASK)


def test_a_value_is_kept_as_the_schema_reads_it(log: Log) -> None:
    from typing import Annotated, Literal

    from pydantic import BaseModel, StringConstraints

    class Note(BaseModel):
        kind: Literal["a", "b"]
        text: Annotated[str, StringConstraints(strip_whitespace=True)]

    said = Task(Note, name="triage", prompt={"model": "gpt-6-luna"})
    one = decision(answer=None)
    log.append(one, said)
    history = log.correct(one.id, {"kind": "a", "text": "  x "}, task=said)
    assert history.output == {"kind": "a", "text": "x"}


def test_a_decision_of_another_task_is_not_corrected_by_this_one(log: Log) -> None:
    one = decision(task="other")
    log.append(one, TASK)
    with pytest.raises(DataError, match=rf"'{one.id}' is one of the task 'other', not of 'triage'"):
        log.confirm(one.id, task=TASK)


def test_an_outcome_is_a_name_and_a_value(log: Log) -> None:
    one = decision()
    log.append(one, TASK)
    log.outcome(one.id, "refunded", False)
    log.outcome(one.id, "euros", 12.5)
    history = log.outcome(one.id, "refunded", True)
    assert history == log.find(one.id)
    assert history.said == {"refunded": True, "euros": 12.5}
    assert history.checked is None
    with pytest.raises(TypeError, match="value of the outcome 'x' cannot be written as JSON"):
        log.outcome(one.id, "x", object())
    with pytest.raises(ValueError, match="needs a name"):
        log.outcome(one.id, "", 1)


def test_an_unknown_decision_is_an_error_that_names_it(log: Log) -> None:
    log.append(decision(), TASK)
    for what in (
        lambda: log.find("nothing"),
        lambda: log.confirm("nothing", task=TASK),
        lambda: log.outcome("nothing", "x", 1),
        lambda: log.forget("nothing", task=TASK),
        lambda: log.resolve("nothing"),
    ):
        with pytest.raises(DataError, match="holds no decision 'nothing'; `decider log list` shows them"):
            what()


def test_a_correction_is_no_decision_of_its_own(log: Log) -> None:
    one = decision()
    log.append(one, TASK)
    said = log.confirm(one.id, task=TASK).corrections[0]
    with pytest.raises(DataError, match="holds no decision"):
        log.find(said.id)
    with pytest.raises(DataError, match="holds no decision"):
        log.resolve(said.id)


def test_a_decision_is_meant_by_its_id_the_beginning_of_it_or_its_row(log: Log) -> None:
    ids = ["0123456789" + "a" * 22, "0123456789" + "b" * 22, "c" * 32, "01234567"]
    for n, name in enumerate(ids):
        log.append(decision(id=name, row_id=f"row {n % 3}"), TASK)
    assert log.resolve(ids[0]) == ids[0]
    assert log.resolve("0123456789a") == ids[0]
    assert log.resolve("cccccccc") == ids[2]
    assert log.resolve("01234567") == ids[3]
    assert log.resolve("row 2") == ids[2]
    with pytest.raises(DataError, match="'0123456789' may mean 2 decisions: 0123456789a+, 0123456789b+; name one"):
        log.resolve("0123456789")
    with pytest.raises(DataError, match="'row 0' may mean 2 decisions"):
        log.resolve("row 0")
    with pytest.raises(DataError, match="holds no decision 'ccccccc'"):
        log.resolve("ccccccc")
    with pytest.raises(DataError, match="holds no decision '0123456789c'"):
        log.resolve("0123456789c")
    assert log.matches(["0123456789c", "row 2"])["0123456789c"] == set()
    for _ in range(6):
        log.append(decision(row_id="many"), TASK)
    with pytest.raises(DataError, match="may mean 6 decisions: .*, …; name one"):
        log.resolve("many")
    assert log.matches(["row 2", "cccccccc"]) == {"row 2": {ids[2]}, "cccccccc": {ids[2]}}


def test_histories_can_be_asked_for_by_their_ids(log: Log) -> None:
    written = [decision() for _ in range(4)]
    for one in written:
        log.append(one, TASK)
        log.confirm(one.id, task=TASK)
    found = log.histories([written[1].id, written[3].id])
    assert [history.decision.id for history in found] == [written[1].id, written[3].id]
    assert all(history.checked == "confirmed" for history in found)


def test_a_history_in_json_holds_all_that_was_said(log: Log) -> None:
    one = decision()
    log.append(one, TASK)
    log.correct(one.id, {"priority": "high"}, task=TASK, by="ana")
    said = log.outcome(one.id, "refunded", True).to_json()
    assert json.loads(json.dumps(said)) == said
    assert (said["id"], said["checked"], said["output"]["priority"]) == (one.id, "corrected", "high")
    assert [correction["fields"] for correction in said["corrections"]] == [{"priority": {"value": "high"}}]
    assert [(known["name"], known["value"]) for known in said["outcomes"]] == [("refunded", True)]


def test_records_are_values() -> None:
    record = Record.read(encoded(record_of(decision(), TASK)))
    assert record is not None
    assert record.input == "I paid twice"
    assert Triage.model_validate(record.output).priority == "low"
    with pytest.raises(ValueError, match="frozen"):
        record.id = "x"
