"""Ids of rows: each gets one that it keeps, and no two the same; little is remembered of each."""

from __future__ import annotations

from array import array
from dataclasses import replace

from decider.decision import Example
from decider.runtime.log.record import hash_of

LETTERS = 16
"""Of the sha256 of an input, in hexadecimal digits: the id of a row that has none."""

_LEAST = 1024
_BITS = (1 << 64) - 1


class Seen:
    """Texts that came by, of which eight bytes are kept, and some room.

    Of a million texts two different ones are taken for the same with a chance of one in thirty million.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _LEAST))
        self._count = 0

    def add(self, text: str) -> bool:
        """Take in a text, and return whether it is the first time."""
        mark = _mark(text)
        at = _place(self._slots, mark)
        if self._slots[at]:
            return False
        self._slots[at] = mark
        self._count += 1
        if 2 * self._count > len(self._slots):
            self._grow()
        return True

    def __contains__(self, text: str) -> bool:
        return bool(self._slots[_place(self._slots, _mark(text))])

    def _grow(self) -> None:
        slots = array("Q", bytes(16 * len(self._slots)))
        for mark in filter(None, self._slots):
            slots[_place(slots, mark)] = mark
        self._slots = slots


def _mark(text: str) -> int:
    return hash(text) & _BITS or 1


def _place(slots: array[int], mark: int) -> int:
    """Where a mark stands, or would: in the first free slot from its own on."""
    last = len(slots) - 1
    at = mark & last
    while slots[at] and slots[at] != mark:
        at = (at + 1) & last
    return at


class Ids:
    """Gives every row an id of its own: what it says itself, else what its input says.

    The second row with an id gets `-2` behind it, the third `-3`: the same rows in the same order have the same ids.
    """

    def __init__(self) -> None:
        self._seen = Seen()
        self._last: dict[str, int] = {}
        self.repeated = 0
        """How many rows said an id themselves that an earlier one has."""
        self.first: str | None = None
        """The first such id."""

    def named(self, example: Example) -> Example:
        """Return a row with its id."""
        own = None if example.numbered else example.id
        wanted = hash_of(example.input)[:LETTERS] if own is None else own
        name = self._free(wanted)
        if own is not None and name != own:
            self.repeated += 1
            self.first = self.first or own
        return replace(example, id=name, numbered=False)

    def _free(self, wanted: str) -> str:
        if self._seen.add(wanted):
            return wanted
        n = self._last.get(wanted, 1) + 1
        while not self._seen.add(f"{wanted}-{n}"):
            n += 1
        self._last[wanted] = n
        return f"{wanted}-{n}"
