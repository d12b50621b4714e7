"""`decider run` as a process: a folder with a spec and rows, the command, and whether what it wrote is whole."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decider.task import Task
from loopback.endpoint import MODEL
from loopback.figures import say
from loopback.tickets import INSTRUCTIONS, Ticket, answer_to, text_of

_SHOWN = 5
_MAIN = "from decider.cli import main; main()"


@dataclass(frozen=True, slots=True)
class Job:
    """A spec, a file of so many rows, and where their decisions go."""

    folder: Path
    rows: int
    kind: str

    @property
    def source(self) -> Path:
        """The rows."""
        return self.folder / f"in.{self.kind}"

    @property
    def out(self) -> Path:
        """The decisions."""
        return self.folder / f"out.{self.kind}"

    def command(self, *options: str) -> list[str]:
        """Return the command that decides the rows."""
        where = [str(self.folder / "spec.yaml"), str(self.source), "-o", str(self.out)]
        return [sys.executable, "-c", _MAIN, "run", *where, *options]

    def run(self, *options: str) -> dict[str, Any]:
        """Decide the rows in a process, and return the summary with the exit code, and what was said beside it."""
        done = subprocess.run(self.command(*options, "--json"), capture_output=True, text=True, check=False)
        summary: dict[str, Any] = json.loads(done.stdout) if done.stdout.startswith("{") else {}
        return {**summary, "code": done.returncode, "said": done.stderr}

    def records(self) -> Counter[str]:
        """Return how many whole records each row has in the run's segment."""
        found: Counter[str] = Counter()
        (segment,) = (one for one in self.folder.rglob("*.jsonl") if one.name.endswith(".decider-run.jsonl"))
        with segment.open("rb") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if record["kind"] == "decision":
                    found[record["row_id"]] += 1
        return found

    def results(self) -> Iterator[tuple[str, Ticket | None, str]]:
        """Yield the id, the answer and the error of every row that was written."""
        with self.out.open(encoding="utf-8-sig", newline="") as lines:
            if self.kind == "csv":
                for row in csv.DictReader(lines):
                    yield row["id"], Ticket.model_validate(row) if row["topic"] else None, row["error"]
            else:
                for line in lines:
                    said = json.loads(line)
                    yield said["id"], said["output"] and Ticket.model_validate(said["output"]), said["error"] or ""


def job(folder: Path, url: str, rows: int, *, kind: str = "jsonl", **keys: Any) -> Job:
    """Make the folder of a job; `keys` are further keys of the spec."""
    folder.mkdir(parents=True, exist_ok=True)
    prompt = {"model": MODEL, "base_url": url}
    Task(Ticket, name="ticket", instructions=INSTRUCTIONS, prompt=prompt, **keys).save(folder / "spec.yaml")
    made = Job(folder, rows, kind)
    with made.source.open("w", encoding="utf-8", newline="") as file:
        if kind == "csv":
            table = csv.writer(file)
            table.writerow(["id", "text"])
            table.writerows([str(row), text_of(row)] for row in range(rows))
        else:
            file.writelines(json.dumps({"id": str(row), "input": text_of(row)}) + "\n" for row in range(rows))
    return made


def check(job: Job) -> None:
    """Print what is wrong with the results: nothing may be."""
    if not job.out.exists():
        say("rows missing, since there are no results", job.rows, 0)
        return
    ids: Counter[str] = Counter()
    wrong = misplaced = 0
    failed = []
    for n, (name, answer, error) in enumerate(job.results()):
        ids[name] += 1
        misplaced += name != str(n)
        if answer is None:
            failed.append(f"row {name}: {error}")
        wrong += answer is not None and answer != answer_to(int(name))
    say("rows missing", sum(str(row) not in ids for row in range(job.rows)), 0)
    say("rows doubled, in the results", sum(count > 1 for count in ids.values()), 0)
    say("rows doubled, among the records", sum(count > 1 for count in job.records().values()), 0)
    say("rows failed", len(failed), 0)
    print(*(f"    {one}" for one in failed[:_SHOWN]), sep="\n", end="\n" if failed else "")
    say("rows with a wrong answer", wrong, 0)
    say("rows out of order", misplaced, 0)


def peak(command: list[str]) -> float:
    """Run a command to its good end, and return the megabytes that it had resident at most."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None
        said = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(said.decode())
    return used.ru_maxrss / (1024.0 if sys.platform != "darwin" else 1024.0**2)
