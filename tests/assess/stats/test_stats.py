"""What a dataset holds, counted, and the page that shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pytest
from pydantic import BaseModel

from decider.assess.stats import charts
from decider.assess.stats.measure import measure
from decider.assess.stats.picture import render_html, write_html
from decider.assess.stats.values import Stats
from decider.data.rows import check
from decider.prompt import tokens
from decider.task import Task

EVIL = "<script>alert(1)</script>"


class Routing(BaseModel):
    team: Literal["billing", "login", "bug"]
    tags: list[Literal["vip", "late"]]


class Triage(BaseModel):
    routing: Routing
    urgent: bool
    stars: int | None
    note: str


class Ticket(BaseModel):
    subject: str
    amount: float | None = None
    plan: Literal["free", "pro"] | None = None


TASK = Task(Triage, name="triage", input=Ticket)


def row(team: str = "billing", *tags: str, n: int = 0, urgent: bool = False, **about: Any) -> dict[str, Any]:
    output = {"routing": {"team": team, "tags": list(tags)}, "urgent": urgent, "stars": None, "note": "as said"}
    return {"input": {"subject": f"paid twice {n}", "amount": 9.5, "plan": "pro"}, "output": output, **about}


def counted(rows: list[dict[str, Any]], task: Task[Any] = TASK, **how: Any) -> Stats:
    return measure((check(one, task, n) for n, one in enumerate(rows, 1)), task, **how)


def test_labels_are_counted_in_the_order_of_the_schema() -> None:
    said = counted([row(), row("bug", "vip", "late"), row("bug", "late", urgent=True)]).to_json()
    assert said["rows"] == 3
    team, tags, urgent = (said["fields"][path] for path in ("routing.team", "routing.tags", "urgent"))
    assert [(one["label"], one["rows"]) for one in team["labels"]] == [("billing", 1), ("login", 0), ("bug", 2)]
    assert team["labels"][2]["share"] == pytest.approx(2 / 3)
    assert (team["missing"], team["rare"]) == (["login"], ["billing", "bug"])
    assert [(one["label"], one["rows"]) for one in tags["labels"]] == [("vip", 1), ("late", 2)]
    assert tags["empty"] == 1
    assert [one["rows"] for one in urgent["labels"]] == [2, 1]


def test_open_fields_and_inputs_say_how_their_values_are_spread() -> None:
    rows = [row(n=n) for n in range(3)]
    rows[0]["output"] |= {"stars": 4, "note": ""}
    rows[1]["input"] = {"subject": "no"}
    said = counted(rows).to_json()
    assert said["fields"]["stars"] == {
        "kind": "integer",
        "empty": 2,
        "distinct": 1,
        "values": {"min": 4, "median": 4, "p95": 4, "max": 4, "total": 4},
    }
    note = said["fields"]["note"]
    assert (note["empty"], note["distinct"], note["characters"]["total"]) == (1, 1, 14)
    subject, amount, plan = (said["inputs"][path] for path in ("subject", "amount", "plan"))
    assert (subject["distinct"], subject["characters"]["min"], subject["words"]["max"]) == (3, 2, 3)
    assert (amount["empty"], amount["values"]["total"]) == (1, 19)
    assert plan == {"kind": "choice", "empty": 1, "distinct": 1}


def test_an_input_may_be_an_object_or_a_list() -> None:
    class Sender(BaseModel):
        name: str

    class Nested(BaseModel):
        body: str
        sender: Sender | None = None
        parts: list[str] = []

    task = Task(Triage, name="triage", input=Nested)
    output = row()["output"]
    rows = [{"input": {"body": "a"}, "output": output}, {"input": {"body": "b", "parts": ["x"]}, "output": output}]
    said = counted(rows, task).to_json()
    assert said["inputs"]["sender"]["empty"] == 2
    assert said["inputs"]["parts"]["characters"]["total"] == len('["x"]')


def test_combinations_are_of_closed_fields() -> None:
    rows = [row("bug", "vip", "late"), row("bug", "late", "vip"), row("login"), row()]
    found = counted(rows).combinations
    assert found.to_json() == {
        "distinct": 3,
        "possible": 3 * 4 * 2,
        "singletons": 2,
        "half": 1,
        "commonest": [
            {"labels": {"routing.team": team, "routing.tags": tags, "urgent": False}, "rows": count}
            for team, tags, count in (("bug", ("late", "vip"), 2), ("login", (), 1), ("billing", (), 1))
        ],
    }
    assert found.pairs("routing.team", "routing.tags") == {("bug", "late"): 2, ("bug", "vip"): 2}


def test_rejected_rows_are_counted_by_their_reasons_and_nowhere_else() -> None:
    wrong: list[dict[str, Any]] = [row("fax"), row("fax2"), {"input": {"subject": "x"}}]
    told: list[int] = []
    found = counted([*wrong, row()], progress=lambda done, total: told.append(done))
    assert (found.rows, found.rejected, told) == (1, 3, [])
    assert [(one.kind, one.field, one.rows, one.first) for one in found.reasons] == [
        ("unknown-label", "routing.team", 2, 1),
        ("row", None, 1, 3),
    ]
    assert "'fax'" in found.to_json()["rejected"]["reasons"][0]["message"]


def test_tokens_are_of_the_input_and_of_all_that_is_trained_on() -> None:
    task = Task(Triage, name="triage", instructions="Route it. " * 40)
    found = counted([{"input": "paid twice", "output": row()["output"]}] * 3, task)
    assert found.input_tokens is not None
    assert found.line_tokens is not None
    assert (found.input_tokens.most, found.input_tokens.total) == (tokens("paid twice"), 9)
    assert found.line_tokens.least > tokens("Route it. " * 40)


def test_where_rows_come_from_is_told_only_where_rows_say_it() -> None:
    rows = [row(source="prompt", by="ana", group="a"), row(source="prompt", group="a"), row(source="log", group="b")]
    found = counted(rows)
    assert found.sources == {"prompt": 2, "log": 1}
    assert found.checked_by == {None: 2, "ana": 1}
    assert found.to_json()["groups"] == {
        "count": 2,
        "without": 0,
        "largest": [{"group": "a", "rows": 2}, {"group": "b", "rows": 1}],
    }
    bare = counted([row()])
    assert (bare.sources, bare.checked_by, bare.sides, bare.groups, bare.time) == ({}, {}, {}, None, None)


def test_labels_are_counted_on_each_side_of_a_split() -> None:
    rows = [row(split="test"), row(split="train"), row("bug", split="train"), row()]
    found = counted(rows)
    assert found.sides == {"train": 2, "test": 1, "no side": 1}
    assert found.fields[0].labels[0].sides == {"train": 1, "test": 1, "no side": 1}
    assert counted(rows, side_of=lambda example: "validation").sides == {"validation": 4}


def test_rows_over_time_are_put_into_periods_without_gaps() -> None:
    rows = [row(time="2026-01-31"), row("bug", time="2026-03-01"), row(time="2026-06-01"), row(time="soon"), row()]
    found = counted(rows)
    time = found.time
    assert time is not None
    assert (time.period, time.without, found.unread) == ("week", 1, 1)
    assert [one.rows for one in time.spans if one.rows] == [1, 1, 1]
    assert len(time.spans) == 19
    said = time.to_json()
    assert (said["first"], said["last"]) == ("2026-01-31", "2026-06-01")
    assert said["periods"][0]["fields"]["routing.team"] == [{"label": "billing", "rows": 1}]


def test_a_time_that_is_far_off_does_not_make_a_period_of_each_year() -> None:
    time = counted([row(time="1026-01-01"), row(time="2026-01-01")]).time
    assert time is not None
    assert [one.name for one in time.spans] == ["1026", "2026"]


def test_progress_is_told() -> None:
    told: list[int] = []
    counted([row()] * 2000, progress=lambda done, total: told.append(done))
    assert told == [1000, 2000]


def pictures(page: str) -> list[ET.Element]:
    """Every picture of a page, each of which is well-formed."""
    parts = page.split("<svg")[1:]
    return [ET.fromstring("<svg" + part.split("</svg>")[0] + "</svg>") for part in parts]


def rich() -> Stats:
    teams = ("billing", "bug", "bug")
    rows = [
        row(teams[n % 3], *(("vip",) if n % 2 else ()), n=n, urgent=n % 5 == 0, source="log", by=EVIL, group="g")
        | {"time": f"2026-0{1 + n % 6}-01", "split": "train" if n % 4 else "test"}
        for n in range(60)
    ]
    return counted([*rows, row(EVIL)])


def test_a_page_shows_all_of_it_and_needs_nothing_else(tmp_path: Path) -> None:
    stats = rich()
    page = render_html(stats, name=f"rows{EVIL}.jsonl")
    for part in ("Rejected rows", "routing.team", "Combinations", "Open fields", "Inputs", "Tokens", "Over time"):
        assert f"<h2>{part}</h2>" in page
    assert "<em>missing</em>" in page
    assert "every row says when it was" in page
    assert "1 groups; 0 rows in none." in page
    write_html(stats, tmp_path / "page.html", name=f"rows{EVIL}.jsonl")
    assert (tmp_path / "page.html").read_text() == page
    for outside in ("<script", "http:", "https:", "url(", "@import", "src="):
        assert outside not in page


def test_every_picture_says_in_words_what_it_shows() -> None:
    found = pictures(render_html(rich(), name="rows.jsonl"))
    shown = [one for one in found if one.get("role") == "img"]
    assert len(shown) > 20
    for one in shown:
        assert one.get("aria-label")
        assert one.find("title") is not None


def test_a_page_of_little_says_what_there_is() -> None:
    class Small(BaseModel):
        urgent: bool

    task = Task(Small, name="small")
    page = render_html(counted([{"input": "x", "output": {"urgent": True}}], task), name="x")
    assert "<h2>urgent</h2>" in page
    for absent in ("Combinations", "Open fields", "Over time", "Where the rows come from", "Rejected"):
        assert absent not in page
    nothing = render_html(counted([{"input": "x", "output": {}}], task), name="x")
    assert "Rejected rows" in nothing
    assert "<h2>urgent</h2>" not in nothing


def test_times_that_are_lacking_are_told() -> None:
    page = render_html(counted([row(time="2026-01-01"), row(), row(time="soon")]), name="x")
    assert "1 rows say no time, and 1 rows say a time that cannot be read" in page
    assert "1 rows say a time" in render_html(counted([row(time="soon")]), name="x")


def test_many_labels_stand_in_two_columns_and_in_few_colours(tmp_path: Path) -> None:
    fields = {"intent": {"options": [f"label_{n:02}" for n in range(50)]}, "side": {"options": ["a", "b"]}}
    (tmp_path / "spec.yaml").write_text(json.dumps({"name": "many", "fields": fields}))
    task: Task[Any] = Task.load(tmp_path / "spec.yaml")
    rows = [
        {"input": f"x{n}", "output": {"intent": f"label_{n % 50:02}", "side": "a" if n % 2 else "b"}}
        | {"time": f"2026-01-{1 + n % 20:02}"}
        for n in range(200)
    ]
    page = render_html(counted(rows, task), name="x")
    assert '<div class="two">' in page
    assert "43 others" in page
    assert "label_<wbr>49" in page


def test_a_heat_map_of_too_many_columns_shows_the_commonest() -> None:
    down = [f"d{n}" for n in range(60)]
    across = [f"a{n}" for n in range(60)]
    counts: dict[tuple[object, object], int] = {("d1", f"a{n}"): n for n in range(1, 60)}
    drawn = charts.heat(counts, down, across, "both")
    assert "a59" in drawn
    assert ">a3<" not in drawn


def test_fields_of_which_no_two_stand_together_have_no_map() -> None:
    page = render_html(counted([row()]), name="x")
    assert "routing.team and routing.tags" not in page


def test_columns_that_are_narrow_have_no_numbers() -> None:
    names = [f"2026-W{n:02}" for n in range(26)]
    assert ">10<" in charts.columns(names, [10] * 26, "rows")
    assert ">10,000<" not in charts.columns(names, [10_000] * 26, "rows")


def test_a_label_that_is_long_is_cut_and_whole_where_the_mouse_is() -> None:
    long = "x" * 99
    drawn = charts.heat({(long, "b"): 3}, [long], ["b"], "both")
    assert f"<title>{long}</title>" in drawn
    assert f">{'x' * 41}…<" in drawn
