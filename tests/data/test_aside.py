"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from decider.data.aside import is_same, refuse_unwritable, written
from decider.errors import DataError


def test_a_file_takes_its_place_when_all_of_it_is_there(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    out.write_text("old")
    with written(out) as file:
        file.write(b"new")
        assert out.read_text() == "old"
    assert out.read_text() == "new"
    assert list(tmp_path.iterdir()) == [out]


def test_nothing_stays_of_a_block_that_fails(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    with pytest.raises(TypeError), written(out) as file:
        file.write("new")  # type: ignore[call-overload]  # what fails in the middle
    assert not list(tmp_path.iterdir())


def test_what_the_system_refuses_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written"), written(tmp_path / "no" / "rows.jsonl"):
        pass


def test_what_the_system_refuses_of_another_file_is_not_said_of_this_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"source\.csv"), written(tmp_path / "rows.jsonl"):
        (tmp_path / "source.csv").read_bytes()
    assert not list(tmp_path.iterdir())


def test_a_file_is_the_same_by_another_name(tmp_path: Path) -> None:
    rows, link = tmp_path / "rows.jsonl", tmp_path / "link.jsonl"
    assert not is_same(rows, rows)
    rows.touch()
    link.symlink_to(rows)
    assert is_same(link, rows)
    assert not is_same(tmp_path / "new.jsonl", rows)


def test_a_place_that_cannot_be_written_is_refused_before(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        refuse_unwritable(tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        refuse_unwritable(tmp_path / "no" / "rows.jsonl")
    refuse_unwritable(tmp_path / "rows.jsonl")


def test_a_folder_that_forbids_writing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write anywhere
    with pytest.raises(DataError, match="nothing can be written into"):
        refuse_unwritable(tmp_path / "rows.jsonl")
