"""The labels that rows with one input were given: which, how often, and which of them is probably right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from pydantic_core import to_json

from decider.assess.lint.finding import Finding, Rows, Severity, counted, more, shown
from decider.decision import Example
from decider.schema import Field, pick
from decider.task import Task

CHECKED = frozenset({"corrected", "confirmed"})
"""Sources of an output that somebody looked at."""

_MOST_VALUES = 4

K = TypeVar("K", bound=Hashable)


def is_checked(example: Example) -> bool:
    """Whether somebody looked at the output of a row."""
    return example.by is not None or example.source in CHECKED


def compared(task: Task[Any]) -> tuple[Field, ...]:
    """The fields that can contradict: two open texts, or lists of such, may both be right."""
    return tuple(field for field in task.fields if field.kind not in ("text", "other"))


def value_key(field: Field, example: Example) -> str:
    """What two equal values of a field have in common; tags are a set."""
    value = pick(example.output, field.path)
    if field.kind == "tags" and value is not None:
        value = sorted(set(value), key=str)
    return to_json(value).decode()


def grouped(numbers: Iterable[int], key: Callable[[int], K]) -> dict[K, list[int]]:
    """Numbers of rows by what `key` says of them, in their order."""
    found: dict[K, list[int]] = defaultdict(list)
    for n in numbers:
        found[key(n)].append(n)
    return dict(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What rows have for one field: by value, the most frequent first, the numbers of its rows."""

    rows: Rows
    field: Field
    by_value: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, rows: Rows, field: Field, members: Iterable[int]) -> Given:
        """Look at what some rows have."""
        found = grouped(members, lambda n: value_key(field, rows.examples[n]))
        return cls(rows=rows, field=field, by_value=dict(sorted(found.items(), key=lambda one: -len(one[1]))))

    @property
    def differ(self) -> bool:
        """Whether there is more than one value."""
        return len(self.by_value) > 1

    @property
    def checked(self) -> tuple[str, ...]:
        """The values of rows that somebody checked."""
        examples = self.rows.examples
        return tuple(key for key, numbers in self.by_value.items() if any(is_checked(examples[n]) for n in numbers))

    @property
    def right(self) -> str | None:
        """The value that is probably right: the one that was checked, else that of the majority; None in a tie."""
        if self.checked:
            return self.checked[0] if len(self.checked) == 1 else None
        first, second, *_ = self.by_value
        return first if len(self.by_value[first]) > len(self.by_value[second]) else None

    @property
    def share(self) -> float:
        """The share of the most frequent value."""
        counts = [len(numbers) for numbers in self.by_value.values()]
        return max(counts) / sum(counts)

    def value(self, key: str) -> Any:
        """A value, as the first of its rows has it."""
        return pick(self.rows.examples[self.by_value[key][0]].output, self.field.path)

    def finding(
        self, code: str, severity: Severity, what: str, certainty: float, suggestion: str | None = None
    ) -> Finding:
        """Say that rows with `what` have different values; those that are probably wrong stand in front.

        `suggestion` stands in place of the value that is probably right, where there may be no such.
        """
        right = self.right
        others = [n for key, numbers in reversed(dict(self.by_value).items()) if key != right for n in numbers]
        return Finding(
            code=code,
            severity=severity,
            rows=self.rows.ids([*others, *(self.by_value[right] if right is not None else ())]),
            field=self.field.path,
            message=f"{what} has {self._values()}",
            suggestion=suggestion or self._suggestion(right),
            certainty=certainty,
            suggested=None if suggestion or right is None else self.value(right),
        )

    def _values(self) -> str:
        named = [self._one(key, numbers) for key, numbers in islice(self.by_value.items(), _MOST_VALUES)]
        return f"{len(self.by_value)} labels: {', '.join(named)}{more(len(self.by_value) - _MOST_VALUES)}"

    def _one(self, key: str, numbers: Sequence[int]) -> str:
        """Such as `"sales" in 1 row (t-17)`."""
        example = self.rows.id(numbers[0]) if len(numbers) == 1 else f"{self.rows.id(numbers[0])}, …"
        return f"{shown(self.value(key))} in {counted(len(numbers), 'row')} ({example})"

    def _suggestion(self, right: str | None) -> str:
        if right is None:
            return "decide which of them is right, and give it to all"
        why = ", which somebody checked" if self.checked else " if the majority is right"
        return f"give all of them {shown(self.value(right))}{why}"
