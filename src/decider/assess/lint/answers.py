"""The labels of a dataset, as the checks count and show them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from decider.assess.lint.finding import Rows, more
from decider.schema import Field, Label, pick

_MOST_SHOWN = 10


def each_label(field: Field, output: Mapping[str, Any]) -> Sequence[Label]:
    """Return the labels that an output has in a closed field: one, or any number of tags."""
    value = pick(output, field.path)
    return (value or ()) if field.kind == "tags" else (value,)


def rows_by_label(rows: Rows, field: Field) -> Mapping[Label, Sequence[int]]:
    """Return the numbers of the rows of each label of a closed field; a label without rows has none."""
    found: dict[Label, list[int]] = defaultdict(list, {label: [] for label in field.labels})
    for n, example in enumerate(rows.examples):
        for label in each_label(field, example.output):
            found[label].append(n)
    return found


def counted_labels(rows: Rows, field: Field, numbers: Iterable[int]) -> Counter[Label]:
    """Return how many of some rows have each label of a closed field."""
    return Counter(label for n in numbers for label in set(each_label(field, rows.examples[n].output)))


def listed(labels: Sequence[str]) -> str:
    """Return labels, or what else has names, as a message lists them: the first ten of more."""
    return ", ".join(labels[:_MOST_SHOWN]) + more(len(labels) - _MOST_SHOWN)
