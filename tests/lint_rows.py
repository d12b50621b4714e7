"""What tests of the lint of texts and labels share: rows of a task, as its checks look at them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from decider.assess.lint.finding import Finding, Rows
from decider.decision import Example, Input
from decider.task import Task


def rows_of(task: Task[Any], pairs: Iterable[tuple[Input, Mapping[str, Any]]], **about: Iterable[str | None]) -> Rows:
    """Inputs with their outputs as checked rows of a task, numbered from 1; `about` has a value for each row."""
    given = list(pairs)
    columns = {name: list(values) for name, values in about.items()}
    examples = tuple(
        Example(
            input=task.encode(value),
            output=task.validate(output).model_dump(mode="json"),
            id=str(n + 1),
            numbered=True,
            **{name: values[n] for name, values in columns.items()},
        )
        for n, (value, output) in enumerate(given)
    )
    first: dict[str, int] = {}
    same = [first.setdefault(repr(example.input), n) for n, example in enumerate(examples)]
    return Rows(task=task, examples=examples, same=same)


def codes(findings: Iterable[Finding]) -> list[tuple[str, str, str | None]]:
    """The code, severity and field of findings."""
    return [(one.code, one.severity, one.field) for one in findings]
