"""Splitting: nothing moves, nothing that belongs together is apart, and labels have their shares."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from decider.data.dataset import Dataset
from decider.data.split import SIDES, Side, Split, report, split
from decider.decision import Example
from decider.errors import DataError
from decider.task import Task


class Filed(BaseModel):
    team: Literal["billing", "technical", "sales"]
    urgent: bool | None
    tags: list[Literal["a", "b"]]
    summary: str


class Noted(BaseModel):
    summary: str


TASK = Task(Filed, name="filing")
HALVES = {"train": 0.5, "validation": 0.0, "test": 0.5}


def example(
    text: str, name: str, team: str = "billing", *, group: str | None = None, time: str | None = None, **output: Any
) -> Example:
    said = {"team": team, "urgent": None, "tags": [], "summary": text, **output}
    return Example(input=text, output=said, id=name, group=group, time=time)


def data(*examples: Example) -> Dataset:
    return Dataset(examples)


def many(count: int, *, seed: int = 0) -> list[Example]:
    """Rows with labels of uneven shares, alone each."""
    draw = random.Random(seed)
    teams = draw.choices(["billing", "technical", "sales"], [6, 3, 1], k=count)
    flags = draw.choices([True, False, None], [2, 5, 1], k=count)
    tags = draw.choices([[], ["a"], ["b"], ["b", "a"]], k=count)
    rows = zip(teams, flags, tags, strict=True)
    return [example(f"w{n}", f"r{n}", team, urgent=urgent, tags=tag) for n, (team, urgent, tag) in enumerate(rows)]


def file_of(sides: Mapping[str, Side], **keys: Any) -> Split:
    shares = {"train": 0.8, "validation": 0.1, "test": 0.1}
    return Split(**{"task": "filing", "fingerprint": "", "shares": shares, "sides": sides, **keys})


def test_every_side_has_its_share_of_rows_and_of_labels() -> None:
    dataset = data(*many(400))
    found = report(dataset, TASK, split(dataset, TASK))
    assert found.rows == {
        "train": pytest.approx(320, abs=2),
        "validation": pytest.approx(40, abs=2),
        "test": pytest.approx(40, abs=2),
        "excluded": 0,
    }
    assert [one.field for one in found.deviations] == sorted(
        ["team", "urgent", "tags"], key=lambda path: -max(one.size for one in found.deviations if one.field == path)
    )
    assert found.deviations[0].size < 0.03  # a row of 40
    assert set(found.labels["urgent"]) == {"true", "false", "null"}
    assert set(found.labels["tags"]) == {"a", "b", "null"}
    assert sum(found.labels["team"][team]["test"] for team in found.labels["team"]) == pytest.approx(1)


def test_all_combinations_of_labels_are_spread_as_well() -> None:
    dataset = data(*many(400))
    sides = split(dataset, TASK).sides
    records: dict[str, Counter[str]] = defaultdict(Counter)
    for one in dataset:
        records[str([one.output["team"], one.output["urgent"], sorted(one.output["tags"])])][sides[one.id or ""]] += 1
    for counts in records.values():
        assert abs(counts["test"] - counts.total() / 10) < 2


@pytest.mark.parametrize(
    ("shares", "rows"),
    [
        ({"train": 1.0, "validation": 0.0, "test": 0.0}, {"train": 40}),
        (HALVES, {"train": 20, "test": 20}),
        ({"train": 0.0, "validation": 0.0, "test": 1.0}, {"test": 40}),
    ],
)
def test_a_side_without_a_share_gets_no_rows(shares: dict[str, float], rows: dict[str, int]) -> None:
    assert Counter(split(data(*many(40)), TASK, shares=shares).sides.values()) == rows


@pytest.mark.parametrize(
    "shares",
    [
        {"train": 0.5, "test": 0.5},
        {"train": 0.5, "validation": 0.2, "test": 0.2},
        {"train": 1.5, "validation": -0.5, "test": 0.0},
    ],
)
def test_shares_that_are_none_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="shares must be those of train, validation, test"):
        split(data(*many(3)), TASK, shares=shares)


def test_few_rows_are_trained_on_first() -> None:
    assert set(split(data(*(example(f"w{n}", str(n)) for n in range(3))), TASK).sides.values()) == {"train"}
    rows = [*many(200), example("x", "x1", "sales", tags=["a"]), example("y", "x2", "sales", tags=["a"])]
    rare = [one for one in rows if one.output["team"] != "sales" or one.id in ("x1", "x2")]
    sides = split(data(*rare), TASK).sides
    assert (sides["x1"], sides["x2"]) == ("train", "train")


def test_open_fields_are_ignored_and_alone_leave_the_rows_to_their_shares() -> None:
    task = Task(Noted, name="noting")
    rows = [Example(input=f"w{n}", output={"summary": f"s{n}"}, id=f"r{n}") for n in range(50)]
    found = report(data(*rows), task, split(data(*rows), task))
    assert found.rows == {"train": 40, "validation": 5, "test": 5, "excluded": 0}
    assert not found.deviations


def test_groups_same_inputs_and_near_duplicates_stay_together() -> None:
    text = "I still have not received my new card, what should I do?"
    rows = [
        *many(60),
        *(example(f"mine {n}", f"g{n}", group="customer") for n in range(5)),
        *(example(" Again  the SAME ", f"s{n}") for n in range(4)),
        *(example(text.replace("new", word), f"n{word}") for word in ("new", "old", "own", "first")),
        example("again the same", "s4", group="customer"),
    ]
    sides = split(data(*rows), TASK, shares=HALVES).sides
    assert len({sides[name] for name in sides if name[0] in "gs"}) == 1
    assert len({sides[name] for name in sides if name[0] == "n"}) == 1
    apart = split(data(*(example(text + " Thanks" * n, f"n{n}") for n in range(8))), TASK, shares=HALVES, near=False)
    assert len(set(apart.sides.values())) == 2


def test_a_block_that_is_more_than_a_side_should_hold_is_on_one_side_and_said() -> None:
    rows = [*many(20), *(example(f"mine {n}", f"g{n}", group="one") for n in range(80))]
    found = split(data(*rows), TASK)
    assert found.blocks == {"g0": 80}
    assert {found.sides[f"g{n}"] for n in range(80)} == {"train"}
    assert report(data(*rows), TASK, found).blocks == {"g0": 80}


def test_rows_never_move_and_new_ones_fill_what_is_short() -> None:
    rows = many(440)
    before = split(data(*rows[:400]), TASK)
    after = split(data(*rows), TASK, before=before)
    found = report(data(*rows), TASK, after, before=before)
    assert (found.new, found.stayed, found.moved, found.absent) == (40, 400, 0, 0)
    assert found.rows["train"] == pytest.approx(352, abs=2)
    assert found.rows["test"] == pytest.approx(44, abs=2)
    assert after.sides.items() >= before.sides.items()
    assert split(data(*rows), TASK, before=after) == after


def test_a_new_row_keeps_the_side_that_it_names() -> None:
    published = [replace(one, split="test") for one in many(20)]
    rows = [*published, example("beside w3 and more of the same words", "near", group="g"), *many(40, seed=1)[20:]]
    rows[0] = replace(rows[0], group="g")
    rows[1] = replace(rows[1], split="training")
    rows[2] = replace(rows[2], split="Test")
    found = split(data(*rows), TASK)
    assert {found.sides[one.id or ""] for one in published if one.id != "r1"} == {"test"}
    assert found.sides["near"] == "test"
    assert found.sides["r1"] == "train"
    again = split(data(*(replace(one, split="train") for one in rows)), TASK, before=found)
    assert again.sides == found.sides


def test_rows_that_the_dataset_has_no_more_stay_in_the_file() -> None:
    rows = many(40)
    before = split(data(*rows), TASK)
    after = split(data(*rows[10:]), TASK, before=before)
    assert after.sides == before.sides
    assert report(data(*rows[10:]), TASK, after, before=before).absent == 10


def test_new_shares_are_kept_and_reached_by_new_rows_alone() -> None:
    rows = many(300)
    before = split(data(*rows[:100]), TASK)
    after = split(data(*rows), TASK, before=before, shares=HALVES)
    assert after.sides.items() >= before.sides.items()
    assert after.shares == HALVES
    assert Counter(after.sides.values())["train"] == pytest.approx(145, abs=8)  # 10 stay in validation
    assert split(data(*rows), TASK, before=after).shares == HALVES


def test_a_new_row_joins_those_it_belongs_together_with_also_through_others() -> None:
    text = "I still have not received my new card, what should I do?"
    old = [example(text, "a"), example("quite another one", "b", group="g")]
    before = file_of({"a": "test", "b": "validation"})
    new = [
        example(text.upper(), "c"),
        example(text + " Thanks", "d", group="h"),
        example("x", "e", group="h"),
        example("y", "f", group="g"),
        example("my order 17 of may has not arrived", "i"),
        example("my order 18 of may has not arrived", "j", group="g"),
        example("my order 19 of may has not arrived", "k"),
    ]
    sides = split(data(*old, *new), TASK, before=before).sides
    assert {name for name in sides if sides[name] == "test"} == set("acde")
    assert {name for name in sides if sides[name] == "validation"} == set("bfijk")


def test_a_row_that_bridges_two_sides_is_excluded_and_says_which() -> None:
    old = [example("one", "a", group="g"), example("two", "b")]
    before = file_of({"a": "train", "b": "test"})
    dataset = data(*old, example("TWO", "c", group="g"), example("three", "d", group="g"))
    after = split(dataset, TASK, before=before)
    assert after.sides == {"a": "train", "b": "test", "c": "excluded", "d": "train"}
    said = "the same input as row b (test) and of one group with row a (train)"
    assert after.excluded == {"c": said}
    found = report(dataset, TASK, after, before=before)
    assert found.excluded == {"c": said}
    assert found.rows["excluded"] == 1
    again = split(dataset, TASK, before=after)
    assert again == after
    assert report(data(*old), TASK, again).excluded == {}


def test_of_new_rows_that_lead_from_side_to_side_one_is_excluded() -> None:
    old = [example("one", "a"), example("two", "b")]
    before = file_of({"a": "train", "b": "test"})
    new = [example("one", "c", group="g"), example("two", "d", group="g"), example("three", "e", group="g")]
    sides = split(data(*old, *new), TASK, before=before).sides
    assert sorted(sides[name] == "excluded" for name in "cd") == [False, True]
    assert sides["e"] in {sides["c"], sides["d"]} - {"excluded"}


def test_what_is_behind_an_excluded_row_is_free() -> None:
    old = [example("one", "a", group="g"), example("two", "b")]
    before = file_of({"a": "train", "b": "test"})
    new = [example("two", "c", group="g"), *(example(f"x{n}", f"n{n}") for n in range(10))]
    after = split(data(*old, *new), TASK, before=before)
    assert after.sides["c"] == "excluded"
    assert "excluded" not in {after.sides[f"n{n}"] for n in range(10)}
    later = split(data(*old, *new, example("w", "z", group=None)), TASK, before=after)
    assert later.sides["z"] in SIDES


def test_rows_without_ids_are_recognised_by_what_stands_at_their_number() -> None:
    rows = [replace(one, id=str(n), numbered=True) for n, one in enumerate(many(20), 1)]
    before = split(data(*rows), TASK)
    assert len(before.inputs) == 20
    more = [*rows, replace(many(21)[20], id="21", numbered=True)]
    after = split(data(*more), TASK, before=before)
    assert after.sides.items() >= before.sides.items()
    assert len(after.inputs) == 21
    shifted = [replace(one, id=str(n)) for n, one in enumerate(rows[1:], 1)]
    with pytest.raises(DataError, match=r"row 1 is not the row .* give them ids \(decider data import\)"):
        split(data(*shifted), TASK, before=before)


def test_two_rows_with_one_id_and_rows_without_are_refused() -> None:
    with pytest.raises(DataError, match="rows 1 and 3 have the same id 'a'; give each row one of its own"):
        split(data(example("x", "a"), example("y", "b"), example("z", "a")), TASK)
    with pytest.raises(DataError, match="row 1 has no id"):
        split(data(replace(example("x", "a"), id=None)), TASK)


def test_the_file_of_another_task_is_refused() -> None:
    with pytest.raises(DataError, match="of the task 'other', not 'filing'"):
        split(data(example("x", "a")), TASK, before=file_of({}, task="other"))


def dated(count: int, **keys: Any) -> list[Example]:
    return [example(f"w{n}", f"r{n}", time=f"2026-01-{n + 1:02}", **keys) for n in range(count)]


def test_by_time_the_oldest_are_trained_on_and_the_newest_tested() -> None:
    rows = dated(20)
    before = split(data(*rows[::-1]), TASK, by_time=True)
    assert [before.sides[f"r{n}"] for n in range(20)] == ["train"] * 16 + ["validation"] * 2 + ["test"] * 2
    later = [
        example("x", "x", time="2026-01-10T08:00:00+02:00"),
        example("y", "y", time="1900000000"),
        example("z", "z", time="2026-01-17T12:00:00"),
    ]
    after = split(data(*rows, *later), TASK, before=before)
    assert (after.sides["x"], after.sides["y"], after.sides["z"]) == ("train", "test", "validation")
    assert after.cutoffs == before.cutoffs


def test_by_time_a_row_that_repeats_an_older_one_across_a_cutoff_is_excluded() -> None:
    rows = dated(20)
    rows[3], rows[19] = replace(rows[3], group="g"), replace(rows[19], group="g")
    found = split(data(*rows), TASK, by_time=True)
    assert found.sides["r19"] == "excluded"
    assert found.excluded == {"r19": "test by its time, and of one group with row r3 (train)"}
    old = example("w18", "x", time="2020-01-01")
    assert split(data(*rows, old), TASK, before=found).sides["x"] == "excluded"


def test_by_time_rows_of_one_moment_are_on_one_side() -> None:
    rows = [example(f"w{n}", f"r{n}", time="2026-01-01") for n in range(10)]
    assert set(split(data(*rows), TASK, by_time=True).sides.values()) == {"train"}


@pytest.mark.parametrize(
    ("shares", "sides"),
    [
        ({"train": 1.0, "validation": 0.0, "test": 0.0}, ("train", "train")),
        ({"train": 0.5, "validation": 0.5, "test": 0.0}, ("validation", "validation")),
        ({"train": 0.5, "validation": 0.0, "test": 0.5}, ("test", "test")),
    ],
)
def test_by_time_a_side_without_a_share_gets_no_rows(shares: dict[str, float], sides: tuple[str, str]) -> None:
    before = split(data(*dated(10)), TASK, by_time=True, shares=shares)
    after = split(data(*dated(10), example("x", "x", time="2027-01-01")), TASK, before=before)
    assert (after.sides["r9"], after.sides["x"]) == sides


def test_by_time_there_have_to_be_rows_without_a_side_of_their_own() -> None:
    rows = [replace(one, split="train") for one in dated(4)]
    with pytest.raises(DataError, match="no row without a side of its own to place by time"):
        split(data(*rows), TASK, by_time=True)


def test_rows_that_do_not_say_when_they_were_are_named() -> None:
    wrong = [example("x", "x"), example("y", "y", time="last week"), example("z", "z", time="9999-12-31T23:59-23:00")]
    with pytest.raises(DataError, match="3 of 5 rows do not say when they were") as refused:
        split(data(*dated(2), *wrong), TASK, by_time=True)
    assert "row x: no time" in str(refused.value)
    assert "row y: 'last week'" in str(refused.value)


def test_a_split_that_was_not_made_by_time_stays_so() -> None:
    before = split(data(*dated(10)), TASK)
    with pytest.raises(DataError, match="was not made by time"):
        split(data(*dated(11)), TASK, before=before, by_time=True)


TEXTS = st.sampled_from(
    ["a", "b", "c", "d", "e", "f", "g", "h", "please send me my new card", "please send me the new card"]
)
ROWS = st.lists(
    st.tuples(TEXTS, st.sampled_from(["billing", "technical", "sales"]), st.sampled_from([None, None, "g", "h", "i"])),
    min_size=1,
    max_size=14,
)


def made(rows: list[tuple[str, str, str | None]]) -> list[Example]:
    return [example(text, f"r{n}", team, group=group) for n, (text, team, group) in enumerate(rows)]


def kept_together(rows: list[Example], sides: Mapping[str, Side]) -> None:
    """No group, and no input, has rows on two sides."""
    on: dict[tuple[str, Any], set[Side]] = defaultdict(set)
    for one in rows:
        side = sides[one.id or ""]
        if side != "excluded":
            on["input", "card" if "card" in str(one.input) else one.input].add(side)
            if one.group is not None:
                on["group", one.group].add(side)
    assert all(len(found) == 1 for found in on.values())


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(0, 14), st.randoms(use_true_random=False))
def test_whatever_comes_in_nothing_moves_nothing_is_apart_and_order_is_nothing(
    rows: list[tuple[str, str, str | None]], first: int, draw: random.Random
) -> None:
    examples = made(rows)
    before = split(data(*examples[:first]), TASK, shares=HALVES)
    kept_together(examples[:first], before.sides)
    after = split(data(*examples), TASK, before=before)
    assert after.sides.items() >= before.sides.items()
    kept_together(examples, after.sides)
    shuffled = draw.sample(examples, len(examples))
    assert split(data(*shuffled), TASK, before=before).sides == after.sides
    assert split(data(*draw.sample(examples[:first], len(examples[:first]))), TASK, shares=HALVES).sides == before.sides


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(0, 14), st.lists(st.integers(1, 28), min_size=14, max_size=14))
def test_by_time_nothing_moves_and_nothing_is_apart_either(
    rows: list[tuple[str, str, str | None]], first: int, days: list[int]
) -> None:
    examples = [replace(one, time=f"2026-01-{day:02}") for one, day in zip(made(rows), days, strict=False)]
    before = split(data(*examples[:first]), TASK, shares=HALVES, by_time=True) if first else None
    after = split(data(*examples), TASK, before=before, shares=HALVES, by_time=True)
    assert after.sides.items() >= ({} if before is None else before.sides).items()
    kept_together(examples, after.sides)
