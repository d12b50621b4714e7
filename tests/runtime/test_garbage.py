"""How much garbage comes together while a batch is under way."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from decider.runtime.garbage import YOUNG, fewer_collections


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("decider.runtime.garbage._before", [])  # another test may have left a batch half taken
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_the_last_to_end_puts_things_back() -> None:
    with fewer_collections():
        assert gc.get_threshold() == (YOUNG, 10, 10)
        with pytest.raises(KeyError), fewer_collections():
            raise KeyError
        assert gc.get_threshold() == (YOUNG, 10, 10)
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("own", [(50_000, 10, 10), (0, 10, 10)])
def test_what_the_program_set_stays(own: tuple[int, int, int]) -> None:
    gc.set_threshold(*own)
    with fewer_collections():
        assert gc.get_threshold() == own
    assert gc.get_threshold() == own


def test_what_the_program_sets_meanwhile_stays() -> None:
    with fewer_collections():
        gc.set_threshold(20_000, 5, 5)
    assert gc.get_threshold() == (20_000, 5, 5)
