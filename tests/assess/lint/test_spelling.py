"""Which label is meant: only what is beyond doubt is written in place of a label, whatever is like it is suggested."""

from __future__ import annotations

from typing import Any

import pytest

from decider.assess.lint.spelling import meant, nearest, replaced, unknown
from decider.schema import Field, Label, Option


def field(*labels: Label, kind: Any = "choice", optional: bool = False) -> Field:
    return Field(path="f", kind=kind, options=tuple(Option(value=label) for label in labels), optional=optional)


TEAM = field("billing", "technical_support", "card_arrival_2", "employee")


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("Billing", "billing"),
        (" billing. ", "billing"),
        ("ｂｉｌｌｉｎｇ", "billing"),
        ("Technical Support", "technical_support"),
        ("technical-support", "technical_support"),
        ("Card Arrival 2", "card_arrival_2"),
        ("biling", "billing"),
        ("billling", "billing"),
        ("billings", "billing"),
        ("bililng", "billing"),
        ("tehcnical support", "technical_support"),
    ],
)
def test_another_spelling_is_the_label(value: str, label: str) -> None:
    assert meant(value, TEAM) == (label,)
    assert nearest(value, TEAM) == (label,)


@pytest.mark.parametrize(
    "value", ["employer", "card arrival 3", "card arrival", "rebilling", "bill", "sales", 3, None, ["billing"]]
)
def test_what_may_be_another_word_is_not(value: Any) -> None:
    assert meant(value, TEAM) == ()


def test_two_labels_that_could_be_meant_are_none() -> None:
    assert meant("cards", field("card s", "card-s")) == ()
    assert meant("CARDS", field("cards", "Cards")) == ()
    assert meant("orders", field("order", "ordersx")) == ()


@pytest.mark.parametrize(
    ("value", "label"), [("yes", True), ("No", False), ("TRUE", True), ("n", False), (1, True), (0.0, False)]
)
def test_words_for_true_and_false_are_them(value: Any, label: bool) -> None:
    assert meant(value, field(True, False, kind="bool")) == (label,)


@pytest.mark.parametrize("value", ["", "None", "n/a", "NULL", "-"])
def test_words_for_nothing_are_null_where_that_is_allowed(value: str) -> None:
    assert meant(value, field("a", "b", optional=True)) == (None,)
    assert meant(value, field("a", "b")) == ()


def test_a_label_that_is_called_none_is_not_null() -> None:
    assert meant("None", field("none", "b", optional=True)) == ("none",)


def test_numbers_as_text_are_levels() -> None:
    assert meant("3", field(1, 2, 3, kind="scale")) == (3,)
    assert meant(3.0, field(1, 2, 3, kind="scale")) == (3,)
    assert meant(2.5, field(1, 2, 3, kind="scale")) == ()


def test_the_nearest_label_is_a_suggestion_only() -> None:
    assert nearest("employer", TEAM) == ("employee",)
    assert nearest("sales", TEAM) == ()
    assert nearest(4, TEAM) == ()


def test_parts_of_tags_are_told_and_replaced_each() -> None:
    tags = field("vip", "late", kind="tags")
    assert unknown(["vip", "VIP", ["x"], 3], tags) == {1: "VIP", 2: ["x"], 3: 3}
    assert unknown("vip", tags) == {}
    assert replaced(["late", "VIP", "vip"], {1: "vip"}) == ["late", "vip"]
    assert replaced("Billing", {0: "billing"}) == "billing"
    assert replaced("Billing", {}) == "Billing"


def test_true_is_not_the_level_one() -> None:
    assert unknown(True, field(1, 2, kind="scale")) == {0: True}
