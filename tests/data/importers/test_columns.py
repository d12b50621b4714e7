"""Which column stands for which field: as named, as tools name them, and what lacks."""

from __future__ import annotations

from typing import Any

import pytest

from decider.data.flat import columns_of
from decider.data.importers.columns import chosen, fits, guessed, refuse_lacking
from decider.errors import DataError
from decider.spec import Columns
from decider.task import Task
from sources import task

NONE = Columns()


def test_fields_without_a_named_column_are_called_by_their_paths() -> None:
    one = task(data={"columns": {"input": "message", "output": {"routing.team": "queue"}}})
    assert columns_of(one, one.spec.data.columns) == (
        {"body": "message", "lang": "lang"},
        {"routing.team": "queue", "vip": "vip"},
    )
    assert columns_of(task(input=None), NONE)[0] == {"text": "text"}


def test_flags_take_the_place_of_what_the_spec_says_one_by_one() -> None:
    said: dict[str, Any] = {"columns": {"input": {"body": "message"}, "output": {"routing.team": "queue"}, "id": "nr"}}
    found = chosen(task(data=said), inputs=["lang=language"], outputs=["vip=important"])
    assert found == Columns(
        input={"body": "message", "lang": "language"}, output={"routing.team": "queue", "vip": "important"}, id="nr"
    )
    assert chosen(task(data=said)) == Columns(**said["columns"])
    assert chosen(task(), id="key") == Columns(id="key")
    assert chosen(task()) is None


@pytest.mark.parametrize(
    ("inputs", "found"),
    [(["subject"], {"body": "subject"}), (["a=b"], {"body": "a=b"}), (["body=a=b"], {"body": "a=b"})],
)
def test_a_column_alone_is_that_of_the_one_text(inputs: list[str], found: dict[str, str]) -> None:
    chosen_columns = chosen(task(), inputs=inputs)
    assert chosen_columns is not None
    assert chosen_columns.input == found


def test_a_path_that_is_none_is_refused_with_what_is_meant() -> None:
    with pytest.raises(DataError, match=r"'vipp=x' names no column of a field; did you mean vip=COLUMN\?"):
        chosen(task(), outputs=["vipp=x"])
    with pytest.raises(DataError, match=r"write PATH=COLUMN; paths are routing\.team, vip"):
        chosen(task(), outputs=["queue"])
    two = task(input={"a": "text", "b": "text"})
    with pytest.raises(DataError, match="'subject' names no column"):
        chosen(two, inputs=["subject"])
    with pytest.raises(DataError, match="'' names no column"):
        chosen(task(), inputs=[""])


def test_names_that_tools_give_are_understood() -> None:
    assert guessed(["text", "label"], task(), NONE) == Columns(
        input={"body": "text", "lang": "lang"}, output={"routing.team": "label"}
    )
    assert guessed(["text", "label", "label_text"], task(), NONE).output == {"routing.team": "label_text"}
    assert guessed(["body", "text", "label", "routing.team"], task(), NONE) is NONE
    one: Task[Any] = task(input=None, fields={"vip": {"type": "bool", "optional": True}})
    assert guessed(["text", "label"], one, NONE).output == {"vip": "label"}


def test_a_label_is_no_text_and_no_one_of_several() -> None:
    assert guessed(["body", "label"], task(fields={"summary": "text"}), NONE) is NONE
    assert guessed(["body", "label"], task(fields={"a": "bool", "b": "bool"}), NONE) is NONE
    assert guessed(["text", "routing.team"], task(input={"a": "text", "b": "text"}), NONE) is NONE


def test_columns_named_by_their_part_of_the_row_are_meant_before_any_other() -> None:
    one = task(input={"source": "text", "lang": {"type": "text", "optional": True}})
    found = guessed(["source", "input.source", "output.routing.team"], one, NONE)
    assert columns_of(one, found)[0]["source"] == "input.source"
    assert found.output == {"routing.team": "output.routing.team"}
    named = Columns(input={"source": "other"})
    assert guessed(["other", "input.source", "routing.team"], one, named) is named


def test_a_row_fits_that_has_an_input_and_an_output() -> None:
    assert fits(["lang", "vip"], task(), NONE)
    assert not fits(["body"], task(), NONE)
    assert not fits(["vip"], task(), NONE)


def test_a_column_may_stand_inside_an_object() -> None:
    assert fits({"body", "routing"}, task(), NONE)
    refuse_lacking(["body", "routing"], task(), NONE, None)
    assert guessed(["routing", "text", "label"], task(), NONE).output == {}


def test_columns_that_must_be_there_are_asked_for() -> None:
    refuse_lacking(["body", "routing.team"], task(), NONE, "a.csv")
    with pytest.raises(DataError) as caught:
        refuse_lacking(["x"], task(), Columns(output={"vip": "important"}), "a.csv")
    assert str(caught.value) == (
        "a.csv: has no column 'body', 'routing.team', 'important'; it has x; name those to read instead, with "
        "--input body=COLUMN --output routing.team=COLUMN --output vip=COLUMN or as data.columns in the spec"
    )
    with pytest.raises(DataError, match="with --input/--output PATH=COLUMN or as data.columns"):
        refuse_lacking(["x"], task(input={"a": "text", "b": "text", "c": "text"}), NONE, "a.csv")
    for one, columns in (
        (task(), Columns(id="nr")),
        (task(data={"group": "nr"}), NONE),
        (task(data={"time": "nr"}), NONE),
    ):
        with pytest.raises(DataError, match="has no column 'nr'; it has body, routing.team"):
            refuse_lacking(["body", "routing.team"], one, columns, None)
