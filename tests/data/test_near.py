"""Inputs that are the same but for their spelling, and inputs that are nearly the same."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from decider.data.near import THRESHOLD, near, same
from decider.schema import inputs_of

QUESTION = "I still have not received my new card, what should I do?"


def pairs(*texts: Any, **options: Any) -> set[tuple[int, int]]:
    return {(one.first, one.second) for one in near(texts, **options)}


def test_the_same_input_is_found_however_it_is_spelled() -> None:
    assert same(["Lost card", "stolen card", " lost  CARD", "ﬁx it", "fix it", "Lost card!"]) == [0, 1, 0, 3, 3, 5]
    assert same([{"a": "X", "b": 1}, {"b": 1, "a": "x "}, {"a": "x", "b": 2}]) == [0, 0, 2]


@pytest.mark.parametrize(
    "edited",
    [
        "I still haven't received my new card, what should I do?",
        "I still have not recieved my new card, what should I do?",
        "I still have not received my new passport, what should I do?",
        "I have not received my new card, what should I do?",
        "I STILL HAVE NOT RECEIVED MY NEW CARD - WHAT SHOULD I DO",
        "hi, I still have not received my new card, what should I do?",
        "I still have not received my new card, what should I do? Best regards, Maria",
    ],
)
def test_a_small_edit_leaves_a_text_near(edited: str) -> None:
    [one] = near([QUESTION, "Where can I see the exchange rate of today?", edited])
    assert (one.first, one.second) == (0, 2)
    assert THRESHOLD <= one.similarity <= 1


def test_other_texts_of_one_template_are_not_near() -> None:
    assert not pairs("How do I change the address of my account?", "How do I close a card that was stolen in Spain?")


def test_numbers_and_ids_stand_for_each_other_in_texts_long_enough() -> None:
    texts = ["order 17 of may is still missing", "order 4711x of may is still missing"]
    assert near(texts)[0].similarity == 1
    assert not pairs("1 adult", "2 adults", "3 nights 1 adult", "4 nights 2 adults")


def test_short_texts_are_near_only_to_those_with_the_same_words() -> None:
    assert pairs("cancel my card", "Cancel my card!", "cancel my cards", "cancel card", "my", "my?") == {(0, 1), (4, 5)}
    assert not pairs("c++", "c#", "-5", "5", "!", "?", "")


def test_scripts_without_spaces_have_words_as_well() -> None:
    assert pairs("我的银行卡还没有收到请问怎么办", "我的银行卡还没有收到,请问该怎么办", "请问今天的汇率是多少呢") == {
        (0, 1)
    }


def test_rows_with_the_same_input_are_named_by_their_first() -> None:
    edited = QUESTION.replace("card", "cards")
    assert pairs(edited, QUESTION, QUESTION.upper(), edited) == {(0, 1)}


def test_the_most_similar_comes_first_and_a_threshold_leaves_out_the_rest() -> None:
    texts = [QUESTION, QUESTION.replace("new ", ""), QUESTION.replace("what should I do", "what now")]
    found = near(texts, threshold=0.5)
    assert [one.similarity for one in found] == sorted((one.similarity for one in found), reverse=True)
    assert len(near(texts, threshold=0.8)) == 1
    assert len(found) == 3
    for wrong in (0.49, 1.1, -1):
        with pytest.raises(ValueError, match=r"threshold must be in \[0.5, 1\]"):
            near(texts, threshold=wrong)


def test_long_texts_are_compared_by_their_beginning_and_end() -> None:
    words = random.Random(0).choices(["red", "green", "blue", "yellow", "brown", "purple"], k=2000)
    long = " ".join(words)
    assert pairs(long, " ".join([*words[:1000], "orange", *words[1000:]]), " ".join(words[::-1])) >= {(0, 1)}


class Ticket(BaseModel):
    subject: str
    body: str
    product: str
    amount: float
    notes: list[Any]


def ticket(body: str, subject: str = "card", amount: float = 1, notes: Any = ()) -> dict[str, Any]:
    product = "the premium account for companies"
    return {"subject": subject, "body": body, "product": product, "amount": amount, "notes": list(notes)}


def test_only_the_free_text_of_a_mapping_is_compared() -> None:
    other = "Where can I see the exchange rate of today, please?"
    more = [
        "Which currencies can I hold in it?",
        "Is there a fee for a transfer abroad?",
        "Please close my account now.",
    ]
    texts = [QUESTION, QUESTION.replace("new", "old"), other, *more]
    rows = [ticket(text, amount=n) for n, text in enumerate(texts)]
    assert pairs(*rows, fields=inputs_of(Ticket)) == {(0, 1)}
    assert pairs(*rows) == {(0, 1)}


def test_texts_inside_lists_and_mappings_are_compared_too() -> None:
    rows = [ticket("x", notes=[{"by": QUESTION}, 7]), ticket("y", notes=[{"by": QUESTION + " Thanks"}, 8])]
    assert pairs(*rows, fields=inputs_of(Ticket)) == {(0, 1)}


def test_structured_inputs_give_none() -> None:
    assert not near([{"age": n, "job": "nurse"} for n in range(20)])
    assert not near([{"age": 1}, {"job": None}], inputs_of(Ticket))
    assert not near([])


def test_ten_thousand_lines_of_a_template_hide_no_others() -> None:
    lines = [f"connection from host {n} was closed after {n} ms by the peer" for n in range(10_000)]
    found = near([*lines, QUESTION, QUESTION.replace("new", "old")])
    assert len(found) == 10_000
    assert (found[-1].first, found[-1].second) == (10_000, 10_001)


def test_of_rows_that_are_alike_by_the_hundred_each_is_named_and_all_hang_together() -> None:
    draw = random.Random(1)
    names = ["".join(draw.choices("abcdefghijkl", k=7)) for _ in range(600)]
    found = near([f"your order {name} was shipped to the address that you gave us" for name in names])
    assert len(found) < 600 * 12
    roots = list(range(600))
    for one in found:
        a, b = roots[one.first], roots[one.second]
        roots = [a if root == b else root for root in roots]
    assert len(set(roots)) == 1


VOCABULARY = ("card", "lost", "account", "transfer", "pending", "my", "the", "new", "when", "will", "cash")
WORDS = st.lists(st.sampled_from(VOCABULARY), max_size=9)


@settings(max_examples=30, deadline=None)
@given(st.lists(WORDS.map(" ".join), max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(texts: list[str], draw: random.Random) -> None:
    distinct = list(dict.fromkeys(texts))
    shuffled = draw.sample(distinct, len(distinct))

    def named(rows: list[str]) -> set[tuple[frozenset[str], float]]:
        return {(frozenset({rows[one.first], rows[one.second]}), one.similarity) for one in near(rows)}

    assert {one for one in named(distinct) if one[1] < 1} == {one for one in named(shuffled) if one[1] < 1}


def test_progress_is_told_over_more_text_than_is_held_at_once() -> None:
    told: list[tuple[int, int]] = []
    often = "please send me the statement of last month again " * 50
    texts = [f"{often}{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(600)]
    found = near(
        [*texts, *(f"{one} {two}" for one in QUESTION.split() for two in texts[:40])],
        progress=lambda *at: told.append(at),
    )
    assert told[0] == (1000, 600 + 40 * 11)
    assert {one for pair in found for one in (pair.first, pair.second)} >= set(range(600))


def test_without_datasketch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    monkeypatch.delitem(sys.modules, "decider.data.minhash", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'decider-sdk\[data\]'"):
        near([QUESTION, QUESTION + " Thanks"])
