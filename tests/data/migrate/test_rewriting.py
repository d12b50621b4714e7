"""A dataset of an old schema as one of the new: no row is lost, and what needs a person is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from decider.data.dataset import Dataset
from decider.data.migrate.changes import read as read_changes
from decider.data.migrate.fates import Fates, fates_of
from decider.data.migrate.moving import OPEN
from decider.data.migrate.rewriting import Migrated, migrate, review_of
from decider.errors import DataError
from decider.task import Task

SPEC = """\
name: triage
input: {text: text, channel: {options: [mail, phone], optional: true}}
fields:
  team: {options: [payments, refunds, growth, other]}
  routing.level: {type: scale, options: [1, 2, 3]}
  tags: {type: tags, options: [vip, late, loud]}
  mood: {options: [good, bad], optional: true}
  note: {type: text}
"""
OLD: dict[str, Any] = {"team": "payments", "routing": {"level": 1}, "tags": [], "mood": None, "note": "as said"}


class Desk:
    """A spec, old rows, and what became of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data, self.out = folder / "rows.jsonl", folder / "new.jsonl"
        self.review = review_of(self.out)
        (folder / "spec.yaml").write_text(SPEC)
        self.task: Task[Any] = Task.load(folder / "spec.yaml")

    def write(self, *rows: Any) -> None:
        lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
        self.data.write_text("".join(f"{line}\n" for line in lines))

    def fates(self, *changes: str) -> Fates:
        file = self.folder / "changes.yaml"
        file.write_text("changes:\n" + "".join(f"  - {one}\n" for one in changes or ("drop: {field: nothing}",)))
        return fates_of(*read_changes(file), self.task)

    def migrate(self, *changes: str, **how: Any) -> Migrated:
        return migrate(self.data, self.task, self.fates(*changes), self.out, **how)

    def rows(self) -> list[dict[str, Any]]:
        return read(self.out)

    def reviewed(self) -> list[dict[str, Any]]:
        return read(self.review)

    def fill(self, *outputs: dict[str, Any]) -> None:
        """Do what a person does with the rows to review, one after another."""
        rows = self.reviewed()
        for row, output in zip(rows, outputs, strict=False):
            row["output"] |= output
        self.review.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def row(output: dict[str, Any] | None = None, channel: str | None = "mail", **about: Any) -> dict[str, Any]:
    return {"input": {"text": "paid twice", "channel": channel}, "output": {**OLD, **(output or {})}, **about}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_labels_are_renamed_merged_and_retired_as_they_were_before_any_change(desk: Desk) -> None:
    desk.write(*(row({"team": team}) for team in ("billing", "sales", "ads", "fax", "payments", "other")))
    done = desk.migrate(
        "rename: {field: team, from: billing, to: payments}",
        "merge: {field: team, from: [sales, ads], to: growth}",
        "retire: {field: team, label: fax, to: other}",
        "rename: {field: team, from: payments, to: refunds}",
    )
    assert [one["output"]["team"] for one in desk.rows()] == [
        "payments", "growth", "growth", "other", "refunds", "other",
    ]  # fmt: skip
    assert [done.used[n] for n in range(4)] == [1, 2, 1, 1]
    assert (done.rows, done.written, done.changed, done.open) == (6, 6, 5, 0)
    assert not desk.review.exists()


def test_what_a_row_says_beside_its_output_stays_and_a_number_becomes_an_id(desk: Desk) -> None:
    about: dict[str, Any] = {
        "source": "corrected",
        "split": "test",
        "group": "g",
        "time": "2026-01-01",
        "by": "ana",
        "at": "now",
    }
    desk.write(row(id="a", **about), row(id=7), row(**about))
    desk.migrate()
    assert desk.rows() == [row(id="a", **about), row(id=7), row(id="3", **about)]


def test_tags_are_changed_inside_their_lists(desk: Desk) -> None:
    desk.write(row({"tags": ["noisy", "vip"]}), row({"tags": ["angry", "noisy", "gone"]}), row({"tags": ["vip"]}))
    done = desk.migrate(
        "merge: {field: tags, from: [noisy, angry], to: loud}",
        "retire: {field: tags, label: gone}",
    )
    assert [one["output"]["tags"] for one in desk.rows()] == [["loud", "vip"], ["loud"], ["vip"]]
    assert (done.used[0], done.used[1]) == (2, 1)


def test_fields_are_renamed_dropped_and_added_at_nested_paths(desk: Desk) -> None:
    old = {"team": "other", "level": 2, "meta": {"old": {"deep": True}}, "tags": [], "mood": None}
    desk.write({"input": {"text": "x"}, "output": old})
    done = desk.migrate(
        "rename_field: {from: level, to: routing.level}",
        "drop: {field: meta.old.deep}",
        "add: {field: note, value: none yet}",
        "rename: {field: routing.level, from: 2, to: 3}",
        "add: {field: mood, value: good}",
        "drop: {field: nowhere}",
        "rename_field: {from: gone, to: tags}",
    )
    assert desk.rows()[0]["output"] == {
        "team": "other",
        "routing": {"level": 3},
        "tags": [],
        "mood": None,
        "note": "none yet",
    }
    assert [done.used[n] for n in range(7)] == [1, 1, 1, 1, 0, 0, 0]


def test_a_label_that_is_divided_needs_a_person(desk: Desk) -> None:
    desk.write(row({"team": "billing"}, id="a", group="g"), row())
    done = desk.migrate("split: {field: team, from: billing, into: [payments, refunds]}")
    assert (done.rows, done.written, done.open) == (2, 1, 1)
    assert desk.reviewed() == [
        {
            "row": 1,
            **row({"team": OPEN}, id="a", group="g"),
            "needs": [
                {
                    "field": "team",
                    "was": "billing",
                    "choose": ["payments", "refunds"],
                    "why": "team: billing → payments or refunds",
                }
            ],
        }
    ]


@pytest.mark.parametrize("by", ["channel", "routing.level", "mood"])
def test_another_value_may_tell_what_a_divided_label_is(desk: Desk, by: str) -> None:
    told = {"channel": "{mail: refunds}", "routing.level": "{1: refunds}", "mood": "{good: refunds}"}[by]
    desk.write(
        row({"team": "billing", "mood": "good", "routing": {"level": 1}}, "mail"),
        row({"team": "billing", "routing": {"level": 2}}, None),
        {"input": {"text": "x"}, "output": {"team": "billing", "tags": []}},
    )
    done = desk.migrate(f"split: {{field: team, from: billing, into: [payments, refunds], by: {{{by}: {told}}}}}")
    assert [one["output"]["team"] for one in desk.rows()] == ["refunds"]
    assert (done.used[0], done.open) == (3, 2)


def test_the_value_that_tells_is_that_of_the_old_field(desk: Desk) -> None:
    output = row({"team": "billing"})["output"]
    output["temper"] = "good"
    del output["mood"]
    desk.write({**row(), "output": output})
    desk.migrate(
        "rename_field: {from: temper, to: mood}",
        "split: {field: team, from: billing, into: [payments, refunds], by: {mood: {good: payments}}}",
    )
    assert [one["output"]["team"] for one in desk.rows()] == ["payments"]


def test_a_label_that_is_retired_or_a_field_that_is_added_may_need_a_person(desk: Desk) -> None:
    output = row({"mood": "so_so"})["output"]
    del output["tags"]
    desk.write({**row(), "output": output})
    desk.migrate("retire: {field: mood, label: so_so}", "add: {field: tags}")
    (found,) = desk.reviewed()
    assert found["output"] == {**OLD, "mood": OPEN, "tags": [OPEN]}
    assert [(one["field"], one["was"], one["choose"]) for one in found["needs"]] == [
        ("mood", "so_so", ["good", "bad", None]),
        ("tags", None, ["vip", "late", "loud"]),
    ]


def test_what_no_change_is_about_and_does_not_fit_is_named(desk: Desk) -> None:
    without = row()["output"]
    del without["team"]
    del without["routing"]
    desk.write(
        row({"team": "fax"}),
        row({"tags": ["vip", "odd"]}),
        {**row(), "output": without},
        row({"extra": 1}),
        row({"note": 5}),
        row({"routing": "none"}),
        {**row(), "output": {**OLD, "routing": {"level": 1, "more": 2}}},
    )
    done = desk.migrate()
    assert (done.rows, done.written, done.open) == (7, 0, 7)
    assert desk.rows() == []
    needs = [[(one["field"], one["was"]) for one in found["needs"]] for found in desk.reviewed()]
    assert needs == [
        [("team", "fax")],
        [("tags", ["odd"])],
        [("team", None), ("routing.level", None)],
        [("extra", 1)],
        [("note", 5)],
        [("routing", "none")],
        [("routing.more", 2)],
    ]
    assert [found["output"].get("team") for found in desk.reviewed()[:3]] == [OPEN, "payments", OPEN]
    assert desk.reviewed()[1]["output"]["tags"] == ["vip", OPEN]
    said = done.to_json(desk.fates())
    assert said["need_a_person"] == 7
    assert said["review"] == str(desk.review)
    assert said["unexplained"][0] == {
        "field": "team",
        "was": "fax",
        "why": "the new schema has no such label, and no change says what becomes of it",
        "rows": 1,
    }
    assert {"field": "tags", "was": "odd"}.items() <= said["unexplained"][1].items()


def test_what_is_no_row_is_kept(desk: Desk) -> None:
    desk.write("{torn", "[1]", {"input": {"text": "x"}}, {**row(), "output": None}, {**row(), "odd": 1}, row())
    done = desk.migrate("add: {field: note}", "retire: {field: team, label: fax}")
    assert (done.rows, done.written, done.open) == (6, 1, 5)
    found = desk.reviewed()
    assert (found[0]["unreadable"], found[1]["unreadable"]) == ("{torn", [1])
    assert "cannot be read: is not JSON" in found[0]["needs"][0]["why"]
    assert [one["needs"][0]["field"] for one in found] == [None] * 5


def test_a_label_cannot_change_where_there_is_none(desk: Desk) -> None:
    output = row()["output"]
    del output["team"]
    desk.write({**row(), "output": output})
    assert desk.migrate("retire: {field: team, label: fax}").used.total() == 0


def test_a_row_breaks_a_rule_in_one_field_and_needs_a_person_in_another(desk: Desk) -> None:
    desk.write(row({"team": "billing", "mood": "odd"}))
    done = desk.migrate("split: {field: team, from: billing, into: [payments, refunds]}")
    assert [one["field"] for one in desk.reviewed()[0]["needs"]] == ["team", "mood"]
    assert done.unexplained.total() == 1


def test_what_stands_in_the_way_of_a_new_field_is_not_lost(desk: Desk) -> None:
    desk.write(row({"routing": "none"}))
    desk.migrate("add: {field: routing.level, value: 1}")
    (found,) = desk.reviewed()
    assert found["output"]["routing"] == "none"


SPLIT = "split: {field: team, from: billing, into: [payments, refunds]}"


def test_rows_that_were_filled_in_come_back_to_their_places(desk: Desk) -> None:
    desk.write(row({"team": "billing"}, id="a"), row(id="b"), row({"team": "billing"}))
    desk.migrate(SPLIT)
    desk.fill({"team": "refunds"}, {"team": "payments"})
    done = desk.migrate(SPLIT, filled=desk.review)
    assert [(one["id"], one["output"]["team"]) for one in desk.rows()] == [
        ("a", "refunds"),
        ("b", "payments"),
        ("3", "payments"),
    ]
    assert (done.written, done.filled, done.open) == (3, 2, 0)
    before = desk.review.read_text()
    assert desk.migrate(SPLIT, filled=desk.review).open == 0, "the answers stay, so that they can be given again"
    assert desk.review.read_text() == before
    assert len(Dataset.load(desk.out, desk.task)) == 3


def test_rows_that_were_filled_in_only_partly_stay_open(desk: Desk) -> None:
    desk.write(row({"team": "billing", "note": "x"}), row({"team": "billing"}), row({"tags": ["odd"]}))
    desk.migrate(SPLIT)
    desk.fill({"team": "refunds"}, {"team": "nobody"})
    done = desk.migrate(SPLIT, filled=desk.review)
    assert (done.filled, done.open) == (1, 2)
    filled, wrong, still = desk.reviewed()
    assert filled["output"]["team"] == "refunds"
    assert (wrong["output"]["team"], wrong["needs"][0]["was"]) == (OPEN, "nobody")
    assert still["needs"][0]["field"] == "tags"


def test_an_open_text_that_nobody_filled_in_is_still_open(desk: Desk) -> None:
    output = row()["output"]
    del output["note"]
    desk.write({**row(), "output": output})
    assert desk.migrate("add: {field: note}").open == 1
    assert desk.migrate("add: {field: note}", filled=desk.review).open == 1
    desk.fill({"note": "said"})
    assert desk.migrate("add: {field: note}", filled=desk.review).open == 0


def test_an_unreadable_row_can_be_written_anew(desk: Desk) -> None:
    desk.write("{torn")
    desk.migrate()
    (found,) = desk.reviewed()
    desk.review.write_text(json.dumps({**found, **row(), "needs": "done"}) + "\n")
    assert desk.migrate(filled=desk.review).filled == 1
    assert desk.rows() == [row(id="1")]


@pytest.mark.parametrize("torn", ["{torn", "[1]"])
def test_an_unreadable_row_that_nobody_wrote_anew_stays_as_it_is(desk: Desk, torn: str) -> None:
    desk.write(torn)
    desk.migrate()
    before = desk.review.read_text()
    assert desk.migrate(filled=desk.review).open == 1
    assert desk.review.read_text() == before


def test_a_change_of_rows_that_were_filled_in_is_one_that_was_about_rows(desk: Desk) -> None:
    desk.write(row({"team": "billing"}))
    assert desk.migrate(SPLIT).used[0] == 1
    desk.fill({"team": "refunds"})
    assert desk.migrate(SPLIT, filled=desk.review).used[0] == 1


@pytest.mark.parametrize(
    ("old", "change", "kept"),
    [
        ({"memo": "mine"}, "rename_field: {from: memo, to: note}", {"memo": "mine", "note": "as said"}),
        (
            {"routing": "none", "level": 2},
            "rename_field: {from: level, to: routing.level}",
            {"routing": "none", "level": 2},
        ),
    ],
)
def test_a_field_that_is_renamed_to_where_something_stands_is_not_lost(
    desk: Desk, old: dict[str, Any], change: str, kept: dict[str, Any]
) -> None:
    desk.write(row(old))
    assert desk.migrate(change).open == 1
    (found,) = desk.reviewed()
    assert found["output"].items() >= kept.items()
    assert found["needs"][0]["why"] == f"something else stands in {change.removesuffix('}').rsplit(maxsplit=1)[-1]}"


def test_a_field_may_be_renamed_to_what_is_empty_or_the_same_or_below_itself(desk: Desk) -> None:
    level = {"team": "other", "routing": 2, "tags": [], "mood": None, "feeling": "good", "note": "x", "memo": "x"}
    desk.write({"input": {"text": "x"}, "output": level})
    desk.migrate(
        "rename_field: {from: routing, to: routing.level}",
        "rename_field: {from: feeling, to: mood}",
        "rename_field: {from: memo, to: note}",
    )
    assert desk.rows()[0]["output"] == {
        "team": "other", "routing": {"level": 2}, "tags": [], "mood": "good", "note": "x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{torn\n", "is not JSON"),
        ("[1]\n", "is no row of a review file, which has the number of its row in `row`"),
        ('{"row": "1"}\n', "is no row of a review file"),
        ('{"row": 1}\n{"row": 1}\n', "row 1 stands here twice; keep one"),
        ('{"row": 9}\n', "is about row 9, which .* does not have"),
        ('{"row": 1, "id": "b"}\n', "row 1 is 'a' in the data, and 'b' here: it is of other data"),
    ],
)
def test_what_is_no_file_of_filled_rows_is_refused(desk: Desk, text: str, said: str) -> None:
    desk.write(row(id="a"))
    desk.review.write_text(text)
    with pytest.raises(DataError, match=said):
        desk.migrate(filled=desk.review)
    assert not desk.out.exists()
    assert desk.review.read_text() == text


def test_nothing_is_written_over_that_would_be_lost(desk: Desk) -> None:
    desk.write(row())
    desk.review.write_text("{}\n")
    with pytest.raises(DataError, match="somebody may have filled it in; give it back with  --filled"):
        desk.migrate()
    desk.review.unlink()
    with pytest.raises(DataError, match="is what is read, and would be lost"):
        migrate(desk.data, desk.task, desk.fates(), desk.data)
    with pytest.raises(DataError, match="there is no such file"):
        desk.migrate(filled=desk.folder / "nowhere.jsonl")
    with pytest.raises(DataError, match=r"new\.csv: migrated rows are written as \.jsonl; name such a file with -o"):
        migrate(desk.data, desk.task, desk.fates(), desk.folder / "new.csv")
    (desk.folder / "rows.csv").write_text("input,team\n")
    with pytest.raises(DataError, match=r"rows\.csv: only \.jsonl is migrated"):
        migrate(desk.folder / "rows.csv", desk.task, desk.fates(), desk.out)
    with pytest.raises(DataError, match="there is no folder"):
        migrate(desk.data, desk.task, desk.fates(), desk.folder / "nowhere" / "new.jsonl")


def test_rows_of_columns_are_to_be_imported_first(desk: Desk) -> None:
    columns = "data: {columns: {input: {text: body}, output: {team: kind}}}\n"
    (desk.folder / "spec.yaml").write_text(SPEC + columns)
    desk.task = Task.load(desk.folder / "spec.yaml")
    desk.write(row(), {"body": "paid twice", "kind": "other"})
    with pytest.raises(DataError, match=r"rows\.jsonl:2: has its values in columns; make rows of them with `decider"):
        desk.migrate()
    assert not desk.out.exists()
    assert not desk.review.exists()
    desk.write(row())
    assert desk.migrate().written == 1


def test_progress_is_told(desk: Desk) -> None:
    desk.write(*[row()] * 2000)
    told: list[int] = []
    progress: Callable[[int, int], None] = lambda done, total: told.append(done)  # noqa: E731
    desk.migrate(progress=progress)
    assert told == [1000, 2000]
