"""The way of a dataset on real complaints: decided, corrected, imported, linted, split, exported, imported again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_json

from commands import Ran, ran
from decider.data.exporters.targets import TARGETS
from decider.prompt import cleaned
from endpoint import Answer, completion, serve

ROWS = 120
WRONG = 8
"""Every eighth answer is wrong, until somebody corrects it."""

Run = Callable[..., Ran]
Row = dict[str, Any]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object, code: int = 0) -> Ran:
        found = ran(capsys, *arguments)
        assert found.code == code, found.err
        return found

    return command


def lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def complaints() -> list[Row]:
    text = (files("decider") / "demo" / "test.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()[:ROWS]]


def wrong(output: Mapping[str, Any]) -> Row:
    return {**output, "product": "mortgage" if output["product"] != "mortgage" else "card"}


def oracle(said: Mapping[str, Row]) -> Callable[..., Answer]:
    """What answers each complaint as it is told."""

    def take(path: str, headers: Any, body: Any) -> Answer:
        asked = json.loads(body["messages"][-1]["content"])["narrative"]
        return completion(json.dumps(said[asked]))

    return take


def decided(run: Run, truth: list[Row]) -> None:
    """Have every complaint decided at an endpoint that is sometimes wrong, with a log."""
    spec = (files("decider") / "demo" / "spec.yaml").read_text()
    Path("spec.yaml").write_text(spec.replace("mode: finetuned", "mode: prompt") + "\nlog: {}\n")
    write(Path("in.jsonl"), [{"id": f"c{n}", **row["input"]} for n, row in enumerate(truth)])
    said = {
        str(cleaned(row["input"])["narrative"]): wrong(row["output"]) if n % WRONG == 0 else row["output"]  # type: ignore[index]  # a mapping
        for n, row in enumerate(truth)
    }
    with serve(completion("{}")) as endpoint:
        endpoint.take = oracle(said)  # type: ignore[method-assign]  # it answers each text with its own
        here = ("--set", f"prompt.base_url={endpoint.url}", "--set", "prompt.model=m-1")
        run("run", "spec.yaml", "in.jsonl", "-o", "out.jsonl", *here)


def corrected(run: Run, truth: list[Row]) -> None:
    """Correct what was answered wrongly, in a table as a spreadsheet writes it."""
    right = [f"c{n},{row['output']['product']},ana" for n, row in enumerate(truth) if n % WRONG == 0]
    Path("right.csv").write_text("\n".join(["id,product,by", *right]))
    assert f"{len(right)} decisions corrected" in run("log", "correct", "spec.yaml", "--from", "right.csv").err


def planted(rows: list[Row]) -> list[Row]:
    """The rows, with one of each kind of defect behind them."""
    first, second, third = rows[0], rows[1], rows[2]
    leak = {**third, "id": "leak", "input": {"narrative": third["input"]["narrative"] + " Please help me."}}
    return [
        *rows,
        {**first, "id": "contradicts", "output": wrong(first["output"])},
        {**second, "id": "unknown", "output": {**second["output"], "product": "crypto"}},
        {**second, "id": "copy"},
        leak,
    ]


def test_from_decisions_to_training_files_and_back(run: Run) -> None:
    truth = complaints()
    decided(run, truth)
    corrected(run, truth)

    run("data", "import", "spec.yaml", "--log", "-o", "rows.jsonl")
    rows = lines(Path("rows.jsonl"))
    by_text = {row["input"]["narrative"]: row["output"] for row in truth}
    assert len(rows) == ROWS
    assert all(row["output"] == by_text[row["input"]["narrative"]] for row in rows)
    assert sum(row["source"] == "corrected" and row["by"] == "ana" for row in rows) == ROWS // WRONG

    write(Path("planted.jsonl"), planted(rows))
    linted = run("data", "lint", "spec.yaml", "planted.jsonl", "--json", code=1)
    found = {(one["code"], row) for one in map(json.loads, linted.out.splitlines()) for row in one["rows"]}
    for defect in (("contradiction", "contradicts"), ("unknown-label", "unknown"), ("duplicate", "copy")):
        assert defect in found
    assert ("near-duplicate", "leak") in found

    split = run("data", "split", "spec.yaml", "rows.jsonl", "--json").json()
    assert split["moved"] == 0
    sides = json.loads(Path("rows.split.json").read_text())["rows"]
    assert set(sides) == {row["id"] for row in rows}
    for target in TARGETS:
        there_and_back(run, target, rows, sides)


def there_and_back(run: Run, target: str, rows: list[Row], sides: Mapping[str, str]) -> None:
    """Export for a target, side by side, and import what was written: the same inputs and outputs on the same sides."""
    field = ("--field", "product") if target == "setfit" else ()
    for side in ("train", "validation", "test"):
        out = Path(f"{target}-{side}")
        wanted = ("--split", "rows.split.json", "--side", side)
        run("data", "export", "spec.yaml", "rows.jsonl", "--for", target, "-o", out, *wanted, *field)
        back = Path(f"{target}-{side}.back.jsonl")
        spec = labels_only() if target == "setfit" else "spec.yaml"
        run("data", "import", spec, *written(out), "-o", back, "--strict")
        fields = ("product",) if target == "setfit" else tuple(rows[0]["output"])
        assert told(lines(back), fields) == told([row for row in rows if sides[row["id"]] == side], fields), target


def written(out: Path) -> list[Path]:
    """What an export wrote that holds rows."""
    if out.is_file() or (out / "README.md").exists():
        return [out]
    return sorted(one for one in out.iterdir() if one.name != "dataset_info.json")


def told(rows: list[Row], fields: tuple[str, ...]) -> list[str]:
    """Inputs and outputs in a form that can be compared; what nobody sees in a text is not sent to a trainer."""
    return sorted(
        to_json([cleaned(row["input"]), {field: row["output"][field] for field in fields}]).decode() for row in rows
    )


def labels_only() -> str:
    """A task of the one field that SetFit learns."""
    Path("product.yaml").write_text("name: product\ninput: {narrative: text}\nfields:\n  product:\n    options: ")
    options = sorted({row["output"]["product"] for row in complaints()})
    with Path("product.yaml").open("a") as spec:
        spec.write(json.dumps(options) + "\n")
    return "product.yaml"
