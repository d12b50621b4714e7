"""The vote of several answers to the same question, and how far they agree: a probability with that as its source.

How often a model gives the same answer when it is asked again says how sure it is, as far as it can be made to say
that (self-consistency: Wang et al., 2023). It is not calibrated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from decider.decision import Distribution
from decider.schema import Field

Answer = Mapping[str, Any]
"""One answer: the value of each field by path."""


def distributions(answers: Sequence[Answer], fields: Sequence[Field]) -> dict[str, Distribution]:
    """Return, by path, the share of the answers that gave each label of a closed field (of tags: that had the tag)."""
    return {field.path: _shares(field, [answer[field.path] for answer in answers]) for field in fields if field.closed}


def candidates(answers: Sequence[Answer], fields: Sequence[Field]) -> Iterator[Answer]:
    """Yield the records that the vote may choose, best first.

    The first takes the most frequent value of every closed field. Such a mixture may break a rule of the schema, so the
    answers themselves follow, those that agree most with the others first. Open fields are taken from one answer whole.
    """
    keys = {field.path: Counter(_key(answer[field.path]) for answer in answers) for field in fields if field.closed}

    def agreement(answer: Answer) -> int:
        return sum(counted[_key(answer[path])] for path, counted in keys.items())

    ranked = sorted(answers, key=agreement, reverse=True)
    mixed = {path: counted.most_common(1)[0][0] for path, counted in keys.items()}
    values = {path: {_key(answer[path]): answer[path] for answer in answers} for path in keys}
    yield {**ranked[0], **{path: values[path][key] for path, key in mixed.items()}}
    yield from ranked


def _shares(field: Field, given: Sequence[Any]) -> Distribution:
    if field.kind == "tags":
        return {label: sum(label in (one or ()) for one in given) / len(given) for label in field.labels}
    counted = Counter(_key(one) for one in given)
    return {label: counted[_key(label)] / len(given) for label in field.labels}


def _key(value: Any) -> bytes:
    """A value as it is counted: true is not 1."""
    return to_json(value)
