"""`decider run` as its user types it: rows in, decisions out, and what it says when that ends early."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_endpoint import Provider, serve_batches
from commands import Ran, ran
from decider.batch.run import Run
from endpoint import Answer, Endpoint, completion, error, serve

GOOD = completion('{"team": "a"}')
SPEC = """\
name: t
fields: {{team: {{options: [a, b]}}}}
prompt: {{model: m, base_url: "{url}", price: {{input: 1, output: 1}}}}
retry: {{attempts: 1, passes: 1}}
"""


class Desk:
    """A folder with a spec and rows, and an endpoint that answers them."""

    def __init__(self, folder: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
        self.spec, self.rows, self.out = folder / "spec.yaml", folder / "in.jsonl", folder / "out.jsonl"
        self.endpoint = endpoint
        self._capsys = capsys
        self.spec.write_text(SPEC.format(url=endpoint.url))
        self.write(3)

    def write(self, rows: int) -> None:
        self.rows.write_text("".join(f'{{"text": "row {n}", "c": {n}}}\n' for n in range(1, rows + 1)))

    def command(self, *options: Any) -> list[str]:
        return ["run", str(self.spec), str(self.rows), "-o", str(self.out), *map(str, options)]

    def run(self, *options: Any) -> Ran:
        return self.typed(self.command(*options))

    def typed(self, arguments: list[str]) -> Ran:
        return ran(self._capsys, *arguments)

    def written(self) -> list[Any]:
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def when(self, requests: int, do: Callable[[], object]) -> threading.Thread:
        """Do something once the endpoint got so many requests."""

        def wait() -> None:
            while len(self.endpoint.requests) < requests:
                time.sleep(0.001)
            do()

        thread = threading.Thread(target=wait)
        thread.start()
        return thread


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("COLUMNS", "200")
    with serve(GOOD) as endpoint:
        yield Desk(tmp_path, endpoint, capsys)


def test_rows_become_decisions(desk: Desk) -> None:
    ran = desk.run("--keep", "c, text")
    assert ran.code == 0
    assert ran.out.splitlines()[:2] == ["3 rows: 3 decided", "3 calls, 33 + 9 tokens, $0.0000"]
    assert ran.out.endswith(f"; wrote {desk.out}\n")
    assert [(row["id"], row["output"], row["c"], row["text"]) for row in desk.written()] == [
        (str(n), {"team": "a"}, n, f"row {n}") for n in (1, 2, 3)
    ]
    again = desk.run()
    assert (again.code, len(desk.endpoint.requests)) == (0, 3)
    assert again.out.startswith("3 rows: 3 decided; 3 were done before\n")


def test_a_program_gets_json(desk: Desk) -> None:
    said = desk.run("--json").json()
    assert (said["rows"], said["decided"], said["calls"], said["out"]) == (3, 3, 3, str(desk.out))
    assert said["cost_usd"] == pytest.approx(42e-6)


def test_rows_may_come_on_stdin(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for said in (b"text\nrow 1\nrow 2\n", b"text\nrow 1\nrow 2\nrow 3\n"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said)))
        assert desk.typed(["run", str(desk.spec), "-", "-o", str(desk.out), "--format", "csv"]).code == 0
    assert len(desk.endpoint.requests) == 3


def test_failed_rows_decide_the_exit_code(desk: Desk) -> None:
    desk.rows.write_text('"row 1"\n{"text":\n"row 3"\n')
    ran = desk.run()
    assert (ran.code, ran.out.splitlines()[0]) == (1, "3 rows: 2 decided, 1 failed")
    assert "1 row failed, each with its error in OUT; to decide them again, add --retry-failed" in ran.err
    assert [desk.run("--max-failed", most).code for most in ("0", "1", "33.2%", "33.4%")] == [1, 0, 1, 0]
    desk.endpoint.script(error(400, "no"))
    assert desk.run("--retry-failed", "--max-failed", "1").code == 0


def test_what_an_endpoint_refuses_ends_the_run_and_is_said_with_the_way_on(desk: Desk) -> None:
    desk.write(20)
    desk.endpoint.script(GOOD, GOOD, error(429, "used up", "insufficient_quota"))
    ran = desk.run("--concurrency", "1", "--overwrite")
    assert ran.code == 1
    assert "error: " in ran.err
    assert "used up" in ran.err
    assert ran.out.startswith("20 rows: 2 decided, 18 to do\n")
    command = shlex.join(["decider", *desk.command("--concurrency", "1")])
    assert ran.err.endswith(f"what was decided is recorded; go on with: {command}")
    assert not desk.out.exists()
    desk.endpoint.script(GOOD)
    assert desk.typed(shlex.split(command)[1:]).code == 0
    assert len(desk.endpoint.requests) == 18


def test_an_endpoint_that_wants_to_be_left_alone_is_left_alone(desk: Desk) -> None:
    desk.write(50)
    desk.endpoint.script(error(429, "slow down", Retry_After="600"))
    ran = desk.run("--concurrency", "1", "--set", "retry.attempts=2")
    assert (ran.code, len(desk.endpoint.requests) < 25) == (1, True)
    assert "; not before " in ran.err


def test_a_full_disk_gives_what_it_lost_on_stderr(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    write, left = os.write, 3

    def full(descriptor: int, data: bytes) -> int:
        nonlocal left
        left -= data.startswith(b"\n{")
        if data.startswith(b"\n{") and left <= 0:
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    desk.write(9)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        ran = desk.run("--concurrency", "1")
    assert ran.code == 1
    assert '"status": "decided"' in ran.err
    assert "error: " in ran.err
    assert desk.run().code == 0
    assert len(desk.written()) == 9


@pytest.mark.parametrize("given", [(), ("--set", "budget.run.calls=2")])
def test_a_used_up_budget_is_to_be_raised(desk: Desk, given: tuple[str, ...]) -> None:
    desk.spec.write_text(desk.spec.read_text() + "budget: {run: {calls: 2}}\n")
    ran = desk.run("--concurrency", "1", *given)
    assert (ran.code, len(desk.endpoint.requests)) == (1, 2)
    command = shlex.join(["decider", *desk.command("--concurrency", "1", "--set", "budget.run.calls=MORE")])
    assert "error: budget.run.calls is 2; 2 is spent, " in ran.err
    assert ran.err.endswith(f"; raise budget.run.calls above 2, in the spec or here, and go on with: {command}")
    assert desk.typed(shlex.split(command)[1:]).code == 2
    assert desk.typed(shlex.split(command.replace("MORE", "3"))[1:]).code == 0
    assert len(desk.endpoint.requests) == 3


def test_it_says_which_rows_were_done_before_and_which_came_from_the_cache(desk: Desk) -> None:
    cached = ("--set", "cache={}")
    assert desk.run(*cached).out.startswith("3 rows: 3 decided\n3 calls, ")
    ran = desk.run(*cached, "--overwrite")
    assert ran.out.startswith("3 rows: 3 decided; 3 from the cache\n0.")
    desk.rows.write_text(desk.rows.read_text() + '"row 1"\n"row 5"\n')
    assert desk.run(*cached).out.startswith("5 rows: 5 decided; 3 were done before, 2 now (1 from the cache)\n1 call, ")
    assert desk.run(*cached).out.startswith("5 rows: 5 decided; 5 were done before\n0.")


def test_a_model_of_ones_own_makes_no_calls(desk: Desk, tmp_path: Path) -> None:
    rows = [{"input": f"{team} {n}", "output": {"team": team}} for n in range(20) for team in ("a", "b")]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    desk.typed(["train", str(desk.spec), str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "model")])
    trained = ("--mode", "finetuned", "--set", "finetuned.model=model")
    said = desk.run(*trained, "--estimate").out
    assert said == "3 rows, in about 0.0 s: this machine decides, and no call is made\n"
    lines = desk.run(*trained).out.splitlines()
    assert (lines[0], lines[1].partition("; ")[2]) == ("3 rows: 3 decided", f"wrote {desk.out}")
    assert (desk.run(*trained, "--json").json()["calls"], desk.endpoint.requests) == (0, [])


# Estimates


def test_an_estimate_makes_no_call(desk: Desk, tmp_path: Path) -> None:
    ran = desk.typed(["run", str(desk.spec), str(desk.rows), "--estimate"])
    assert ran.code == 0
    assert ran.out.startswith("3 rows: about 3 calls, ")
    said = desk.run("--estimate", "--json").json()
    assert (said["rows"], said["calls"]) == (3, 3)
    assert (desk.endpoint.requests, sorted(path.name for path in tmp_path.iterdir())) == ([], ["in.jsonl", "spec.yaml"])


def test_much_money_is_asked_for_where_somebody_can_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    dear = ("--set", "prompt.price={input: 100000, output: 100000}")
    monkeypatch.setattr("decider.cli.console.notes._force_terminal", True)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def answer(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal(text))

    answer("n\n")
    ran = desk.run(*dear)
    assert (ran.code, desk.endpoint.requests) == (2, [])
    assert "3 rows, about $" in ran.err
    assert "no row was decided" in ran.err
    answer("y\n")
    assert desk.run(*dear).code == 0
    answer("")
    assert desk.run("--overwrite").code == 0
    assert desk.run(*dear, "--yes", "--overwrite").code == 0
    monkeypatch.setattr("decider.cli.console.notes._force_terminal", False)
    assert desk.run(*dear, "--overwrite").code == 0


# Progress


def slow(answer: Answer) -> Answer:
    return Answer(status=answer.status, body=answer.body, drip=0.001)


def test_progress_is_a_line_now_and_then(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "rows/s" not in desk.run().err
    monkeypatch.setattr("decider.cli.pace._LINE_EVERY", 0.01)
    desk.endpoint.script(slow(GOOD))
    ran = desk.run("--overwrite", "--concurrency", "1")
    assert "0 of 3 rows (0.0 %), begun, 0 failed, 0.0 rows/s" in ran.err
    assert "1 of 3 rows (33.3 %), about " in ran.err
    assert " s left, 0 failed, " in ran.err
    assert " rows/s, $0.0000" in ran.err
    desk.endpoint.script(error(500, "down"), slow(GOOD))
    monkeypatch.setattr("decider.batch.run._FIRST_PAUSE", 0.0)
    ran = desk.run(
        "--overwrite", "--passes", "2", "--concurrency", "1", "--set", "prompt.price={input: 9e5, output: 9}"
    )
    assert ran.code == 0
    assert ", 0 failed, 1 to try again, " in ran.err


def test_progress_goes_on_where_no_row_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decider.cli.pace._LINE_EVERY", 0.02)
    monkeypatch.setattr("decider.cli.pace._QUIET", 0.05)
    desk.endpoint.script(slow(GOOD))
    ran = desk.run()
    assert ran.code == 0
    assert re.search(
        r"0 of 3 rows \(0.0 %\), waiting for the endpoint, no row for 0.\d s, 0 failed, 0.0 rows/s", ran.err
    )


def test_progress_tells_of_the_writing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decider.cli.pace._LINE_EVERY", 0.01)
    write = Run._write

    def late(run: Run[Any]) -> bool:
        time.sleep(0.05)
        return write(run)

    monkeypatch.setattr(Run, "_write", late)
    assert "3 of 3 rows (100.0 %), writing OUT, 0 failed, " in desk.run().err


@pytest.mark.parametrize(("columns", "whole"), [("200", True), ("60", False)])
def test_progress_is_a_bar_where_somebody_looks(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, columns: str, whole: bool
) -> None:
    monkeypatch.setattr("decider.cli.console.notes.is_interactive", True)
    monkeypatch.setattr("decider.cli.console.notes._force_terminal", True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("decider.cli.pace._BAR_EVERY", 0.01)
    desk.endpoint.script(slow(GOOD))
    ran = desk.run()
    assert "0 of 3 rows (0.0 %), begun" in ran.err
    assert ("0.0 rows/s" in ran.err) is whole


@pytest.mark.parametrize(
    ("rows", "concurrency", "price", "says"),
    [
        (300, 16, "{input: 1e5, output: 1e5}", "about $1,950.00, in 18.8 s if a call lasts a second"),
        (300, 3, "{input: 1, output: 1}", "about $0.0195, in 2 min if"),
        (8000, 1, None, "at an unknown price, in 2 h 13 min if"),
    ],
)
def test_costs_and_times_are_said_in_the_units_that_matter(
    desk: Desk, rows: int, concurrency: int, price: str | None, says: str
) -> None:
    desk.write(rows)
    desk.spec.write_text(
        desk.spec.read_text().replace(", price: {input: 1, output: 1}", f", price: {price}" if price else "")
    )
    ran = desk.run("--estimate", "--concurrency", concurrency)
    assert ran.out.splitlines()[1].startswith(says)


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_lets_calls_end_and_says_how_to_go_on(desk: Desk, number: signal.Signals) -> None:
    desk.write(60)
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    told = desk.when(5, lambda: os.kill(os.getpid(), number))
    ran = desk.run("--concurrency", "2")
    told.join()
    assert ran.code == 130
    assert "no further row is begun; calls under way end first, or interrupt again" in ran.err
    command = shlex.join(["decider", *desk.command("--concurrency", "2")])
    assert f"what was decided is recorded; go on with: {command}" in ran.err
    made = len(desk.endpoint.requests)
    assert 5 <= made < 60
    assert desk.run().code == 0
    assert (len(desk.endpoint.requests), len(desk.written())) == (60, 60)
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("terminal", [True, False])
def test_a_second_signal_ends_it_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    monkeypatch.setattr("decider.cli.console.notes._force_terminal", terminal)
    desk.endpoint.script(Answer(body=GOOD.body, drip=0.1))  # far longer than a test would wait
    codes: list[int] = []
    said = b""
    write = os.write

    def written(descriptor: int, data: bytes) -> int:
        nonlocal said
        if descriptor != 2:
            return write(descriptor, data)
        said += data
        return len(data)

    def left(code: int) -> None:
        codes.append(code)
        raise KeyboardInterrupt

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(os, "_exit", left)
    monkeypatch.setattr(os, "write", written)
    told = desk.when(1, twice)
    assert desk.run("--set", "retry.deadline=5s").code == 130
    told.join()
    assert codes == [130]
    assert said.startswith(b"\x1b[?25h" if terminal else b"what was decided is recorded; go on with:\n  decider run ")


def test_a_killed_run_goes_on(desk: Desk) -> None:
    desk.write(40)
    desk.endpoint.script(Answer(body=GOOD.body, drip=0.0001))
    command = [sys.executable, "-c", "from decider.cli import main; main()", *desk.command("--concurrency", "4")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        desk.when(10, process.kill).join()
        assert process.wait() == -signal.SIGKILL
    made = len(desk.endpoint.requests)
    assert not desk.out.exists()
    ran = desk.run()
    assert ran.code == 0
    assert "were done before" in ran.out
    assert 40 <= len(desk.endpoint.requests) <= 40 + 4
    assert made < 40
    assert [row["id"] for row in desk.written()] == [str(n) for n in range(1, 41)]


def test_a_platform_without_locks_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "on this platform" not in desk.run().err
    monkeypatch.setattr("decider.cli.running._LOCKS", False)
    assert "nothing on this platform keeps a second process from the same OUT" in desk.run().err


# Batches of a provider


def test_a_provider_decides_in_batches(tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decider.batch.jobs.FIRST", 0.01)
    provider = Provider(answer=lambda body: GOOD, looks=2)
    with serve_batches(provider):
        desk.spec.write_text(SPEC.format(url=provider.url))
        dear = ("--estimate", "--set", "prompt.price={input: 1e6, output: 1e6}", "--json")
        half, whole = desk.run("--batch", *dear).json(), desk.run(*dear).json()
        assert half["cost_usd"] == pytest.approx(whole["cost_usd"] / 2)
        ran = desk.run("--batch")
    assert ran.code == 0
    assert "1 batch under way: 1 of 3 requests done; next look in 0.0 s" in ran.err
    assert "0 batches" not in ran.err
    assert len(desk.written()) == 3


def test_batches_end_within_a_day(desk: Desk) -> None:
    ran = desk.run("--batch", "--estimate")
    assert ran.out.splitlines()[1] == "about $0.0001, within 24 hours"
    assert desk.run("--batch", "--estimate", "--json").json()["seconds"] == 86400.0


def test_an_endpoint_without_batches_is_a_mistake(desk: Desk) -> None:
    desk.endpoint.script(error(404, "no such path"))
    ran = desk.run("--batch")
    assert (ran.code, ran.out) == (2, "")
    assert "has no batches; leave out --batch, or name an endpoint that has them" in ran.err
    assert "go on with" not in ran.err
    desk.endpoint.script(GOOD)
    assert desk.run().code == 0


def test_passes_bound_the_batches(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decider.batch.jobs.FIRST", 0.01)
    provider = Provider(answer=lambda body: error(500, "down"))
    with serve_batches(provider):
        desk.spec.write_text(SPEC.format(url=provider.url))
        for passes in (1, 2):
            provider.batches.clear()
            assert desk.run("--batch", "--passes", passes, "--overwrite", "--set", "retry.passes=3").code == 1
            assert len(provider.batches) == passes


# Mistakes


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--max-failed", "many"), "--max-failed many is neither a number of rows nor a share such as 0.1%"),
        (("--concurrency", "0"), "Invalid value for '--concurrency'"),
        (("--passes", "101"), "Invalid value for '--passes'"),
        (("--format", "xlsx"), "Invalid value for '--format'"),
        (("--keep", "d"), "has no column 'd' to keep; its columns: c, text"),
        (("--keep", "status"), "has a column 'status' of its own"),
        (("--mode", "finetuned"), "finetuned.model is missing"),
        (("-o", "out.txt"), "cannot write .txt"),
    ],
)
def test_a_mistake_is_said_before_anything_is_paid(desk: Desk, options: tuple[str, ...], says: str) -> None:
    ran = desk.run(*options)
    assert (ran.code, desk.endpoint.requests) == (2, [])
    assert says in ran.err


def test_an_output_has_to_be_named(desk: Desk) -> None:
    ran = desk.typed(["run", str(desk.spec), str(desk.rows)])
    assert ran.code == 2
    assert "name the file to write: -o OUT, or ask for an --estimate" in ran.err


def test_help_has_an_example(desk: Desk) -> None:
    assert "Example:  decider run" in desk.typed(["run", "--help"]).out
