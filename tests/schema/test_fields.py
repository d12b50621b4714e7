"""Every kind of field, from the types that people write."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NewType

import pytest
from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic import BaseModel, Field, create_model, field_validator, model_validator
from typing_extensions import TypeAliasType

from decider.errors import SpecError
from decider.schema import fields_of, fingerprint, has_validators, inputs_of, nest, pick


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Severity(IntEnum):
    HIGH = 3
    LOW = 1


class Team(BaseModel):
    name: Literal["billing", "login"]
    level: Annotated[int, Field(ge=1, le=3)] | None = None


class Item(BaseModel):
    label: str
    amount: float | None


def one(annotation: Any, **info: Any) -> Any:
    """The one field of a model that has nothing else."""
    return fields_of(create_model("One", f=(annotation, Field(**info))))[0]


@pytest.mark.parametrize(
    ("annotation", "kind", "labels"),
    [
        (Literal["a", "b"], "choice", ("a", "b")),
        (Literal["a"] | Literal["b"], "choice", ("a", "b")),
        (Literal["a", "b", None], "choice", ("a", "b", None)),
        (Literal[1, 2], "choice", (1, 2)),
        (Literal[Colour.RED, Colour.BLUE], "choice", ("red", "blue")),
        (Literal["a", "b"] | None, "choice", ("a", "b", None)),
        (Colour, "choice", ("red", "blue")),
        (bool, "bool", (False, True)),
        (bool | None, "bool", (False, True, None)),
        (Severity, "scale", (1, 3)),
        (Annotated[int, Ge(1), Le(3)], "scale", (1, 2, 3)),
        (Annotated[int, Gt(0), Lt(4)], "scale", (1, 2, 3)),
        (NewType("Rank", int), "integer", ()),
        (TypeAliasType("Team", Literal["a", "b"]), "choice", ("a", "b")),
        (list[Literal["a", "b"]], "tags", ("a", "b")),
        (set[Colour], "tags", ("red", "blue")),
        (Sequence[Severity], "tags", (1, 3)),
        (tuple[Literal["a", "b"], ...], "tags", ("a", "b")),
        (str, "text", ()),
        (int, "integer", ()),
        (Annotated[int, Ge(0), Le(100)], "integer", ()),
        (Annotated[int, Ge(0), Le(4), MultipleOf(2)], "integer", ()),
        (float, "number", ()),
        (dt.date, "date", ()),
        (dt.datetime, "other", ()),
        (list[str], "other", ()),
        (list[bool], "other", ()),
        (list[Item], "other", ()),
        (Item | None, "other", ()),
    ],
)
def test_kind_and_labels(annotation: Any, kind: str, labels: tuple[Any, ...]) -> None:
    field = one(annotation)
    assert (field.kind, field.labels) == (kind, labels)
    assert field.closed == bool(labels)


def test_nested_models_become_dotted_paths_with_their_own_names() -> None:
    class Triage(BaseModel):
        team: Team = Field(alias="owner")
        note: str = Field(description="why")

    assert [(field.path, field.description) for field in fields_of(Triage)] == [
        ("team.name", ""),
        ("team.level", ""),
        ("note", "why"),
    ]


def test_options_are_described_by_the_model() -> None:
    field = one(Literal["a", "b"], json_schema_extra={"options": {"a": "the first"}})
    assert [option.description for option in field.options] == ["the first", ""]


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        (Literal["a"], "has 1 option(s): ['a']; a decision needs at least two options"),
        (Literal["a", "A "], "the options 'a' and 'A ' are alike; keep one, or rename the other"),
        (Literal["é", "e\u0301"], "are alike"),
        (Literal[True, 1], "are alike"),
        (Literal["a", " "], "is empty"),
        (Enum("Empty", {}), "has 0 option(s)"),
        (Enum("Real", {"A": 1.5, "B": 2.5}), "of type float; use text or integers"),
        (dict[str, int], "is a dict, whose keys no strict schema can name; use a model with named fields, or tags"),
        (Decimal, "is a Decimal, or a number or text; use float or int"),
        (int | str, "is a union of several types"),
        (Item | Team, "is a union of several types; use one model with Optional fields"),
        (tuple[int, str], "is a tuple or a list of anything"),
        (Any, "may hold anything, which cannot be asked for strictly"),
        (Callable[[], int], "has no JSON schema"),
    ],
)
def test_refused_with_the_field_and_an_alternative(annotation: Any, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        one(annotation)
    assert caught.value.field == "f"
    assert says in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("default", [{"default": 3}, {"default_factory": list}])
def test_a_default_that_would_never_be_used_is_refused(default: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="would never be used.*remove the default, or make the field Optional"):
        one(Any if "default_factory" in default else int, **default)


def test_a_default_inside_an_open_field_is_refused() -> None:
    class Line(BaseModel):
        amount: int = 3

    with pytest.raises(SpecError, match="has the default 3 inside"):
        one(list[Line])


def test_a_nested_model_with_a_default_is_refused() -> None:
    with pytest.raises(SpecError, match="would never be used"):
        one(Team, default=Team(name="login"))


def test_a_model_inside_itself_is_refused() -> None:
    class Node(BaseModel):
        children: list[Node]

    class Loop(BaseModel):
        again: Loop

    with pytest.raises(SpecError, match="the model Node contains itself"):
        fields_of(Node)
    with pytest.raises(SpecError, match="the model Loop contains itself"):
        fields_of(Loop)


def test_a_schema_without_fields_is_refused() -> None:
    with pytest.raises(SpecError, match="has no fields"):
        fields_of(create_model("Nothing"))


def test_descriptions_of_options_that_do_not_exist_are_refused() -> None:
    with pytest.raises(SpecError, match="describes 'c', which is not one of its options"):
        one(Literal["a", "b"], json_schema_extra={"options": {"c": "?"}})


def test_inputs_may_be_of_any_type() -> None:
    class Lead(BaseModel):
        job: Literal["nurse"]
        extra: dict[str, Any]
        age: int | None = None
        team: Team
        member: bool = False

    found = {field.path: (field.kind, field.optional) for field in inputs_of(Lead)}
    assert found == {
        "job": ("choice", False),
        "extra": ("other", False),
        "age": ("integer", True),
        "team.name": ("choice", False),
        "team.level": ("scale", True),
        "member": ("bool", True),
    }


def test_probability_of_a_label_and_of_a_set_of_tags() -> None:
    choice, tags = one(Literal["a", "b"]), one(list[Literal["a", "b"]])
    assert choice.probability("a", {"a": 0.7, "b": 0.3}) == 0.7
    assert tags.probability(["a"], {"a": 0.5, "b": 0.2}) == pytest.approx(0.4)


def test_nest_and_pick_are_each_others_inverse() -> None:
    record = nest({"a.b.c": 1, "a.d": 2, "e": 3})
    assert record == {"a": {"b": {"c": 1}, "d": 2}, "e": 3}
    assert [pick(record, path) for path in ("a.b.c", "a.d", "e")] == [1, 2, 3]
    with pytest.raises(KeyError):
        pick(record, "e.f")


def test_fingerprint_sees_what_a_model_must_match_and_nothing_else() -> None:
    base = fingerprint([one(Literal["a", "b"])])
    assert fingerprint([one(Literal["a", "b"], description="in other words")]) == base
    assert fingerprint([one(Literal["b", "a"])]) != base
    assert fingerprint([one(Literal["a", "b"] | None)]) != base
    assert fingerprint([one(list[Literal["a", "b"]])]) != base


def test_validators_are_seen_wherever_they_stand() -> None:
    class Own(BaseModel):
        f: bool

        @field_validator("f")
        @classmethod
        def check(cls, value: bool) -> bool:
            return value

    class Whole(BaseModel):
        f: bool

        @model_validator(mode="after")
        def check(self) -> Whole:
            return self

    assert has_validators(Own)
    assert has_validators(Whole)
    assert has_validators(create_model("Outer", inner=(Own, ...)))
    tags: Any = list[Literal["a", "b"]]
    assert has_validators(create_model("Bounded", f=(tags, Field(max_length=1))))
    assert not has_validators(create_model("Free", f=(Annotated[int, Ge(1), Le(3)], ...), t=(Team, ...)))


def test_what_is_said_of_a_model_is_said_of_each_of_its_fields() -> None:
    class Where(BaseModel):
        team: Literal["a", "b"] = Field(description="who answers")
        floor: Literal["1", "2"]

    class Routing(BaseModel):
        where: Where = Field(description="where it goes")
        urgent: bool

    assert [field.description for field in fields_of(Routing)] == ["where it goes: who answers", "where it goes", ""]
