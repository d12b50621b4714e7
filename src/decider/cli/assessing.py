"""`evaluate`: a Decider against the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from decider.assess.evaluate import Report, cached_of
from decider.assess.evaluate import evaluate as measure
from decider.cli.console import (
    DataPath,
    ModeOption,
    Sets,
    SpecPath,
    note,
    parse_sets,
    percent,
    print_json,
    results,
    row_progress,
    say,
)
from decider.cli.sides import SplitPath, load_sides
from decider.data.sides import to_measure_on
from decider.decider import Decider

_EXAMPLE = "Example:  decider evaluate decider-demo/spec.yaml decider-demo/test.jsonl"


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("evaluate", epilog=_EXAMPLE, rich_help_panel="Measure")(evaluate)


def evaluate(
    spec: SpecPath,
    data: DataPath,
    mode: ModeOption = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="[FILE.json]", help="Print JSON, or write it to a .json file.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the report as a page.")] = None,
    split: SplitPath = None,
    sets: Sets = None,
) -> None:
    """Decide every row and compare with the truth: accuracy per field and of the whole record, and latency.

    Where rows are marked as test rows, or --split says so, only those are decided.
    """
    _refuse_lost(html, None if json_file is None or json_file == "-" else Path(json_file))
    with Decider[Any].load(spec, set=parse_sets(sets), mode=mode) as decider:
        dataset = load_sides(data, decider.task, split, to_measure_on)
        with row_progress("evaluating", quiet=json_file == "-") as progress:
            report = measure(decider, dataset, mode=mode, progress=progress)
    if html is not None:
        from decider.assess.report import write_html

        write_html(report, html)
        note(f"wrote {html}")
    if json_file == "-":
        print_json(report.to_json())
        return
    if json_file is not None:
        Path(json_file).write_text(json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        note(f"wrote {json_file}")
    show(report)


def _refuse_lost(*files: Path | None) -> None:
    """A report that cannot be written is refused before anything is decided, and perhaps paid for."""
    for file in files:
        if file is not None and not file.absolute().parent.is_dir():
            raise typer.BadParameter(f"there is no folder {file.parent} to write {file.name} into; make it first")


def show(report: Report) -> None:
    """Print a report as a table; accuracy stands beside the latency of the model that reached it."""
    title = f"{report.task}: {report.n} rows, {report.mode} by {report.engine} {report.model}"
    table = Table("field", "accuracy", "95 % interval", "macro-F1", "ECE", title=Text(title), title_justify="left")
    for path, one in report.fields.items():
        ece = "" if one.ece is None else f"{one.ece:.3f}"
        between = f"{percent(one.low)} to {percent(one.high)}"
        table.add_row(path, percent(one.accuracy), between, f"{one.macro_f1:.3f}", ece)
    joint = report.joint
    ece = "" if report.ece is None else f"{report.ece:.3f}"
    table.add_section()
    table.add_row("whole record", percent(joint.accuracy), f"{percent(joint.low)} to {percent(joint.high)}", "", ece)
    results.print(table)
    latency = report.latency_ms
    say(f"latency of one decision: {latency['p50']:.3f} ms at the median, {latency['p95']:.3f} ms at p95")
    if report.from_cache:
        say(f"from the cache: {cached_of(report)}")
    if report.left_out:
        say(f"open fields, decided and not compared: {', '.join(report.left_out)}")
    if report.failed:
        say(f"rows without output, which count as wrong: {report.failed}")
