"""Whether `decider data lint` finds what is planted into real rows, and how long it takes for 100,000.

    python benchmarks/lint.py --data FOLDER [--quick]

FOLDER holds one folder for each set, with its train.jsonl: banking77, cfpb_complaints, helpdesk_tickets. `--quick`
takes one seed and 10,000 rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from accuracy import declared
from loopback.figures import busy, say
from planted import mistakes
from planted.many import many
from planted.mistakes import Row
from pydantic import model_validator

from decider.assess.lint.finding import Finding
from decider.assess.lint.lint import lint
from decider.data.rows import check
from decider.task import Task

COMMAND = "from decider.cli import main; main()"
SHARE = 0.03
NOTES = ("label-error", "confusable")
PARTS = {
    "rows, outside, same, texts, labels": (),
    "near-duplicates": ("near-duplicate", "near-contradiction", "leakage"),
    "label errors": NOTES,
}
"""The codes of each part that takes long; the first is what all of them need, and all other codes."""


def main() -> None:
    """Print each figure with its aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the sets")
    parser.add_argument("--quick", action="store_true", help="one seed, and 10,000 rows for the time")
    given = parser.parse_args()
    print(busy())
    banking, complaints, tickets = (
        rows_of(given.data / name / "train.jsonl") for name in ("banking77", "cfpb_complaints", "helpdesk_tickets")
    )
    flips(banking, complaints, tickets, (0,) if given.quick else (0, 1, 2))
    near(banking, complaints)
    errors(complaints)
    large(banking, 10_000 if given.quick else 100_000)
    as_it_is(banking)


def rows_of(path: Path) -> list[Row]:
    """The rows of a set, each with an id."""
    return [{"id": f"r{n}", **json.loads(line)} for n, line in enumerate(path.open(encoding="utf-8"), 1)]


def linted(
    task: Task[Any], rows: Iterable[Row], only: Sequence[str] | None = None, skip: Sequence[str] = ()
) -> list[Finding]:
    """What the lint says of rows, in its order."""
    checked = (check(row, task, n) for n, row in enumerate(rows, 1))
    return list(lint(task, checked, only=only, skip=skip).findings)


def at_least(name: str, value: float, aim: float | None = None) -> None:
    """Print a share, with the least that it may be."""
    wanted = "" if aim is None else f"; aim: at least {aim * 100:g} %, {'met' if value >= aim else 'not met'}"
    print(f"  {name:58} {value * 100:.1f} %{wanted}")


def among_first(findings: Iterable[Any], planted: set[str], rows: int) -> float:
    """The share of planted rows among the first distinct rows of label errors, a twentieth of all rows."""
    ids = dict.fromkeys(row for one in findings if one["code"] == "label-error" for row in one["rows"])
    return len(planted & set(list(ids)[: int(0.05 * rows)])) / len(planted)


def flips(banking: list[Row], complaints: list[Row], tickets: list[Row], seeds: Sequence[int]) -> None:
    """Labels flipped at random, found by the API and once by the command."""
    print(f"{SHARE * 100:g} % of the labels flipped: how many of them are among the first 5 % of rows of label errors")
    for seed in seeds:
        rows, planted = mistakes.flipped(banking, "intent", SHARE, seed)
        begun = time.perf_counter()
        found = [one.to_json() for one in linted(declared(banking), rows, NOTES)]
        seconds = time.perf_counter() - begun
        at_least(f"banking77, seed {seed}, in {seconds:.0f} s", among_first(found, planted, len(rows)), 0.7)
        if seed == seeds[0]:
            said = by_command(declared(banking), rows, "--only", "label-error").findings
            at_least("the same by the command line, --json", among_first(said, planted, len(rows)), 0.7)
            sure = {row for one in found if one["severity"] == "warning" for row in one["rows"]}
            at_least(f"flipped among its {len(sure)} warnings", len(planted & sure) / max(1, len(sure)))
    for name, few in (("cfpb_complaints", complaints), ("helpdesk_tickets", tickets)):
        for field in few[0]["output"]:
            shares = []
            for seed in seeds:
                rows, planted = mistakes.flipped(few, field, SHARE, seed)
                found = [one.to_json() for one in linted(declared(few), rows, NOTES) if one.field == field]
                shares.append(among_first(found, planted, len(rows)))
            at_least(f"{name}, {field} (for information)", sum(shares) / len(shares))


class Ran:
    """What `decider data lint … --json` printed, and what it took."""

    def __init__(self, findings: list[dict[str, Any]], seconds: float, megabytes: float) -> None:
        self.findings = findings
        self.seconds = seconds
        self.megabytes = megabytes


def by_command(task: Task[Any], rows: Iterable[Row], *options: str) -> Ran:
    """Run the command on rows in a process of its own."""
    with TemporaryDirectory() as folder:
        spec, data = Path(folder) / "spec.yaml", Path(folder) / "rows.jsonl"
        fields = {field.path: {"options": list(field.labels)} for field in task.fields}
        inputs = {field.path: "text" for field in task.inputs}
        spec.write_text(yaml.safe_dump({"name": "linted", "input": inputs, "fields": fields}), encoding="utf-8")
        data.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        command = [sys.executable, "-c", COMMAND, "data", "lint", str(spec), str(data)]
        begun = time.perf_counter()
        ran = subprocess.run([*command, "--json", *options], stdout=subprocess.PIPE, text=True, check=False)
        seconds = time.perf_counter() - begun
    if ran.returncode > 1:
        sys.exit(f"the command ended with {ran.returncode}")
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return Ran([json.loads(line) for line in ran.stdout.splitlines()], seconds, most)


def near(banking: list[Row], complaints: list[Row]) -> None:
    """Copies with a small edit, on another side."""
    print("200 rows copied with one small edit to another side of the split: found by leakage or near-duplicate")
    found, count = 0, 0
    for rows, text in ((banking, "message"), (complaints, "narrative")):
        placed = mistakes.sided(rows, 0)
        copies, of = mistakes.near_copies(placed, text, 100, 0)
        named = [set(one.rows) for one in linted(declared(rows), [*placed, *copies], ("leakage", "near-duplicate"))]
        missed = [copy for copy in copies if not any({copy["id"], of[copy["id"]]} <= ids for ids in named)]
        found, count = found + len(copies) - len(missed), count + len(copies)
        for copy in missed[:3]:
            print(f"    missed: {copy['input'][text][:100]!r}")
    at_least("found, with what it was copied from", found / count, 0.95)


def ruled(plain: Task[Any]) -> Task[Any]:
    """The task with a rule over two fields: a mortgage is what somebody struggles to pay only where it is one."""

    class Complaint(plain.output):  # type: ignore[name-defined, misc]  # the base is made from the rows
        @model_validator(mode="after")
        def whole(self) -> Complaint:
            if self.issue == "Struggling to pay mortgage" and self.product != "mortgage":
                raise ValueError("only a mortgage can be one that somebody struggles to pay")
            return self

    return Task(Complaint, name="complaints", input={field.path: "text" for field in plain.inputs})


def errors(complaints: list[Row]) -> None:
    """What must not be missed at all."""
    print("500 rows planted into cfpb_complaints, whose task has a validator over two fields: missed")
    task = ruled(declared(complaints))
    fit = [row for row in mistakes.sided(complaints, 0) if row["output"]["issue"] != "Struggling to pay mortgage"]
    others = [row for row in fit if row["output"]["product"] != "mortgage"]
    planted = {
        "contradiction": mistakes.contradictions(fit, "product", 125, 0),
        "leakage": mistakes.leaks(fit, 125, 0),
        "unknown-label": mistakes.unknown_labels(fit, "product", 125, 0),
        "schema": mistakes.breaches(others, {"issue": "Struggling to pay mortgage"}, 125, 0),
    }
    found = linted(task, [*fit, *(row for rows in planted.values() for row in rows)], skip=NOTES)
    named = {code: {row for one in found if one.code == code for row in one.rows} for code in planted}
    missed = {code: sum(row["id"] not in named[code] for row in rows) for code, rows in planted.items()}
    say(", ".join(f"{code} {n}" for code, n in missed.items()), sum(missed.values()), 0)


def large(banking: list[Row], count: int) -> None:
    """Seconds and memory for very many rows."""
    print(f"{count:,} rows made of halves of banking77's texts, {SHARE * 100:g} % of them flipped; {busy()}")
    task = declared(banking)
    made, planted = mistakes.flipped(list(many(banking, "message", "intent", count, 0)), "intent", SHARE, 0)
    rows = mistakes.sided(made, 0)
    ran = by_command(task, rows)
    say("the command, all checks", round(ran.seconds), 300, unit=" s")
    say("its peak of memory", round(ran.megabytes), unit=" MB")
    at_least("flipped rows among the first 5 %", among_first(ran.findings, planted, count))
    slow = [code for codes in PARTS.values() for code in codes]
    for name, codes in PARTS.items():
        begun = time.perf_counter()
        linted(task, rows, codes or None, () if codes else slow)
        say(f"{name} alone, with reading and checking", round(time.perf_counter() - begun), unit=" s")


def as_it_is(banking: list[Row]) -> None:
    """What is reported where nothing is planted: for a person to judge."""
    found = [one for one in linted(declared(banking), banking, NOTES) if one.code == "label-error"]
    sure = [one for one in found if one.severity == "warning"]
    print(
        f"banking77 as it is: {len(found)} label errors, {len(sure)} of them warnings, {len(banking)} rows; the first:"
    )
    texts = {row["id"]: row["input"]["message"] for row in banking}
    for one in found[:10]:
        print(f"    {one.certainty:.2f}  {texts[one.rows[0]]!r}: {one.message}")


if __name__ == "__main__":
    main()
