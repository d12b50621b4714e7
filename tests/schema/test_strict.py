"""The strict JSON schema: what every strict endpoint takes, and nothing else."""

from __future__ import annotations

import datetime as dt
import unicodedata
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, create_model

from decider.schema import fields_of, strict_schema

ALLOWED = {"type", "properties", "required", "additionalProperties", "items", "enum", "anyOf"}


class Line(BaseModel):
    text: str = Field(min_length=1, pattern="^a")
    kind: Literal["x", "y"] | None = None
    only: Literal["fixed"]


class Team(BaseModel):
    name: Literal["billing", "login"]


class Everything(BaseModel):
    category: Literal["a", "b"] = Field(title="A title")
    maybe: Literal["a", 1] | None = None
    urgent: bool
    scale: Annotated[int, Ge(1), Le(3)]
    tags: list[Literal["p", "q"]] = Field(max_length=1)
    team: Team
    note: str = Field(max_length=100)
    amount: float = Field(ge=0)
    day: dt.date
    at: dt.datetime | None
    lines: list[Line]


def keywords(schema: Any) -> set[str]:
    found: set[str] = set()
    if isinstance(schema, dict):
        for key, value in schema.items():
            found.add(key)
            inner = value.values() if key == "properties" else [value]
            found |= set().union(*(keywords(one) for one in inner))
    if isinstance(schema, list):
        found |= set().union(set(), *(keywords(one) for one in schema if isinstance(one, dict)))
    return found


def objects(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for one in schema for found in objects(one)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("type") == "object" else []
    return own + [found for one in schema.values() for found in objects(one)]


def test_only_keywords_that_a_strict_endpoint_takes() -> None:
    schema = strict_schema(fields_of(Everything))
    assert keywords(schema) <= ALLOWED
    assert len(objects(schema)) == 3
    for one in objects(schema):
        assert one["required"] == list(one["properties"])
        assert one["additionalProperties"] is False
    Draft202012Validator.check_schema(schema)


def test_fields_keep_their_order_and_their_nesting() -> None:
    schema = strict_schema(fields_of(Everything))
    assert list(schema["properties"]) == list(Everything.model_fields)
    assert schema["properties"]["team"]["properties"]["name"] == {"type": "string", "enum": ["billing", "login"]}


def test_optional_is_a_union_with_null_and_mixed_options_have_both_types() -> None:
    schema = strict_schema(fields_of(Everything))
    assert schema["properties"]["maybe"] == {
        "anyOf": [{"type": ["integer", "string"], "enum": ["a", 1]}, {"type": "null"}]
    }


def test_some_of_the_fields_make_a_schema_of_their_own() -> None:
    fields = [field for field in fields_of(Everything) if field.path in ("team.name", "urgent")]
    assert set(strict_schema(fields)["properties"]) == {"team", "urgent"}


def alike(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold().strip()


@given(st.lists(st.text(min_size=1).filter(alike), min_size=2, max_size=6, unique_by=alike))
def test_a_record_of_any_options_fits_the_schema_it_came_from(values: list[str]) -> None:
    options: Any = Literal[tuple(values)]
    validator = Draft202012Validator(strict_schema(fields_of(create_model("M", f=(options, ...)))))
    assert validator.is_valid({"f": values[0]})
    assert not validator.is_valid({"f": values[0] + "?x"})
