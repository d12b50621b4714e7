"""One call for all who ask the same at the same time."""

from __future__ import annotations

import os

import pytest

from decider.runtime.flight import Flights


def test_who_comes_first_lands_for_all() -> None:
    flights = Flights()
    assert flights.board("a") is None
    later = flights.board("a")
    assert later is not None
    assert flights.board("b") is None
    flights.land("a", "{}")
    assert later.result(0) == "{}"
    assert flights.board("a") is None
    flights.land("unknown", None)


def test_a_forked_child_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    flights = Flights()
    flights.board("a")
    child = os.fork()
    if child == 0:  # pragma: no cover
        os._exit(0 if flights.board("a") is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert flights.board("a") is not None
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert flights.board("a") is None
