"""What may be spent: the worst case is reserved before each call, and settled when it is known."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from decider.errors import BudgetExceeded, Scope

if TYPE_CHECKING:
    from decider.spec import Limits

_ROUNDING = 1.0 + 1e-9
"""A limit is not exceeded by the rounding of a sum."""


@dataclass(frozen=True, slots=True)
class Spend:
    """Dollars, tokens and calls."""

    usd: float = 0.0
    tokens: int = 0
    calls: int = 0

    def __add__(self, other: Spend) -> Spend:
        return Spend(self.usd + other.usd, self.tokens + other.tokens, self.calls + other.calls)

    def __sub__(self, other: Spend) -> Spend:
        return Spend(self.usd - other.usd, self.tokens - other.tokens, self.calls - other.calls)


class Budget:
    """Limits, and what is spent of them and reserved; safe for threads.

    What is spent and reserved never exceeds the limits, whatever number of callers there is.
    """

    def __init__(self, limits: Limits, scope: Scope) -> None:
        self._limits = limits
        self._scope: Scope = scope
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._spent = Spend()
        self._reserved = Spend()

    @property
    def spent(self) -> Spend:
        """What has been spent, without what is only reserved."""
        return self._spent

    def reserve(self, most: Spend) -> bool:
        """Reserve the worst case of a call; False where that has to wait for others to settle.

        Raises `BudgetExceeded` where it would not fit into what is left even if they all cost nothing.
        """
        if self._pid != os.getpid():  # in a forked child nobody settles what its parent's threads have reserved
            self._pid, self._lock, self._reserved = os.getpid(), threading.Lock(), Spend()
        with self._lock:
            self._refuse(self._spent + most, most)
            if self._beyond(self._spent + self._reserved + most) is not None:
                return False
            self._reserved += most
            return True

    def settle(self, reserved: Spend, used: Spend) -> None:
        """Turn what was reserved into what was used."""
        with self._lock:
            self._reserved -= reserved
            self._spent += used

    def _refuse(self, all_of_it: Spend, most: Spend) -> None:
        name = self._beyond(all_of_it)
        if name is None:
            return
        limit, spent, next_one = (getattr(one, name) for one in (self._limits, self._spent, most))
        key = f"budget.{self._scope}.{name}"
        said = f"{key} is {limit:g}; {spent:g} is spent, and the next call may take {next_one:g}"
        raise BudgetExceeded(said, scope=self._scope, key=key, limit=limit)

    def _beyond(self, spend: Spend) -> str | None:
        """The first limit that `spend` is beyond."""
        for one in fields(spend):
            limit = getattr(self._limits, one.name)
            if limit is not None and getattr(spend, one.name) > limit * _ROUNDING:
                return one.name
        return None
