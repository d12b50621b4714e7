"""Forgetting: the text is in no file of the log any more, and nothing else has changed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from decider.errors import DataError
from decider.runtime.cache import Cache
from decider.runtime.log import Log
from decider.runtime.log.record import encoded, hash_of, record_of
from decider.runtime.log.segment import Reader, Segment
from decider.task import Task
from logged import ANSWER, decision, task

TASK = task()
CANARY = "canary 4711 läßt grüßen \U0001f426"


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*.jsonl"))}


def _with_canary(**what: Any) -> Any:
    answer = {**ANSWER, "summary": f"says {CANARY}", "rating": 47114711471147}
    return decision(f"I am the {CANARY}", answer, meta={"text": CANARY}, **what)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """A log with a canary among others, in several segments, in a run, in corrections and outcomes."""
    log = Log(tmp_path / "log", rotate_bytes=4000)
    for n in range(4):
        log.append(decision(f"other {n}"), TASK)
    canary = _with_canary(row_id="T-1")
    log.append(canary, TASK)
    for n in range(4):
        log.append(decision(f"other {4 + n}", id=f"{n}" * 32), TASK)
        log.correct(f"{n}" * 32, {"summary": f"stays {n}"}, task=TASK, note=f"stays {n}")
    log.correct(canary.id, {"priority": "high", "summary": CANARY}, task=TASK, by="ana", note=CANARY)
    log.outcome(canary.id, "answered", CANARY)
    log.outcome(canary.id, "euros", 12.5)
    with Segment.open(log.run_segment(tmp_path / "out.jsonl"), lock=True) as segment:
        segment.append(
            encoded({**record_of(_with_canary(row_id="T-2"), TASK), "row": 1, "row_hash": "00ff00ff00ff00ff"})
        )
        segment.append(encoded(record_of(decision("other 9"), TASK)))
    return log


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    cache = Cache(tmp_path / "cache", ttl=60.0, size=1e6)
    yield cache
    cache.close()


def _id(log: Log) -> str:
    return log.resolve("T-1")


def _same(before: dict[Path, bytes], after: dict[Path, bytes], changed: int) -> None:
    """All bytes of all other lines are as they were, and every line is as long."""
    assert before.keys() == after.keys()
    count = 0
    for path, content in before.items():
        pairs = list(zip(content.split(b"\n"), after[path].split(b"\n"), strict=True))
        count += sum(old != new for old, new in pairs)
        assert all(len(old) == len(new) for old, new in pairs)
        assert all(CANARY.encode() in old or b"answered" in old or old == new for old, new in pairs)
    assert count == changed


def test_the_text_is_gone_and_all_else_is_as_it_was(log: Log, cache: Cache) -> None:
    before = _contents(log.folder)
    ids = {log.resolve("T-1"), log.resolve("T-2")}
    keys = {step["cache_key"] for name in ids for step in log.find(name).decision.steps}
    for key in [*keys, "0" * 64]:
        cache.put(key, CANARY)
    forgotten = log.forget(_id(log), task=TASK, cache=cache)
    after = _contents(log.folder)
    _same(before, after, changed=4)
    for content in after.values():
        for trace in ("canary", "47114711471147", "grüßen", "00ff00ff", hash_of(f"I am the {CANARY}"), *keys):
            assert trace.encode() not in content
    assert set(forgotten.decisions) == ids
    assert forgotten.lines == 4
    assert [cache.get(key) for key in keys] == [None, None]
    assert cache.get("0" * 64) == CANARY
    assert forgotten.cached == 2
    assert len(forgotten.segments) == 3
    assert forgotten.unreachable
    assert json.loads(json.dumps(forgotten.to_json()))["lines"] == 4


def test_what_is_left_is_still_a_record(log: Log) -> None:
    count = len(list(log.records()))
    log.forget(_id(log), task=TASK)
    records = log.records()
    assert len(list(records)) == count
    assert records.unreadable == 0
    history = log.find(_id(log))
    record = history.decision
    assert (record.input, record.input_sha256, record.meta, record.error) == (None, None, None, None)
    assert record.output == {**ANSWER, "summary": None, "rating": None}
    assert {path: one["value"] for path, one in record.fields.items()} == {
        "priority": "low",
        "routing.team": "billing",
        "routing.tags": ["late"],
        "rating": None,
        "summary": None,
    }
    assert record.steps[0]["cache_key"] is None
    assert (record.steps[0]["cost_usd"], record.accepted, record.status) == (0.001, True, "decided")
    assert history.changed == {"priority": "high", "summary": None}
    assert [(said.by, said.note) for said in history.corrections] == [("ana", None)]
    assert history.said == {"answered": None, "euros": 12.5}


def test_to_forget_again_changes_nothing(log: Log, cache: Cache) -> None:
    log.forget(_id(log), task=TASK)
    before = _contents(log.folder)
    again = log.forget(_id(log), task=TASK, cache=cache)
    assert _contents(log.folder) == before
    assert (again.decisions, again.lines, again.cached) == ((_id(log),), 0, 0)


@pytest.mark.parametrize("fails", range(1, 4))
def test_what_failed_midway_is_done_by_the_next_try(log: Log, monkeypatch: pytest.MonkeyPatch, fails: int) -> None:
    """Whatever was overwritten last, it still leads to all that is left."""
    name, sync, calls = _id(log), os.fsync, [0]

    def fail(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] == fails:
            raise OSError(5, "Input/output error")
        sync(descriptor)

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(DataError, match="cannot be overwritten: Input/output error"):
        log.forget(name, task=TASK)
    monkeypatch.undo()
    log.forget(name, task=TASK)
    assert not any(CANARY.encode() in content for content in _contents(log.folder).values())


@pytest.mark.parametrize("rest", [0, 1, 5, 400])
def test_a_torn_line_of_it_is_blanked(log: Log, rest: int) -> None:
    """Of this decision, or of one with the same input that was never acknowledged."""
    line = encoded(record_of(_with_canary(id=_id(log) if rest else "f" * 32), TASK))
    end = line.index("grüßen".encode()) + rest
    other = encoded(record_of(decision("other torn"), TASK))[:700]
    with (log.folder / "decisions.jsonl").open("ab") as file:
        file.write(b"\n" + line[:end] + b"\n" + other)
    before = log.records()
    list(before)
    log.forget(_id(log), task=TASK)
    after = log.records()
    list(after)
    assert (before.unreadable, after.unreadable) == (2, 1)
    content = (log.folder / "decisions.jsonl").read_bytes()
    assert b"canary" not in content
    assert other in content


@pytest.mark.parametrize("inputs", ["hash", "none"])
def test_without_texts_the_rest_is_forgotten(tmp_path: Path, inputs: Any) -> None:
    log = Log(tmp_path, inputs=inputs)
    first, second = _with_canary(), _with_canary()
    log.append(first, TASK)
    log.append(second, TASK)
    forgotten = log.forget(first.id, task=TASK)
    assert set(forgotten.decisions) == ({first.id, second.id} if inputs == "hash" else {first.id})
    assert forgotten.cached == 0
    content = (tmp_path / "decisions.jsonl").read_bytes()
    assert content.count(b"canary") == (0 if inputs == "hash" else 3)


def test_a_record_that_only_mentions_it_stays(tmp_path: Path) -> None:
    log = Log(tmp_path)
    one = _with_canary()
    log.append(one, TASK)
    log.append(decision("other", meta={"see": one.id}), TASK)
    assert log.forget(one.id, task=TASK).lines == 1
    assert [record.input for record in log.records()] == [None, "other"]


def test_labels_stay_only_where_they_are_known_to_be_labels(tmp_path: Path) -> None:
    """A record of another task, and one from before a field was closed."""

    class Note(BaseModel):
        priority: Literal["a", "b"]

    log, other = Log(tmp_path), Task(Note, name="note", prompt={"model": "gpt-6-luna"})
    log.append(decision("same", row_id="one"), TASK)
    log.append(decision("same", task="note", row_id="two"), other)
    log.append(decision("same", {**ANSWER, "priority": "low"}, row_id="three"), TASK)
    log.close()
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"tags":["late"]', b'"tags":["tele"]', 1))
    log.forget(log.resolve("one"), task=TASK)
    first, second, _ = (json.loads(json.dumps(line.record)) for line in Reader(path))
    assert first["output"]["routing"] == {"team": "billing", "tags": None}
    assert second["output"] == {"priority": None, "routing": None, "rating": 0, "summary": None}


@pytest.mark.parametrize("value", ["", "x", [], {}, [1], 7, 71, 0.5, True, None, "long enough", {"a": "b"}])
def test_short_values_are_overwritten_in_the_room_that_they_have(tmp_path: Path, value: Any) -> None:
    log = Log(tmp_path)
    one = decision(meta={"x": 1})
    log.append(one, TASK)
    log.close()
    path = tmp_path / "decisions.jsonl"
    said = json.dumps(value, separators=(",", ":")).encode()
    path.write_bytes(path.read_bytes().replace(b'"summary":"paid twice"', b'"summary":%b' % said))
    size = path.stat().st_size
    log.forget(one.id, task=TASK)
    assert path.stat().st_size == size
    (record,) = log.records()
    assert record.output is not None
    assert record.output["summary"] in (None, "", 0, [], {})


def test_spaces_between_the_parts_of_a_record_do_not_matter(tmp_path: Path) -> None:
    log = Log(tmp_path)
    one = _with_canary()
    log.append(decision(), TASK)
    line = json.dumps(json.loads(encoded(record_of(one, TASK))), indent=None, separators=(" , ", " : "))
    with Segment.open(tmp_path / "decisions.jsonl") as segment:
        segment.append(line.encode())
    log.forget(one.id, task=TASK)
    assert log.find(one.id).decision.input is None
    assert "canary" not in (tmp_path / "decisions.jsonl").read_text()


def test_others_append_while_a_text_is_forgotten(tmp_path: Path) -> None:
    log = Log(tmp_path, rotate_bytes=20_000)
    one = _with_canary()
    log.append(one, TASK)
    pid = os.fork()
    if pid == 0:
        for n in range(300):
            log.append(decision(id=f"{n:032x}"), TASK)
        os._exit(0)
    for _ in range(20):
        log.forget(one.id, task=TASK)
    assert os.waitpid(pid, 0)[1] == 0
    ids = [record.id for record in log.records()]
    assert sorted(ids) == sorted([one.id, *(f"{n:032x}" for n in range(300))])
