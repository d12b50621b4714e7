"""Few-shot examples: which are chosen, in which order, and that none gives away the answer."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from decider.decision import Example, Input
from decider.examples import Select, Selector
from decider.schema import fields_of

SELECTS: tuple[Select, ...] = get_args(Select)

TEAMS = ("billing", "login", "other")


class Place(BaseModel):
    urgent: bool | None


class Ticket(BaseModel):
    team: Literal["billing", "login", "other"]
    place: Place
    tags: list[Literal["a", "b"]] | None
    why: str


FIELDS = fields_of(Ticket)


def example(
    x: Input, team: str = "other", *, urgent: bool | None = False, tags: Sequence[str] | None = (), why: str = ""
) -> Example:
    chosen = None if tags is None else list(tags)
    return Example(input=x, output={"team": team, "place": {"urgent": urgent}, "tags": chosen, "why": why})


def chosen(examples: Sequence[Example], deciding: Input, *, count: int, select: Select) -> list[Input]:
    """The inputs of the examples that are chosen for `deciding`, in order."""
    return [one.input for one in Selector(examples, FIELDS, count=count, select=select).choose(deciding)]


def labelled(*teams: str) -> list[Example]:
    """Examples that differ in `team` alone; their inputs are `0`, `1`, and so on."""
    return [example(str(n), team) for n, team in enumerate(teams)]


every_select = pytest.mark.parametrize("select", SELECTS)


# The examples of every property: few letters, so that inputs are often alike.

texts = st.text("abAB .", max_size=4)
inputs: st.SearchStrategy[Any] = texts | st.fixed_dictionaries({"text": texts, "inner": st.lists(texts, max_size=2)})
examples_of_any_kind = st.lists(
    st.builds(
        example,
        inputs,
        st.sampled_from(TEAMS),
        urgent=st.sampled_from([True, False, None]),
        tags=st.none() | st.lists(st.sampled_from("ab"), unique=True),
    ),
    max_size=12,
)


def plain(x: Any) -> Any:
    """What an input says, whichever way its letters and spaces are written."""
    if isinstance(x, str):
        return " ".join(x.lower().split())
    return {key: plain(value) for key, value in x.items()} if isinstance(x, dict) else [plain(one) for one in x]


def respelled(x: Any) -> Any:
    """The same input in fullwidth letters, in the other case, with more space and its keys in another order."""
    if isinstance(x, str):
        wide = "".join(chr(ord(letter) + 0xFEE0) if letter.isalpha() else letter for letter in x.swapcase())
        return f"\t{wide.replace(' ', '  ')} "
    if isinstance(x, dict):
        return {key: respelled(value) for key, value in reversed(x.items())}
    return [respelled(one) for one in x]


@every_select
@given(examples=examples_of_any_kind, deciding=inputs, count=st.integers(1, 5))
def test_the_input_that_is_decided_never_comes_back(
    select: Select, examples: list[Example], deciding: Any, count: int
) -> None:
    selector = Selector(examples, FIELDS, count=count, select=select)
    for x in [deciding, *(one.input for one in examples)]:
        others = [one for one in examples if plain(one.input) != plain(x)]
        for spelling in (x, respelled(x)):
            shown = selector.choose(spelling)
            assert len(shown) == min(count, len(others))
            assert all(any(one is other for other in others) for one in shown)
            assert len({id(one) for one in shown}) == len(shown)
            assert selector.choose(spelling) == shown


@every_select
def test_without_examples_none_is_chosen(select: Select) -> None:
    assert chosen([], "a", count=3, select=select) == []
    assert chosen([example("a")], "A", count=3, select=select) == []


@every_select
def test_fewer_examples_than_asked_for_are_all_chosen(select: Select) -> None:
    assert sorted(map(str, chosen(labelled(*TEAMS), "9", count=5, select=select))) == ["0", "1", "2"]


@every_select
@pytest.mark.parametrize(
    ("deciding", "is_own"),
    [
        ({"n": 1, "who": {"name": "Ana Ruiz", "tags": ["Ä"]}}, True),
        ({"who": {"tags": ["A\u0308"], "name": "ana  ruiz"}, "N": 1}, True),
        ({"n": 2, "who": {"name": "Ana Ruiz", "tags": ["Ä"]}}, False),
        ({"n": "1", "who": {"name": "Ana Ruiz", "tags": ["Ä"]}}, False),
        ({"n": 1, "whom": {"name": "Ana Ruiz", "tags": ["Ä"]}}, False),
        ({"n": 1, "who": {"name": "Ana Ruiz", "tags": [["Ä"]]}}, False),
        ({"n": 1, "who": {"name": "Ana Ruiz", "tags": ["Ä", None]}}, False),
    ],
)
def test_mapping_inputs_are_the_same_where_all_their_values_are(
    select: Select, deciding: dict[str, Any], is_own: bool
) -> None:
    known = {"n": 1, "who": {"name": "Ana Ruiz", "tags": ["Ä"]}}
    assert chosen([example(known)], deciding, count=1, select=select) == ([] if is_own else [known])


@every_select
def test_a_text_is_not_the_mapping_that_holds_it(select: Select) -> None:
    assert chosen([example({"text": "a"})], "a", count=1, select=select) == [{"text": "a"}]


# first


def test_first_takes_them_in_file_order() -> None:
    assert chosen(labelled(*TEAMS), "9", count=2, select="first") == ["0", "1"]
    assert chosen(labelled(*TEAMS), "0", count=2, select="first") == ["1", "2"]


# diverse


def test_diverse_shows_each_label_before_it_shows_one_again() -> None:
    tickets = labelled("login", "login", "billing", "login", "billing", "other")
    assert chosen(tickets, "9", count=3, select="diverse") == ["0", "2", "5"]
    assert chosen(tickets, "9", count=6, select="diverse") == ["0", "2", "5", "1", "4", "3"]


def test_diverse_takes_the_example_that_shows_most() -> None:
    tickets = [
        example("one", "login", tags=["a"]),
        example("two", "login", tags=["a", "b"]),
        example("three", "billing", urgent=True),
        example("four", "billing", urgent=False),
    ]
    assert chosen(tickets, "9", count=2, select="diverse") == ["two", "three"]


def test_no_tags_and_no_answer_are_labels_of_their_own() -> None:
    tickets = [
        example("tagged", tags=["a", "b"]),
        example("tagged again", tags=["b"]),
        example("without tags", tags=[]),
        example("tags unknown", tags=None),
        example("urgency unknown", urgent=None, tags=["a"]),
    ]
    assert chosen(tickets, "9", count=4, select="diverse") == [
        "tagged",
        "without tags",
        "tags unknown",
        "urgency unknown",
    ]


def test_diverse_stays_diverse_when_one_of_the_chosen_is_decided() -> None:
    tickets = labelled("login", "billing", "billing", "login")
    assert chosen(tickets, "9", count=2, select="diverse") == ["0", "1"]
    assert chosen(tickets, "0", count=2, select="diverse") == ["1", "3"]
    assert chosen(tickets, "1", count=2, select="diverse") == ["0", "2"]
    assert chosen(tickets, "2", count=2, select="diverse") == ["0", "1"]


def test_open_fields_show_no_labels() -> None:
    tickets = [example("0", why="x"), example("1", why="y"), example("2", "login", why="x")]
    assert chosen(tickets, "9", count=2, select="diverse") == ["0", "2"]


def test_diverse_without_closed_fields_is_file_order() -> None:
    open_fields = [field for field in FIELDS if not field.closed]
    tickets = [example(str(n), why=str(n)) for n in range(4)]
    assert Selector(tickets, open_fields, count=3, select="diverse").choose("1") == (tickets[0], *tickets[2:])


def labels_of(one: Example) -> set[Any]:
    tags = one.output["tags"]
    return {
        ("team", one.output["team"]),
        ("urgent", one.output["place"]["urgent"]),
        *(("tags", tag) for tag in ([tags] if tags is None else tags or ["none"])),
    }


def greedily(examples: list[Example], count: int) -> list[Example]:
    """Label coverage as slowly and plainly as it can be written."""
    left, taken, covered = list(examples), list[Example](), set[Any]()
    while left and len(taken) < count:
        if all(labels_of(one) <= covered for one in left):
            covered = set()
        best = max(left, key=lambda one: len(labels_of(one) - covered))
        covered |= labels_of(best)
        left = [one for one in left if one is not best]
        taken.append(best)
    return taken


@given(examples=examples_of_any_kind, count=st.integers(1, 13))
def test_diverse_is_greedy_over_the_examples_that_may_be_shown(examples: list[Example], count: int) -> None:
    selector = Selector(examples, FIELDS, count=count, select="diverse")
    for x in [one.input for one in examples] or ["a"]:
        others = [one for one in examples if plain(one.input) != plain(x)]
        assert list(selector.choose(x)) == greedily(others, count)


@given(examples=examples_of_any_kind)
def test_diverse_covers_every_label_when_there_is_room(examples: list[Example]) -> None:
    # Every example that is taken before all are covered adds one of the nine labels or more.
    shown = Selector(examples, FIELDS, count=9, select="diverse").choose("unlike any")
    assert set().union(*map(labels_of, shown)) == set().union(*map(labels_of, examples))


# similar

MAIL = [
    example("the card was charged twice"),
    example("the password is wrong"),
    example("the card is lost, send another card"),
    example("the app does not start"),
    example("opening hours?"),
]


def test_similar_puts_the_most_similar_last() -> None:
    assert chosen(MAIL, "My CARD was charged twice!", count=2, select="similar") == [
        "the card is lost, send another card",
        "the card was charged twice",
    ]
    assert chosen(MAIL, "ＰＡＳＳＷＯＲＤ wrong", count=1, select="similar") == ["the password is wrong"]


def test_a_rare_word_counts_for_more_than_frequent_ones() -> None:
    mail = [example(f"please would you look at this {n}") for n in range(20)] + [example("refund")]
    assert chosen(mail, "please would you look at this refund", count=1, select="similar") == ["refund"]


def test_a_short_example_comes_before_a_long_one_with_the_same_word() -> None:
    mail = [example("refund " + "for something that is long since gone"), example("refund please"), example("hello")]
    assert chosen(mail, "refund", count=1, select="similar") == ["refund please"]


def test_equally_similar_ones_are_taken_and_shown_in_file_order() -> None:
    mail = [example(f"{other} refund") for other in ("one", "two", "three", "four")]
    assert chosen(mail, "refund", count=3, select="similar") == ["one refund", "two refund", "three refund"]


def test_similar_is_filled_up_in_file_order_where_few_share_a_word() -> None:
    assert chosen(MAIL, "opening an app", count=4, select="similar") == [
        "the card was charged twice",
        "the password is wrong",
        "the app does not start",
        "opening hours?",
    ]
    assert chosen(MAIL, "the card was charged twice", count=5, select="similar")[0] == "opening hours?"


@pytest.mark.parametrize("deciding", ["", "?!", "unheard"])
def test_an_input_without_a_known_word_gets_the_first_ones(deciding: str) -> None:
    assert chosen(MAIL, deciding, count=2, select="similar") == [one.input for one in MAIL[:2]]
    assert chosen([example("…"), example("--")], deciding, count=2, select="similar") == ["…", "--"]


@pytest.mark.parametrize(
    ("deciding", "expected"),
    [
        ({"who": None, "order": {"lines": ["a red hat"]}}, 1),
        ({"who": "Ana", "order": {"lines": []}}, 2),
        ({"who": None, "order": {"lines": [41]}}, 3),
        ({"who": None, "order": {"lines": [7.5]}}, 3),
        ({"who": None, "order": {"lines": [True]}}, 4),
        ({"who": None, "order": {"lines": []}}, 0),
    ],
)
def test_every_value_of_a_mapping_counts_and_no_key_or_null_does(deciding: dict[str, Any], expected: int) -> None:
    orders = [
        example({"who": None, "order": {"lines": ["blue coat"]}}),
        example({"who": None, "order": {"lines": ["red hat", "shirt"]}}),
        example({"who": "Ana", "order": {"lines": ["shoes"]}}),
        example({"who": None, "order": {"lines": [41, 7.5]}}),
        example({"who": None, "order": {"lines": [True]}, "paid": None}),
        example({"who": "none who order lines", "order": {"lines": []}}),
    ]
    assert chosen(orders, deciding, count=1, select="similar") == [orders[expected].input]


def bm25(query: str, documents: Sequence[str]) -> list[float]:
    """BM25 as its formula stands in the literature, computed document by document."""
    split = [re.findall(r"\w+", document.lower()) for document in documents]
    average = sum(map(len, split)) / len(split)
    scores = []
    for words in split:
        score = 0.0
        for word in set(re.findall(r"\w+", query.lower())) & set(words):
            holders = sum(word in other for other in split)
            rarity = math.log(1 + (len(split) - holders + 0.5) / (holders + 0.5))
            times = words.count(word)
            score += rarity * times * 2.2 / (times + 1.2 * (1 - 0.75 + 0.75 * len(words) / average))
        scores.append(score)
    return scores


sentences = st.lists(st.sampled_from(["card", "Card", "lost", "the", "refund", "?"]), min_size=1, max_size=12).map(
    " ".join
)


@given(documents=st.lists(sentences, min_size=1, max_size=8), query=sentences.map("now {}".format))
def test_similar_ranks_by_bm25(documents: list[str], query: str) -> None:
    scores = bm25(query, documents)
    shown = Selector([example(one) for one in documents], FIELDS, count=4, select="similar").choose(query)
    ranked = [scores[documents.index(str(one.input))] for one in shown]
    assert ranked == pytest.approx(sorted(ranked))
    assert ranked == pytest.approx(sorted(scores)[-4:])
