"""Rows that belong together, also through each other."""

from __future__ import annotations

from collections.abc import Iterable


class Joined:
    """Disjoint sets of rows, by union and path halving (Tarjan and van Leeuwen 1984).

    A set is known by the least of its rows. Joining depends on no order: the same pairs give the same sets.
    """

    def __init__(self, rows: Iterable[int]) -> None:
        self._above = {row: row for row in rows}

    def join(self, row: int, other: int) -> None:
        """Put the sets of two rows together."""
        a, b = self.root(row), self.root(other)
        self._above[max(a, b)] = min(a, b)

    def root(self, row: int) -> int:
        """Return the least row of the set that a row is in; raises `KeyError` for a row that is none of these."""
        above = self._above
        while above[row] != row:
            above[row] = above[above[row]]
            row = above[row]
        return row

    def blocks(self) -> dict[int, list[int]]:
        """Return the rows of each set, in the order that they were given in, by the least of them."""
        found: dict[int, list[int]] = {}
        for row in self._above:
            found.setdefault(self.root(row), []).append(row)
        return found
