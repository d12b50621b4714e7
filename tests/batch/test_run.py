"""Runs: every row recorded once, resumed for nothing, refused where it is another one's, whole after any fault."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from batch_endpoint import Provider, client_of
from decider.batch.provider import Standing
from decider.batch.rows import Rows
from decider.batch.run import Run, Summary, Tally, opened
from decider.decider import Decider
from decider.decision import Reply, Request, Usage
from decider.errors import (
    BudgetExceeded,
    DataError,
    DeadlineExceeded,
    EngineError,
    EngineRejected,
    EngineUnavailable,
    InvalidDecision,
)
from decider.task import Task
from decider.testing import FakeEngine
from endpoint import route_at


class Route(BaseModel):
    team: Literal["even", "odd"]
    note: str


class Ticket(BaseModel):
    subject: str
    stars: int


Say = Callable[[int], Any]
"""What the engine says to the row of a number: None for its usual answer."""


class Counting(FakeEngine):
    """Answers each row by the number in its text, or as `say` has it; tells usage and a price."""

    def __init__(self, say: Say = lambda n: None, *, in_process: bool = False) -> None:
        super().__init__(self.answer, in_process=in_process)
        self.say = say
        self.asked: list[int] = []

    def answer(self, request: Request) -> Any:
        n = number(request.input)
        self.asked.append(n)
        said = self.say(n)
        if said is not None:
            return said
        text = json.dumps({"team": "odd" if n % 2 else "even", "note": f"row {n}"})
        return Reply(text=text, usage=Usage(input_tokens=10, output_tokens=2))

    def cost(self, usage: Usage) -> float:
        return usage.input_tokens * 0.001


def number(x: Any) -> int:
    text = x if isinstance(x, str) else x["subject"]
    return int(text.split()[1])


class Case:
    """One input on its way to one output; `run` is a process of its own, as far as a test can tell."""

    def __init__(self, folder: Path, rows: int = 5, *, name: str = "out.jsonl", **keys: Any) -> None:
        self.folder = folder
        self.source = folder / "in.jsonl"
        self.out = folder / name
        self.keys = {"retry": {"attempts": 1, "passes": 1}, **keys}
        self.engine = Counting()
        self.input: type[BaseModel] | None = None
        self.write(rows)

    def write(self, *rows: int | str) -> None:
        """Write rows: a count of usual ones, or lines."""
        lines = [
            json.dumps({"text": f"row {n}", "c": -n}) for one in rows if isinstance(one, int) for n in range(1, one + 1)
        ]
        self.source.write_text(
            "".join(f"{line}\n" for line in [*lines, *(one for one in rows if isinstance(one, str))])
        )

    @property
    def task(self) -> Task[Route]:
        return Task(Route, name="t", input=self.input, folder=self.folder, **self.keys)

    @contextmanager
    def opened(self, **options: Any) -> Iterator[Run[Route]]:
        with Decider(self.task, engine=self.engine) as decider:
            source = options.pop("source", self.source)
            with opened(decider, source, self.out, **options) as run:
                yield run

    def run(self, *, passes: int | None = None, pause: Any = None, progress: Any = None, **options: Any) -> Summary:
        self.engine.asked.clear()
        with self.opened(**options) as run:
            return run.go(concurrency=4, passes=passes, pause=pause or (lambda seconds: None), progress=progress)

    def segment(self) -> Path:
        return self.out.with_name(f".{self.out.name}.decider-run.jsonl")

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.segment().read_text().split("\n") if line]

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text().split("\n") if line]

    def said(self) -> list[tuple[str, str, Any]]:
        """What is in the output, without what is new in each run."""
        return [(row["id"], row["status"], row["output"]) for row in self.rows()]


def usual(rows: int) -> list[tuple[str, str, Any]]:
    return [(str(n), "decided", {"team": "odd" if n % 2 else "even", "note": f"row {n}"}) for n in range(1, rows + 1)]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.mark.parametrize("in_process", [True, False])
def test_every_row_is_decided_and_written_in_order(case: Case, in_process: bool) -> None:
    case.engine = Counting(in_process=in_process)
    seen: list[int] = []
    summary = case.run(keep=["c"], progress=lambda tally: seen.append(tally.done))
    assert case.said() == usual(5)
    assert [(row["input"], row["c"], row["mode"], row["engine"]) for row in case.rows()] == [
        (f"row {n}", -n, "prompt", "fake") for n in range(1, 6)
    ]
    assert len({row["decision"] for row in case.rows()}) == 5
    assert summary.to_json() | {"seconds": 0.0} == {
        "rows": 5, "done": 5, "decided": 5, "abstained": 0, "refused": 0, "filtered": 0, "failed": 0, "resumed": 0,
        "from_cache": 0, "calls": 5, "input_tokens": 50, "output_tokens": 10, "cost_usd": pytest.approx(0.05),
        "possibly_billed": 0, "seconds": 0.0, "out": str(case.out), "error": None,
    }  # fmt: skip
    assert seen[-1] == 5
    assert stat.S_IMODE(case.segment().stat().st_mode) == 0o600
    assert {path.name for path in case.folder.iterdir()} == {"in.jsonl", "out.jsonl", case.segment().name}


def test_going_on_is_free(case: Case) -> None:
    case.run()
    before = case.rows()
    summary = case.run(keep=["c"])
    assert case.engine.asked == []
    assert (summary.tally.resumed, summary.tally.calls, summary.out) == (5, 0, case.out)
    assert case.rows() == [{**row, "c": -n} for n, row in enumerate(before, 1)]
    case.write(7)
    assert case.run().tally.resumed == 5
    assert sorted(case.engine.asked) == [6, 7]
    assert case.said() == usual(7)


def test_bad_rows_fail_and_the_others_go_on(case: Case) -> None:
    case.write(1, '{"text": ', '{"text": ""}', "3", '{"id": "x", "text": "row 5"}', "row 6 is no JSON", "null")
    summary = case.run()
    assert (summary.tally.statuses["failed"], case.engine.asked) == (5, [1, 5])
    rows = case.rows()
    assert [row["id"] for row in rows] == ["1", "2", "3", "4", "x", "6", "7"]
    assert [row["input"] for row in rows] == ["row 1", '{"text":', "", 3, "row 5", "row 6 is no JSON", None]
    assert [row["error"] and row["error"] for row in rows] == [
        None,
        "row 2: is not JSON: EOF while parsing a value at column 8",
        "row 3: the input is empty",
        "row 4: this task decides one text, and was given a int; or declare `input:` in the spec",
        None,
        "row 6: is not JSON: expected value at column 1",
        "row 7: this task decides one text, and was given nothing; or declare `input:` in the spec",
    ]
    assert case.run().tally.calls == 0


def test_structured_inputs_are_written_as_they_were_decided_on(case: Case) -> None:
    case.input = Ticket
    case.source = case.folder / "in.csv"
    case.source.write_text("subject,stars\nrow 1,3\nrow 2,many\n")
    case.run()
    assert [row["input"] for row in case.rows()] == [
        {"subject": "row 1", "stars": 3}, {"subject": "row 2", "stars": "many"},
    ]  # fmt: skip


def test_no_rows_are_a_run_too(case: Case) -> None:
    case.write(0)
    assert case.run().out == case.out
    assert case.out.read_text() == ""


def test_a_refusal_is_done(case: Case) -> None:
    case.engine.say = lambda n: Reply(text="", outcome="refused") if n == 2 else None
    case.run()
    assert case.said()[1] == ("2", "refused", None)
    case.run()
    assert case.engine.asked == []


# Passes


def test_what_failed_for_now_is_tried_again_when_all_had_their_turn(case: Case) -> None:
    down = {2: 1, 4: 2}

    def say(n: int) -> Any:
        down[n] = down.get(n, 0) - 1
        return EngineUnavailable("down") if down[n] >= 0 else None

    case.engine.say = say
    pauses: list[float] = []
    again: list[int] = []
    summary = case.run(passes=4, pause=pauses.append, progress=lambda tally: again.append(tally.again))
    assert case.said() == usual(5)
    assert (sorted(case.engine.asked[:5]), case.engine.asked[5:]) == ([1, 2, 3, 4, 5], [2, 4, 4])
    assert (pauses, max(again), again[-1]) == ([1.0, 5.0], 2, 0)
    assert (summary.tally.calls, len(case.records())) == (8, 6)


@pytest.mark.parametrize("error", [EngineUnavailable("down"), DeadlineExceeded("late"), InvalidDecision("never")])
def test_the_last_pass_records_what_fails(case: Case, error: Exception) -> None:
    case.engine.say = lambda n: (error if not isinstance(error, InvalidDecision) else "{}") if n == 3 else None
    pauses: list[float] = []
    summary = case.run(passes=2, pause=pauses.append)
    assert (case.said()[2][1], summary.tally.statuses["failed"], pauses) == ("failed", 1, [1.0])
    assert case.engine.asked.count(3) == 4 if isinstance(error, InvalidDecision) else 2
    case.engine.say = lambda n: None
    case.run()
    assert case.engine.asked == []
    summary = case.run(retry_failed=True)
    assert (case.engine.asked, summary.tally.resumed, summary.tally.statuses["failed"]) == ([3], 4, 0)
    assert case.said() == usual(5)
    assert case.run(retry_failed=True).tally.calls == 0


def test_rows_that_fail_for_good_are_tried_once(case: Case) -> None:
    case.engine.say = lambda n: EngineRejected("too odd", reason="request") if n % 2 else None
    case.run(passes=3)
    assert len(case.engine.asked) == 5
    assert [row["error"] for row in case.rows()] == ["too odd", None, "too odd", None, "too odd"]


def test_pauses_grow_and_have_an_end(case: Case) -> None:
    case.engine.say = lambda n: EngineUnavailable("down") if n == 1 else None
    pauses: list[float] = []
    case.run(passes=6, pause=pauses.append)
    assert pauses == [1.0, 5.0, 25.0, 60.0, 60.0]


def test_the_spec_says_how_many_passes(case: Case) -> None:
    case.keys["retry"] = {"attempts": 1, "passes": 2}
    case.engine.say = lambda n: EngineUnavailable("down") if n == 1 else None
    case.run()
    assert case.engine.asked.count(1) == 2


# What ends a run early


FATAL: list[EngineError] = [
    EngineRejected("no such key", reason="auth"),
    EngineRejected("used up", reason="quota"),
    EngineRejected("no such model", reason="model"),
    DeadlineExceeded("wait", retry_after=600.0),
    BudgetExceeded("too much", scope="run"),
]


@pytest.mark.parametrize("error", FATAL, ids=str)
def test_what_no_row_survives_ends_the_run_and_is_not_recorded(case: Case, error: EngineError) -> None:
    case.write(40)
    case.engine.say = lambda n: error if n == 7 else None
    summary = case.run()
    assert (summary.error, summary.out, case.out.exists()) == (error, None, False)
    assert 6 <= summary.tally.done < 40
    assert len(case.records()) == summary.tally.done + 1
    case.engine.say = lambda n: None
    assert case.run().tally.resumed == summary.tally.done
    assert case.said() == usual(40)


@pytest.mark.parametrize("in_process", [True, False])
def test_a_run_that_is_told_to_stop_goes_on_later(case: Case, in_process: bool) -> None:
    case.write(60)
    case.engine = Counting(in_process=in_process)
    with case.opened() as run:
        summary = run.go(concurrency=2, progress=lambda tally: run.halt() if tally.done >= 5 else None)
    assert (summary.out, summary.error) == (None, None)
    assert 5 <= summary.tally.done < 60
    assert summary.tally.done == len(case.engine.asked)
    assert case.run().tally.resumed == summary.tally.done
    assert case.said() == usual(60)


def test_a_run_that_is_told_to_stop_while_it_writes_writes_nothing(case: Case) -> None:
    with case.opened() as run:
        summary = run.go(progress=lambda tally: run.halt() if tally.done == 5 else None)
    assert (summary.out, summary.error, summary.tally.done) == (None, None, 5)
    assert not case.out.exists()
    assert case.run().out == case.out
    assert case.engine.asked == []


def test_a_run_can_be_told_to_stop_between_passes(case: Case) -> None:
    case.engine.say = lambda n: EngineUnavailable("down") if n == 1 else None
    with case.opened() as run:
        summary = run.go(passes=3, pause=lambda seconds: run.halt())
    assert (summary.out, summary.tally.done) == (None, 4)
    case.engine.say = lambda n: None
    case.run()
    assert case.said() == usual(5)


def test_what_a_run_may_spend_counts_from_its_beginning(case: Case) -> None:
    case.keys["budget"] = {"run": {"calls": 4}}
    first = case.run()
    assert (first.tally.done, type(first.error)) == (4, BudgetExceeded)
    second = case.run()
    assert (second.tally.resumed, second.tally.calls, type(second.error)) == (4, 0, BudgetExceeded)
    case.keys["budget"] = {"run": {"calls": 5}}
    assert case.run().out == case.out


# Whose run it is


def changed_fields(case: Case) -> None:
    case.keys["instructions"] = "Decide otherwise."


def changed_version(case: Case) -> None:
    case.keys["version"] = 2


def changed_input(case: Case) -> None:
    case.source = Path(shutil.copy(case.source, case.folder / "other.jsonl"))


def changed_row(case: Case) -> None:
    case.source.write_text(case.source.read_text().replace('"row 3"', '"row 33"'))


def changed_id(case: Case) -> None:
    case.source.write_text(case.source.read_text().replace('{"text": "row 2"', '{"id": "b", "text": "row 2"'))


def lost_row(case: Case) -> None:
    case.write(3)


def lost_segment(case: Case) -> None:
    case.segment().unlink()


def emptied_segment(case: Case) -> None:
    case.segment().write_text("")


OTHERS = [
    (changed_fields, "belongs to another run: the fingerprint of what is asked (instructions, fields, examples) was "),
    (changed_version, "belongs to another run: the version of the task was 1, and is 2"),
    (changed_input, "belongs to another run: the input was "),
    (changed_row, "belongs to other rows: row 3 is not the row that was decided, whose id was '3'"),
    (changed_id, "belongs to other rows: row 2 is not the row that was decided, whose id was '2'"),
    (lost_row, "belongs to other rows: has a result for row "),
    (lost_segment, "is there, and no run is known that wrote it"),
    (emptied_segment, "is there, and no run is known that wrote it"),
]


@pytest.mark.parametrize(("change", "says"), OTHERS, ids=[change.__name__ for change, _ in OTHERS])
def test_an_output_of_another_run_is_refused_unless_it_may_be_overwritten(
    case: Case, change: Callable[[Case], None], says: str
) -> None:
    case.run()
    before = case.out.read_text()
    change(case)
    files = set(case.folder.iterdir())
    with pytest.raises(DataError) as caught:
        case.run()
    assert says in str(caught.value)
    assert "name another OUT, or begin anew with --overwrite" in str(caught.value)
    assert (case.engine.asked, case.out.read_text(), set(case.folder.iterdir())) == ([], before, files)
    summary = case.run(overwrite=True)
    assert (summary.tally.resumed, len(case.engine.asked), len(case.rows())) == (
        0,
        summary.tally.rows,
        summary.tally.rows,
    )
    assert len([one for one in case.records() if one["kind"] == "run"]) == 1
    assert case.run().tally.resumed == summary.tally.rows


def test_another_mode_or_another_engine_is_another_run(case: Case) -> None:
    case.run()
    with pytest.raises(DataError, match="the mode was prompt, and is finetuned"):
        case.run(mode="finetuned")
    case.engine.__class__ = type("Other", (Counting,), {"identity": "other"})
    with pytest.raises(DataError, match="the identity of what answers"):
        case.run()


def test_nothing_is_thrown_away_before_the_run_begins(case: Case) -> None:
    case.run()
    before = case.segment().read_bytes()
    with case.opened(overwrite=True) as run:
        assert run.tally.resumed == 0
    assert case.segment().read_bytes() == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"id": "a", "text": "row 1"}\n{"id": "a", "text": "row 2"}\n', "has the id 'a' in row 1 and in row 2"),
        ('{"body": "row 1", "more": 2}\n', "has no column 'text'; its columns: body, more"),
        ('"caf\\xe9"\n', "none of its rows can be read"),
    ],
)
def test_a_wrong_input_is_refused_before_anything_is_made_or_paid(case: Case, content: str, says: str) -> None:
    case.source.write_text(content)
    with pytest.raises(DataError, match=says):
        case.run()
    assert case.engine.asked == []
    assert [path.name for path in case.folder.iterdir()] == ["in.jsonl"]


def test_a_second_process_is_refused(case: Case) -> None:
    with case.opened() as run:
        with pytest.raises(DataError, match=f"out.jsonl: cannot be written to now: .* is locked by pid {os.getpid()}"):
            case.run()
        assert run.go().out == case.out
    assert case.run().tally.resumed == 5


def test_the_input_is_not_overwritten(case: Case) -> None:
    case.out = case.source
    with pytest.raises(DataError, match="is the input; name another file"):
        case.run(overwrite=True)


def test_a_link_stays_a_link(case: Case) -> None:
    (case.folder / "real").mkdir()
    case.out.symlink_to(case.folder / "real" / "out.jsonl")
    case.run()
    assert case.out.is_symlink()
    assert case.said() == usual(5)
    assert case.run().tally.resumed == 5


# An input that changes while it is read


def overwrite(path: Path, lines: list[str]) -> None:
    path.write_text("".join(lines))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines[:30], "in.jsonl:30: has lost rows while it was decided: nothing is written; restore it"),
        (lambda lines: [*lines[:30], '"row 99"\n', *lines[31:]], "in.jsonl:31: has changed while it was decided"),
    ],
    ids=["lost", "changed"],
)
@pytest.mark.parametrize("begun", [True, False])
def test_an_input_that_changes_under_a_run_ends_it(
    case: Case, change: Callable[[list[str]], list[str]], says: str, begun: bool
) -> None:
    case.write(60)
    lines = case.source.read_text().splitlines(keepends=True)
    with case.opened() as run:
        if begun:
            case.source.write_text("".join(change(lines)))
            summary = run.go(concurrency=1)
            assert summary.tally.done == 30
        else:
            summary = run.go(progress=lambda tally: overwrite(case.source, change(lines)))
    assert says in str(summary.error)
    assert (summary.out, case.out.exists()) == (None, False)
    case.source.write_text("".join(lines))
    assert case.run().tally.resumed == summary.tally.done
    assert case.said() == usual(60)


def test_rows_that_are_added_under_a_run_are_for_the_next(case: Case) -> None:
    with case.opened() as run:
        case.write(6)
        assert run.go().out == case.out
    assert case.said() == usual(5)
    assert case.run().tally.resumed == 5
    assert case.said() == usual(6)


# Streams


def test_a_stream_is_given_again_to_go_on(case: Case) -> None:
    content = case.source.read_bytes()
    case.engine.say = lambda n: EngineRejected("used up", reason="quota") if n == 4 else None
    assert case.run(source=io.BytesIO(content)).out is None
    case.engine.say = lambda n: None
    assert case.run(source=io.BytesIO(content)).out == case.out
    assert case.said() == usual(5)
    with pytest.raises(DataError, match="belongs to other rows"):
        case.run(source=io.BytesIO(b'"row 9"\n'))
    assert {path.name for path in case.folder.iterdir()} == {"in.jsonl", "out.jsonl", case.segment().name}


# The log


class Logged(Case):
    def segment(self) -> Path:
        (path,) = (self.folder / "log" / "runs").glob("*.jsonl")
        return path


@pytest.mark.parametrize("inputs", ["text", "hash", "none"])
def test_a_run_is_recorded_in_the_log(tmp_path: Path, inputs: str) -> None:
    case = Logged(tmp_path, log={"folder": "log", "inputs": inputs, "fsync": True})
    case.engine.say = lambda n: EngineUnavailable("down at row 3") if n == 3 else None
    case.write(4, '{"text": " "}')
    case.run()
    header, *records = case.records()
    assert (header["kind"], header["source"], header["mode"]) == ("run", str(case.source), "prompt")
    shown = {"text": ("row 1", True), "hash": (None, True), "none": (None, False)}[inputs]
    first = next(one for one in records if one["row"] == 1)
    assert (first["input"], first["input_sha256"] is not None) == shown
    rows = case.rows()
    assert [row["input"] for row in rows] == ["row 1", "row 2", "row 3", "row 4", " "]
    assert rows[2]["error"] == ("down at row 3" if inputs == "text" else "EngineUnavailable")
    assert rows[4]["error"] == "row 5: the input is empty"
    assert case.run().tally.resumed == 5
    case.write(4, '{"text": "  "}')
    with pytest.raises(DataError, match="row 5 is not the row that was decided"):
        case.run()
    with Decider(case.task, engine=case.engine) as decider:
        assert decider.log is not None
        assert len(list(decider.log.records())) == 6


def test_what_is_begun_anew_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    case = Logged(tmp_path, log={"folder": "log"})
    case.run()
    first = {row["decision"] for row in case.rows()}
    case.write(4)
    case.run(overwrite=True)
    assert {one["id"] for one in case.records()} > first
    assert len([one for one in case.records() if one["kind"] == "run"]) == 2
    assert case.run().tally.resumed == 4
    assert case.said() == usual(4)


def test_what_is_redacted_is_redacted_in_the_output_too(tmp_path: Path) -> None:
    case = Logged(tmp_path, log={"folder": "log"}, redact={"kinds": ["email"]})
    case.write(
        '{"text": "row 1 ana@example.com"}', '{"text": ["ana@example.com"]}', '{"body": "x", "c": "ana@example.com"}'
    )
    case.run()
    assert [(row["input"], row["status"]) for row in case.rows()] == [
        ("row 1 [EMAIL]", "decided"), (None, "failed"), (None, "failed"),
    ]  # fmt: skip
    assert "ana@example.com" not in case.out.read_text() + case.segment().read_text()


def test_what_cannot_be_redacted_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "hide.py").write_text('def hide(text):\n    return {"row 1": "row 1", "row 2": 2}[text]\n')
    case = Logged(tmp_path, log={"folder": "log"}, redact={"kinds": [], "function": "hide.py:hide"})
    case.write(3)
    case.run()
    assert [(row["input"], row["status"]) for row in case.rows()] == [
        ("row 1", "decided"), (None, "failed"), (None, "failed"),
    ]  # fmt: skip


def test_a_row_that_was_forgotten_stays_done(tmp_path: Path) -> None:
    case = Logged(tmp_path, log={"folder": "log"})
    case.run()
    with Decider(case.task, engine=case.engine) as decider:
        decider.forget(case.rows()[1]["decision"])
    assert "row 2" not in case.segment().read_text()
    assert case.run().tally.resumed == 5
    assert [row["status"] for row in case.rows()] == ["decided"] * 5


# Batches of a provider


def test_a_provider_can_decide_in_batches(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('"row 1"\n"row 2"\n[]\n')
    provider = Provider()
    looks: list[Standing] = []

    @contextmanager
    def begun(**options: Any) -> Iterator[Run[Any]]:
        task = route_at(provider.url, prompt={"price": {"input": 1, "output": 1}})
        with (
            client_of(provider) as client,
            Decider(task, client=client) as decider,
            opened(decider, tmp_path / "in.jsonl", tmp_path / "out.jsonl", **options) as run,
        ):
            yield run

    with begun(batched=True) as run:
        summary = run.go_batched(pause=lambda seconds: run.halt(), watch=looks.append)
    assert (summary.out, summary.error, looks[0].requests) == (None, None, 2)
    with (
        pytest.raises(DataError, match=r"has batches under way \(batch_.\); go on with --batch, or begin anew"),
        begun(),
    ):
        pass
    with begun(batched=True) as run:
        summary = run.go_batched(pause=lambda seconds: None)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["decided", "decided", "failed"]
    assert (summary.tally.calls, summary.tally.statuses["failed"]) == (2, 1)
    assert sum(provider.asked.values()) == 2
    with begun() as run:
        assert run.go().tally.resumed == 3


# Formats


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_run_writes_what_its_output_is_called(tmp_path: Path, name: str) -> None:
    case = Case(tmp_path, name=name)
    summary = case.run(keep=["c"])
    assert summary.out == case.out
    case.out.rename(tmp_path / f"in-{name}")
    case.segment().unlink()
    case.source, case.keys["data"] = tmp_path / f"in-{name}", {"columns": {"input": "note", "id": "decision"}}
    case.run(keep=["c", "team"])
    assert [row.input for row in Rows(case.task, case.out, tmp_path)] == [f"row {n}" for n in range(1, 6)]
    assert [row.columns["output.team"] for row in Rows(case.task, case.out, tmp_path)] == [
        "odd", "even", "odd", "even", "odd",
    ]  # fmt: skip


def test_a_number_that_no_parquet_column_holds_ends_the_run(tmp_path: Path) -> None:
    class Big(BaseModel):
        count: int

    case = Case(tmp_path, name="out.parquet")
    decider = Decider(Task(Big, name="t"), engine=FakeEngine({"count": 2**70}))
    with opened(decider, case.source, case.out) as run:
        summary = run.go()
    assert "name an OUT that ends in .jsonl or .csv" in str(summary.error)


# Faults


class Disk:
    """Stands in for `os.write`: fails from its n-th write on, as a disk does that is full, after half of the bytes."""

    def __init__(self, n: int, code: int = errno.ENOSPC, *, torn: bool = False) -> None:
        self.left = n
        self.code = code
        self.torn = torn
        self.write = os.write

    def __call__(self, descriptor: int, data: bytes) -> int:
        self.left -= 1
        if self.left > 0:
            return self.write(descriptor, data)
        if self.torn and len(data) > 100:
            return self.write(descriptor, data[: len(data) // 2])
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("torn", [True, False])
def test_a_full_disk_ends_the_run_and_tells_what_it_could_not_record(
    case: Case, monkeypatch: pytest.MonkeyPatch, torn: bool
) -> None:
    case.write(40)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", Disk(10, torn=torn))
        summary = case.run(keep=["c"])
    assert "cannot be written: No space left on device; make room" in str(summary.error)
    assert summary.unwritten
    assert summary.tally.done + len(summary.unwritten) == len(case.engine.asked) < 40
    assert {"id", "output", "c"} <= set(summary.unwritten[0])
    assert case.run().tally.resumed == summary.tally.done
    assert case.said() == usual(40)


ROWS = 50


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pulls the plug here, and to wait for the disk would take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def fifty(tmp_path: Path, unsynced: None) -> Case:
    case = Case(tmp_path, ROWS)
    case.engine = Counting(in_process=True)
    return case


def test_a_fault_at_any_write_is_made_good_by_the_next_run(fifty: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    n, whole = 1, False  # the first write says who holds the lock
    while not whole:
        n += 1
        fifty.segment().unlink(missing_ok=True)
        fifty.out.unlink(missing_ok=True)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", Disk(n, torn=n % 2 == 0))
            whole = fifty.run().out is not None
        first = set(fifty.engine.asked)
        summary = fifty.run()
        assert summary.tally.resumed + len(fifty.engine.asked) == ROWS
        assert first | set(fifty.engine.asked) == set(range(1, ROWS + 1))
        assert fifty.said() == usual(ROWS)
    assert n > ROWS


def test_a_fault_at_any_read_is_made_good_by_the_next_run(fifty: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Rows.__iter__
    reads = 0

    def breaking(at: int) -> Callable[[Rows], Iterator[Any]]:
        def rows(self: Rows) -> Iterator[Any]:
            nonlocal reads
            for row in whole(self):
                reads += 1
                if reads == at:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                yield row

        return rows

    for at in range(1, 3 * ROWS + 1):
        fifty.segment().unlink(missing_ok=True)
        fifty.out.unlink(missing_ok=True)
        reads = 0
        with monkeypatch.context() as patch:
            patch.setattr(Rows, "__iter__", breaking(at))
            if at <= ROWS:
                with pytest.raises(OSError, match="Input/output error"):
                    fifty.run()
                continue
            summary = fifty.run()
        assert isinstance(summary.error, OSError)
        assert summary.tally.done == min(at - ROWS - 1, ROWS)
        assert fifty.run().tally.resumed == summary.tally.done
        assert fifty.said() == usual(ROWS)


def test_a_fault_at_any_call_is_made_good_by_the_next_run(fifty: Case) -> None:
    for at in range(1, ROWS + 1):
        error = EngineUnavailable("down") if at % 2 else EngineRejected("used up", reason="quota")
        fifty.segment().unlink(missing_ok=True)
        fifty.out.unlink(missing_ok=True)
        fifty.engine.say = lambda n, at=at, error=error: error if len(fifty.engine.asked) == at else None  # type: ignore[misc]
        fifty.run(passes=2)
        fifty.engine.say = lambda n: None
        fifty.run()
        assert fifty.said() == usual(ROWS)


def test_a_torn_record_costs_no_other_one(case: Case, unsynced: None) -> None:
    case.engine = Counting(in_process=True)
    case.run()
    whole = case.segment().read_bytes()
    ends = [at for at, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) - 300, len(whole) + 1):
        case.segment().write_bytes(whole[:cut])
        case.out.unlink()
        summary = case.run()
        lost = 0 if cut >= ends[-1] else 1
        assert (summary.tally.resumed, len(case.engine.asked)) == (5 - lost, lost)
        assert case.said() == usual(5)


def test_what_belongs_to_no_row_is_passed_over(case: Case) -> None:
    case.run()
    with case.segment().open("a") as file:
        file.write('\n{"v": 1, "kind": "outcome", "row": 1}\n{"v": 2, "kind": "run"}\n')
    assert case.run().tally.resumed == 5


def test_a_torn_header_begins_anew(case: Case) -> None:
    case.run()
    case.out.unlink()
    whole = case.segment().read_bytes()
    case.segment().write_bytes(whole[:50])
    assert case.run().tally.resumed == 0
    assert case.said() == usual(5)


def test_a_tally_knows_when_a_price_is_unknown(case: Case) -> None:
    tally = Tally(rows=1, resumed=0, statuses=case.run().tally.statuses)
    with Decider(case.task, engine=FakeEngine({"team": "odd", "note": ""})) as decider:
        tally.take(decider.decide("row 1"))
        assert tally.cost_usd is None
        tally.take(decider.decide("row 1"))
    assert (tally.cost_usd, tally.calls) == (None, 2)
