"""The choice of few-shot examples, in pure Python."""

from __future__ import annotations

from collections.abc import Sequence

from decider.decision import Example, Input


def choose(examples: Sequence[Example], count: int, deciding: Input) -> tuple[Example, ...]:
    """Return the first `count` examples, never one whose input is the one being decided."""
    return tuple([example for example in examples if example.input != deciding][:count])
