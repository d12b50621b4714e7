"""A report against counts worked out by hand, and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from decider.assess.evaluate import Report, evaluate
from decider.assess.report import render_html, write_html
from decider.data.dataset import Dataset
from decider.decider import Decider
from decider.decision import Reply
from decider.errors import DataError
from decider.task import Task
from decider.testing import FakeEngine
from endpoint import completion, error, serve


class Feedback(BaseModel):
    mood: Literal["good", "bad"]
    tags: list[Literal["price", "sound"]]
    note: str


def said(mood: str, tags: list[str], *, sure: float | None = None) -> Any:
    output = {"mood": mood, "tags": tags, "note": ""}
    if sure is None:
        return output
    other = {"good": "bad", "bad": "good"}[mood]
    text = f'{{"mood": "{mood}", "tags": [], "note": ""}}'
    return Reply(text=text, probabilities={"mood": {mood: sure, other: 1 - sure}}, source="local")


TRUTH = [("good", ["price"]), ("bad", ["sound", "price"]), ("bad", []), ("good", [])]


def measured(*script: Any, **how: Any) -> Any:
    task = Task(Feedback, name="feedback", prompt={"model": "m"})
    rows = [
        {"input": str(n), "output": {"mood": mood, "tags": tags, "note": "x"}} for n, (mood, tags) in enumerate(TRUTH)
    ]
    return evaluate(Decider(task, engine=FakeEngine(*script)), Dataset.of(rows, task), **how)


def test_it_counts_fields_and_whole_records() -> None:
    seen: list[tuple[int, int]] = []
    report = measured(
        said("good", ["price"]),
        said("bad", ["price", "sound"]),
        said("good", ["sound"]),
        "?",
        "?",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (report.n, report.failed) == (4, 1)
    assert report.joint.accuracy == 0.5
    assert report.fields["mood"].accuracy == 0.5
    # good: 1 right of 2 true and 2 guessed; bad: 1 of 2 true and 1 guessed; "nothing" never true
    assert report.fields["mood"].macro_f1 == pytest.approx((2 * 1 / 4 + 2 * 1 / 3 + 0) / 3)
    # price: 2 of 2; sound: 1 right, 1 true, 2 guessed
    assert report.fields["tags"].macro_f1 == pytest.approx((1 + 2 / 3) / 2)
    assert report.ece is None
    assert report.left_out == ("note",)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert report.latency_ms["p50"] <= report.latency_ms["p95"]


def test_calibration_is_measured_where_there_are_probabilities() -> None:
    report = measured(said("good", [], sure=0.5), said("bad", [], sure=0.5), said("good", [], sure=0.5))
    assert report.fields["mood"].ece == pytest.approx(0.25)
    assert report.fields["tags"].ece is None


def test_tags_that_nobody_has_and_nobody_guessed_count_as_right() -> None:
    task = Task(Feedback, name="f", prompt={"model": "m"})
    data = Dataset.of([{"input": "x", "output": {"mood": "good", "tags": [], "note": ""}}], task)
    report = evaluate(Decider(task, engine=FakeEngine(said("good", []))), data)
    assert report.fields["tags"].macro_f1 == 1.0


def test_a_task_of_open_fields_has_nothing_to_compare() -> None:
    class Open(BaseModel):
        note: str

    task = Task(Open, name="open", prompt={"model": "m"})
    data = Dataset.of([{"input": "x", "output": {"note": ""}}], task)
    engine = FakeEngine({"note": ""})
    with pytest.raises(DataError, match="has no closed field: there is nothing to compare"):
        evaluate(Decider(task, engine=engine), data)
    assert engine.requests == []


def test_the_report_in_json_has_the_keys_that_programs_rely_on() -> None:
    report = measured(said("good", [])).to_json()
    assert set(report) >= {"n", "joint", "fields", "calibration", "latency_ms", "cost_usd", "failed"}
    assert set(report["joint"]) == {"accuracy", "low", "high"}
    assert set(report["fields"]["mood"]) == {"accuracy", "low", "high", "macro_f1", "ece"}


def test_the_page_stands_alone_and_escapes_what_the_user_wrote(tmp_path: Path) -> None:
    class Hostile(BaseModel):
        mood: Literal["good", "bad"]

    task = Task(Hostile, name="hostile", prompt={"model": "m"})
    engine = FakeEngine({"mood": "good"})
    type(engine).name = "<script>alert(1)</script>"
    try:
        data = Dataset.of([{"input": "x", "output": {"mood": "good"}}], task)
        report = evaluate(Decider(task, engine=engine), data)
    finally:
        type(engine).name = "fake"
    page = render_html(report)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    write_html(report, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == page
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_the_page_names_fields_that_were_not_compared() -> None:
    assert "Open fields are decided and not compared: note." in render_html(measured(said("good", [])))


# At an endpoint


def asked(url: str, folder: Path, rows: int) -> tuple[Report, Decider[Any]]:
    """What `evaluate` says of rows of one mood, at an endpoint, with a cache and a log."""
    (folder / "spec.yaml").write_text(
        "name: feedback\nfields: {mood: {options: [good, bad]}}\ncache: {}\nlog: {}\n"
        f"prompt: {{model: m, base_url: '{url}'}}\nretry: {{attempts: 1, passes: 2}}\n"
    )
    with Decider[Any].load(folder / "spec.yaml") as decider:
        data = Dataset.of([{"input": f"text {n}", "output": {"mood": "good"}} for n in range(rows)], decider.task)
        return evaluate(decider, data), decider


def test_rows_to_measure_on_are_not_logged_and_not_paid_twice(tmp_path: Path) -> None:
    with serve(completion('{"mood": "good"}')) as endpoint:
        first, decider = asked(endpoint.url, tmp_path, 3)
        second, _ = asked(endpoint.url, tmp_path, 4)
        third, _ = asked(endpoint.url, tmp_path, 4)
        assert len(endpoint.requests) == 4
    assert decider.log is not None
    assert list(decider.log.histories()) == []
    assert [one.from_cache for one in (first, second, third)] == [0, 3, 4]
    assert [one.to_json()["from_cache"] for one in (first, second, third)] == [0, 3, 4]
    # of the second, one decision was asked: its latency is the latency
    assert second.latency_ms["p50"] == second.latency_ms["p95"] == second.latency_ms["mean"]
    assert third.latency_ms["p50"] > 0.0
    pages = [render_html(one) for one in (first, second, third)]
    assert "From the cache" not in pages[0]
    assert "From the cache: 3 of 4 answers, which the latency leaves out." in pages[1]
    assert "From the cache: every answer, so the latency is the cache&#x27;s." in pages[2]


def test_rows_that_failed_for_now_are_tried_again_and_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decider.assess.evaluate._PAUSE", 0.0)
    good, bad = completion('{"mood": "good"}'), completion('{"mood": "bad"}')
    with serve(error(500, "down"), good, good, bad) as endpoint:
        report, _ = asked(endpoint.url, tmp_path, 3)
        assert len(endpoint.requests) == 4
    assert report.failed == 0
    assert report.joint.accuracy == pytest.approx(2 / 3)
    with serve(error(500, "down")) as endpoint:
        report, _ = asked(endpoint.url, tmp_path, 2)
        assert len(endpoint.requests) == 4
    assert (report.failed, report.joint.accuracy) == (2, 0.0)
