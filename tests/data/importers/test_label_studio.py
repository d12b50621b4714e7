"""Label Studio's exports as rows: every kind of control, whose annotation counts, and what cannot be a row."""

from __future__ import annotations

from typing import Any

import pytest

from decider.data.files import FileRow
from decider.data.importers.label_studio import Annotated, gathered, is_task
from decider.errors import DataError
from decider.spec import Columns
from sources import task

FIELDS = {
    "team": {"options": ["billing", "login"]},
    "tags": {"type": "tags", "options": ["late", "vip", "3"]},
    "stars": {"type": "scale", "min": 1, "max": 5},
    "amount": {"type": "number", "optional": True},
    "count": {"type": "integer", "optional": True},
    "note": {"type": "text", "optional": True},
    "due": {"type": "date", "optional": True},
    "sure": {"type": "bool", "optional": True},
}
TASK = task(fields=FIELDS)


def choice(name: str, *values: Any, kind: str = "choices", **more: Any) -> dict[str, Any]:
    key = {"textarea": "text", "pairwise": "selected"}.get(kind, kind)
    value = list(values) if kind in ("choices", "taxonomy", "textarea") else values[0]
    return {"from_name": name, "to_name": "t", "type": kind, "value": {key: value, **more}}


def annotation(*results: Any, at: str = "2026-03-01T10:00:00Z", **more: Any) -> dict[str, Any]:
    return {"id": 1, "result": list(results), "updated_at": at, "completed_by": 7, "was_cancelled": False, **more}


GOOD = annotation(choice("team", "billing"), choice("stars", 4, kind="rating"))


def exported(*annotations: Any, **more: Any) -> dict[str, Any]:
    return {"id": 12, "data": {"body": "paid twice", "customer": "c1"}, "annotations": list(annotations), **more}


def row(value: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return Annotated(task(fields=FIELDS, **keys), Columns()).row(value)


def test_every_kind_of_control_is_a_value_of_its_field() -> None:
    found = row(
        exported(
            annotation(
                choice("team", ["Money", "billing"], kind="taxonomy"),
                choice("tags", "vip", 3),
                choice("tags", "vip", "late"),
                choice("stars", 4, kind="rating"),
                choice("amount", 9.5, kind="number"),
                choice("count", 3.0, kind="number"),
                choice("note", "one", "two", kind="textarea"),
                choice("due", "2026-04-01", kind="datetime"),
                choice("sure", "true"),
                choice("elsewhere", "x"),
            )
        )
    )
    assert found == {
        "input": {"body": "paid twice"},
        "output": {
            "team": "billing", "tags": ["vip", "3", "late"], "stars": 4, "amount": 9.5, "count": 3, "note": "one\ntwo",
            "due": "2026-04-01", "sure": True,
        },
        "id": 12,
        "by": "7",
        "at": "2026-03-01T10:00:00Z",
    }  # fmt: skip


def test_what_nobody_chose_is_empty_where_it_may_be() -> None:
    found = row(exported(annotation(choice("team", "billing"), choice("note", kind="textarea"))))["output"]
    assert found["tags"] == []
    assert found["amount"] is None
    assert "stars" not in found


def test_several_where_there_is_to_be_one_stay_so_that_the_row_is_refused() -> None:
    assert row(exported(annotation(choice("team", "billing", "login"))))["output"]["team"] == ["billing", "login"]


def test_columns_name_controls_and_data_of_other_names() -> None:
    one = task(fields=FIELDS, data={"group": "customer", "time": "opened"})
    columns = Columns(input={"body": "message"}, output={"team": "queue"}, id="ticket")
    data = {"message": "hello", "ticket": "T1", "customer": "c1", "opened": None}
    found = Annotated(one, columns).row({"id": 1, "data": data, "annotations": [annotation(choice("queue", "login"))]})
    assert (found["input"], found["output"]["team"]) == ({"body": "hello"}, "login")
    assert (found["id"], found["group"], found.get("time")) == ("T1", "c1", None)
    text = Annotated(task(input=None), Columns(input="message"))
    assert text.row({"data": data, "annotations": [GOOD]})["input"] == "hello"


@pytest.mark.parametrize(
    ("who", "said"),
    [(3, "3"), ("ana", "ana"), ({"id": 3, "email": "a@b.c"}, "a@b.c"), ({"id": 3}, "3"), ({}, None), (None, None)],
)
def test_who_annotated_is_said_in_many_ways(who: Any, said: str | None) -> None:
    assert row(exported({**GOOD, "completed_by": who})).get("by") == said


def test_older_exports_call_annotations_completions() -> None:
    old = {"id": 1, "data": {"body": "x"}, "completions": [{"result": GOOD["result"], "created_at": "2020-01-01"}]}
    assert is_task(old)
    assert row(old)["at"] == "2020-01-01"


def test_the_annotation_updated_last_counts_and_differences_are_counted_by_field() -> None:
    annotated = Annotated(TASK, Columns())
    early = annotation(choice("team", "login"), choice("tags", "late", "vip"), at="2026-01-01")
    late = annotation(choice("team", "billing"), choice("tags", "vip", "late"), at="2026-02-01")
    assert annotated.row(exported(late, early))["output"]["team"] == "billing"
    assert (annotated.several, annotated.disagreed, annotated.tasks) == (1, {"team": 1}, ["12"])
    annotated.row(exported(late, late))
    assert (annotated.several, annotated.disagreed) == (2, {"team": 1})
    for n in range(9):
        annotated.row(exported(late, early, id=n))
    assert annotated.tasks == ["12", "0", "1", "2", "3"]


def test_ground_truth_counts_before_what_is_later_and_what_was_cancelled_never() -> None:
    truth = annotation(choice("team", "login"), at="2026-01-01", ground_truth=True)
    cancelled = annotation(choice("team", "login"), at="2026-09-01", was_cancelled=True)
    annotated = Annotated(TASK, Columns())
    assert annotated.row(exported(truth, GOOD, cancelled))["output"]["team"] == "login"
    assert annotated.several == 1
    assert annotated.row(exported(GOOD, cancelled))["output"]["team"] == "billing"
    assert annotated.several == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (exported(), "nobody annotated this task"),
        ({"id": 1, "data": {}, "annotations": 7}, "nobody annotated this task"),
        (exported(annotation(was_cancelled=True), {"skipped": True}), "was skipped by all who looked at it"),
        (exported(annotation()), "in which nothing was chosen"),
        (exported({"result": None}), "in which nothing was chosen"),
        ({"id": 1}, "is no task of Label Studio: it has no data"),
        (exported(annotation(choice("team", ["x"], kind="hypertextlabels"))), "team: marks a region"),
        (exported(annotation(choice("team", ["x"], kind="rectangle"))), "team: marks a region"),
    ],
)
def test_what_nobody_decided_is_no_row(value: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        row(value)


def test_results_that_say_nothing_are_passed_over() -> None:
    odd = annotation("x", {"from_name": 3}, {"from_name": "team", "type": "choices", "value": None}, *GOOD["result"])
    assert row(exported(odd))["output"]["team"] == "billing"


def minimal(id: Any = 5, **chosen: Any) -> dict[str, Any]:
    about = {"annotator": 2, "annotation_id": 9, "created_at": "a", "updated_at": "2026-01-01", "lead_time": 1.5}
    return {"id": id, "body": "x", **chosen, **about}


def from_minimal(*rows: Any) -> list[dict[str, Any]]:
    made = list(gathered(FileRow(n, n, value) for n, value in enumerate(rows, 1)))
    return [row(one.value) for one in made]


def test_json_min_has_one_choice_alone_and_others_as_json() -> None:
    (found,) = from_minimal(
        minimal(
            team="login",
            tags={"choices": ["late", "vip"]},
            stars=[{"rating": 3}],
            amount=[{"number": 2.5}],
            note={"text": ["a", "b"]},
            due=[{"datetime": "2026-05-01", "odd": 1}],
        )
    )
    assert found["output"] == {
        "team": "login", "tags": ["late", "vip"], "stars": 3, "amount": 2.5, "count": None, "note": "a\nb",
        "due": "2026-05-01", "sure": None,
    }  # fmt: skip
    assert (found["input"], found["id"], found["by"], found["at"]) == ({"body": "x"}, 5, "2", "2026-01-01")


def test_the_rows_of_one_task_in_json_min_are_its_annotations() -> None:
    late = {**minimal(team="login"), "updated_at": "2026-02-01"}
    found = from_minimal(late, minimal(team="billing"), minimal(id=6, team="billing"))
    assert [(one["id"], one["output"]["team"]) for one in found] == [(5, "login"), (6, "billing")]
    no_id = [{key: value for key, value in minimal(team="login").items() if key != "id"} for _ in range(2)]
    assert ["id" in one for one in from_minimal(*no_id)] == [False, False]


def test_cells_of_a_csv_export_are_read_as_what_they_hold() -> None:
    cells = minimal(team='{"choices": ["login"]}', note="[sic] and {so on", tags='[{"taxonomy": [["a", "vip"]]}]')
    (found,) = from_minimal(cells)
    assert (found["output"]["team"], found["output"]["note"]) == ("login", "[sic] and {so on")
    assert found["output"]["tags"] == ["vip"]


def test_other_rows_stay_as_they_are() -> None:
    rows = [FileRow(1, 1, "x", "is not JSON"), FileRow(2, 2, [1]), FileRow(3, 3, exported(GOOD))]
    assert list(gathered(rows)) == rows
    assert not is_task({"input": "x", "output": {}})
    assert not is_task({"data": {}, "predictions": []})
    assert is_task(minimal())
