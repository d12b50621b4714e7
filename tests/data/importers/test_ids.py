"""Ids: one for every row, the same at every import, and none twice."""

from __future__ import annotations

import hashlib
from typing import Any

from decider.data.importers.ids import Ids, Seen
from decider.decision import Example


def example(text: str, id: str | None = None) -> Example:
    return Example(input={"body": text}, output={}, id=id or "7", numbered=id is None)


def named(*rows: Example) -> tuple[list[Any], Ids]:
    ids = Ids()
    return [ids.named(row).id for row in rows], ids


def test_a_row_without_an_id_is_called_by_its_input() -> None:
    found, _ = named(example("a"), example("b"))
    assert found[0] == hashlib.sha256(b'{"body":"a"}').hexdigest()[:16]
    assert found[1] != found[0]


def test_the_same_input_again_gets_a_number_behind_it_each_time_the_same() -> None:
    rows = [example("a"), example("a"), example("b"), example("a")]
    found, ids = named(*rows)
    assert found[1:] == [f"{found[0]}-2", found[2], f"{found[0]}-3"]
    assert named(*rows)[0] == found
    assert (ids.repeated, ids.first) == (0, None)


def test_an_id_of_its_own_stays_unless_another_row_has_it() -> None:
    found, ids = named(example("a", "1"), example("b", "1"), example("c", "1-2"), example("d", "1"), example("e", "2"))
    assert found == ["1", "1-2", "1-2-2", "1-3", "2"]
    assert (ids.repeated, ids.first) == (3, "1")
    assert named(example("a", "1-2"), example("b", "1"), example("c", "1"))[0] == ["1-2", "1", "1-3"]
    assert Ids().named(example("a", "1")).numbered is False


def test_many_texts_are_remembered_and_no_others() -> None:
    seen = Seen()
    assert all(seen.add(f"text {n}") for n in range(5000))
    assert not any(seen.add(f"text {n}") for n in range(5000))
    assert "text 4999" in seen
    assert "text 5000" not in seen
