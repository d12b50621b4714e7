"""Data frames of pandas and polars as rows of a dataset."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from typing import Any, Literal
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pydantic import BaseModel

from decider.data.dataset import Dataset
from decider.data.frames import frame_rows, is_frame
from decider.errors import DataError
from decider.task import Task


def values(frame: Any) -> list[Any]:
    return [row.value for row in frame_rows(frame)]


class Triage(BaseModel):
    team: Literal["billing", "login"]
    urgency: Literal[1, 2, 3] | None


class Ticket(BaseModel):
    body: str
    opened: str | None = None


TASK = Task(Triage, name="triage", input=Ticket)
COLUMNS: dict[str, list[Any]] = {
    "body": ["paid twice", "no code"],
    "team": ["billing", "login"],
    "urgency": [3, None],
    "opened": [date(2026, 3, 1), None],
}


@pytest.mark.parametrize("frame", [pd.DataFrame(COLUMNS), pl.DataFrame(COLUMNS)], ids=["pandas", "polars"])
def test_a_frame_is_a_dataset_whose_missing_cells_are_none(frame: Any) -> None:
    rows = Dataset.of(frame, TASK)
    assert [row.input for row in rows] == [
        {"body": "paid twice", "opened": "2026-03-01"},
        {"body": "no code", "opened": None},
    ]
    assert [row.output for row in rows] == [{"team": "billing", "urgency": 3}, {"team": "login", "urgency": None}]


@pytest.mark.parametrize("library", [pd, pl])
def test_a_frame_of_whole_rows_is_one_too(library: Any) -> None:
    frame = library.DataFrame([{"input": {"body": "x"}, "output": {"team": "login", "urgency": 1}, "id": "a"}])
    (row,) = Dataset.of(frame, TASK)
    assert (row.id, row.output) == ("a", {"team": "login", "urgency": 1})


def test_a_column_that_lacks_is_named_with_the_ones_that_are_there() -> None:
    with pytest.raises(DataError, match="has no column 'team'; columns: body, urgency"):
        Dataset.of(pd.DataFrame({"body": ["x"], "urgency": [1]}), TASK)


def test_cells_are_python_values() -> None:
    frame = pd.DataFrame(
        {
            "n": np.array([1, 2]),
            "x": np.array([0.5, np.nan], dtype="float32"),
            "whole": [1.0, None],
            "float": [1.0, 2.0],
            "flag": np.array([True, False]),
            "when": pd.to_datetime(["2026-03-01T10:00", None]),
            "nullable": pd.array([7, None], dtype="Int64"),
            "kind": pd.Categorical(["a", None]),
            "tags": [np.array(["p", "q"]), ("r", np.int64(3))],
            "deep": [{1: np.float64(0.5)}, None],
            "other": [UUID(int=1), None],
            7: ["seven", None],
        }
    )
    first, second = values(frame)
    assert first == {
        "n": 1, "x": 0.5, "whole": 1, "float": 1.0, "flag": True, "when": "2026-03-01T10:00:00", "nullable": 7,
        "kind": "a", "tags": ["p", "q"], "deep": {"1": 0.5}, "other": UUID(int=1), "7": "seven",
    }  # fmt: skip
    assert second == {**dict.fromkeys(first), "n": 2, "float": 2.0, "flag": False, "tags": ["r", 3]}
    assert [type(first[name]) for name in ("n", "x", "whole", "float", "flag")] == [int, float, int, float, bool]


def test_fractions_with_holes_stay_fractions() -> None:
    assert values(pd.DataFrame({"x": [0.5, None, 2.0]})) == [{"x": 0.5}, {"x": None}, {"x": 2.0}]


def test_half_a_character_is_a_bad_row() -> None:
    bad, good = frame_rows(pd.DataFrame({"x": ["\ud800", "a"]}, dtype=object))
    assert (bad.value, bad.problem) == (
        '{"x": "\\ud800"}',
        "holds half a character (a lone surrogate); decode it again",
    )
    assert (good.value, good.problem) == ({"x": "a"}, None)


def test_what_holds_no_rows_yet_or_two_columns_of_one_name_is_refused() -> None:
    with pytest.raises(TypeError, match=r"give its \.collect\(\)"):
        frame_rows(pl.DataFrame(COLUMNS).lazy())  # type: ignore[arg-type]  # as types say, too
    doubled = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(DataError, match="two columns 'a'"):
        frame_rows(doubled)


def test_other_things_are_no_frames_and_nothing_is_imported_to_find_out() -> None:
    class Derived(pd.DataFrame):  # type: ignore[misc]  # pandas has no types here
        pass

    assert is_frame(Derived())
    assert not any(map(is_frame, ([], {}, pd.Series([1]), None)))
    code = "import sys, decider.data.importers; print({'numpy', 'pandas', 'polars', 'pyarrow'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
