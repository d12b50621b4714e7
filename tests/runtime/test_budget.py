"""What may be spent, by any number of callers."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from decider.errors import BudgetExceeded
from decider.runtime.budget import Budget, Spend
from decider.spec import Limits

CALL = Spend(calls=1)


def limits_of(**said: Any) -> Limits:
    return Limits.model_validate(said)


def test_each_limit_is_kept_and_named() -> None:
    cases: list[tuple[dict[str, Any], Spend, str]] = [
        ({"usd": 1.0}, Spend(usd=0.6), r"budget\.run\.usd is 1; 0\.6 is spent, and the next call may take 0\.6"),
        ({"tokens": 100}, Spend(tokens=60), r"budget\.run\.tokens is 100; 60 is spent"),
        ({"calls": 1}, CALL, r"budget\.run\.calls is 1; 1 is spent, and the next call may take 1"),
    ]
    for limits, most, says in cases:
        budget = Budget(limits_of(**limits), "run")
        assert budget.reserve(most)
        budget.settle(most, most)
        with pytest.raises(BudgetExceeded, match=says) as caught:
            budget.reserve(most)
        assert caught.value.scope == "run"
        assert budget.spent == most


def test_what_is_reserved_has_to_be_settled_first() -> None:
    budget = Budget(limits_of(tokens=100), "decision")
    most = Spend(tokens=80, calls=1)
    assert budget.reserve(most)
    assert not budget.reserve(most)
    budget.settle(most, Spend(tokens=10, calls=1))
    assert budget.reserve(most)
    budget.settle(most, Spend())
    assert budget.spent == Spend(tokens=10, calls=1)


def test_rounding_is_no_overspending() -> None:
    budget = Budget(limits_of(usd=0.3), "run")
    for _ in range(3):
        assert budget.reserve(Spend(usd=0.1))
        budget.settle(Spend(usd=0.1), Spend(usd=0.1))
    with pytest.raises(BudgetExceeded):
        budget.reserve(Spend(usd=0.1))


def test_64_workers_never_exceed_it() -> None:
    budget = Budget(limits_of(calls=1000, tokens=40_000), "run")

    def work(seed: int) -> int:
        chance, made = random.Random(seed), 0
        most = Spend(tokens=50, calls=1)
        while True:
            try:
                if not budget.reserve(most):
                    continue
            except BudgetExceeded:
                return made
            made += 1
            budget.settle(most, Spend(tokens=chance.randrange(51), calls=1))

    with ThreadPoolExecutor(64) as pool:
        made = sum(pool.map(work, range(64)))
    assert made == budget.spent.calls <= 1000
    assert budget.spent.tokens <= 40_000


def test_a_forked_child_does_not_wait_for_what_its_parent_has_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(limits_of(calls=2), "run")
    assert budget.reserve(CALL)
    assert budget.reserve(CALL)
    assert not budget.reserve(CALL)
    monkeypatch.setattr("os.getpid", lambda: 1)
    assert budget.reserve(CALL)
