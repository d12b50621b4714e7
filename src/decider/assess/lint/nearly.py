"""Nearly the same inputs: where their labels differ, and where they do not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from decider.assess.lint.finding import Finding, Rows, Severity, counted
from decider.assess.lint.given import Given, compared, value_key
from decider.data.joined import Joined
from decider.data.near import Near
from decider.schema import Field

_MOST_TOGETHER = 12
"""The most inputs that are looked at as one: a longer chain of likenesses has little in common at its ends."""
_LIKELY = 0.5
"""Certainty from which a near contradiction is a warning: below it, a word that differs often explains the labels."""
_TELLING = 0.5
"""How often labels of near inputs may differ, against those of any two rows, for a difference to be a mistake.

Measured on eight datasets: 0.1 to 0.4 where the text decides the label, 0.7 and more where a detail of it does, as in
logs, or something that is not in it.
"""
_IF_DETAILS = 0.49
"""What is left of a certainty where details decide: it stands behind what is said of the field as a whole."""
_ENOUGH_PAIRS = 20
"""Pairs that it takes to tell how often the labels of near inputs differ."""


def near_contradictions(rows: Rows) -> Iterator[Finding]:
    """Find nearly identical inputs with different labels, per field.

    Where these differ in a field nearly as often as any two rows do, a detail decides it: that is said, and each is no
    more than a note.
    """
    clusters = rows.clusters()
    together = components(rows.near)
    for field in compared(rows.task):
        keys = {
            n: {value_key(field, rows.examples[m]) for m in clusters[n]} for group in together for n in group.inputs
        }
        differing = {pair for pair in rows.near if len(keys[pair.first] | keys[pair.second]) > 1}
        share = len(differing) / max(1, len(rows.near))
        by_details = len(rows.near) >= _ENOUGH_PAIRS and share > _TELLING * (anywhere := _differing(rows, field))
        if by_details:
            yield _by_details(rows, field, differing, anywhere)
        for group in together:
            for inputs, similarity in _looked_at(group, [pair for pair in group.pairs if pair in differing]):
                given = Given.of(rows, field, sorted(m for n in inputs for m in clusters[n]))
                certainty = similarity**2 * (0.5 + 0.5 * given.share) * (_IF_DETAILS if by_details else 1.0)
                severity: Severity = "warning" if certainty >= _LIKELY else "note"
                yield given.finding("near-contradiction", severity, likeness(similarity), certainty)


def near_duplicates(rows: Rows) -> Iterator[Finding]:
    """Find nearly identical inputs with the same labels, all that belong together in one finding."""
    clusters = rows.clusters()
    fields = compared(rows.task)
    answers: dict[int, set[tuple[str, ...]]] = {}
    for n in {n for pair in rows.near for n in (pair.first, pair.second)}:
        answers[n] = {tuple(value_key(field, rows.examples[m]) for field in fields) for m in clusters[n]}
    agreeing = [pair for pair in rows.near if len(answers[pair.first] | answers[pair.second]) == 1]
    for group in components(agreeing):
        members = sorted(m for n in group.inputs for m in clusters[n])
        most, least = group.pairs[0].similarity, group.pairs[-1].similarity
        alike = f"{most:.2f}" if most == least else f"{least:.2f} to {most:.2f}"
        yield Finding(
            code="near-duplicate",
            severity="note",
            rows=rows.ids(members),
            message=f"{counted(len(members), 'row')} have nearly the same input ({alike}) and the same labels",
            suggestion="keep one, or leave them: data split puts them on one side",
            certainty=most,
        )


def likeness(similarity: float) -> str:
    """How a message calls inputs that are so similar."""
    if similarity == 1:
        return "the same input but for numbers and marks"
    return f"nearly the same input ({similarity:.2f})"


def _by_details(rows: Rows, field: Field, differing: set[Near], anywhere: float) -> Finding:
    first = sorted(differing, key=lambda pair: (-pair.similarity, pair.first, pair.second))
    share = len(differing) / len(rows.near)
    return Finding(
        code="near-contradiction",
        severity="note",
        rows=rows.ids(list(dict.fromkeys(n for pair in first for n in (pair.first, pair.second)))),
        field=field.path,
        message=f"{counted(len(rows.near), 'pair')} have nearly the same input, and {share:.0%} of them differ;"
        f" of any two rows {anywhere:.0%}: details decide this field, or something that is not in the input",
        suggestion="look at some of these pairs; if nothing in them explains the labels, add the input that does",
        certainty=_LIKELY,
    )


def _differing(rows: Rows, field: Field) -> float:
    """How often two rows differ in a field."""
    counts = Counter(value_key(field, one) for one in rows.examples)
    return 1 - sum((count / len(rows.examples)) ** 2 for count in counts.values())


@dataclass(frozen=True, slots=True)
class Component:
    """Inputs that are nearly the same, each as some other of them, and the pairs of them, the most similar first."""

    inputs: tuple[int, ...]
    pairs: tuple[Near, ...]


def components(pairs: Sequence[Near]) -> list[Component]:
    """Put pairs together that share an input, in the order of their first inputs."""
    joined = Joined(sorted({n for pair in pairs for n in (pair.first, pair.second)}))
    for pair in pairs:
        joined.join(pair.first, pair.second)
    within: dict[int, list[Near]] = defaultdict(list)
    for pair in pairs:
        within[joined.root(pair.first)].append(pair)
    return [Component(tuple(members), tuple(within[root])) for root, members in joined.blocks().items()]


def _looked_at(group: Component, differing: Sequence[Near]) -> Iterator[tuple[list[int], float]]:
    """Inputs to look at together, with the highest similarity of two that differ.

    These are all of a small group; of a large one, each time an input that differs from most others, and those others.
    """
    if not differing:
        return
    if len(group.inputs) <= _MOST_TOGETHER:
        yield list(group.inputs), differing[0].similarity
        return
    against: dict[int, list[Near]] = defaultdict(list)
    for pair in differing:
        against[pair.first].append(pair)
        against[pair.second].append(pair)
    around = _around(group.pairs)
    named: set[int] = set()
    for n, pairs in sorted(against.items(), key=lambda one: (-len(one[1]), one[0])):
        if n not in named:
            others = [pair.second if pair.first == n else pair.first for pair in pairs]
            together = list(dict.fromkeys([n, *others, *around[n]]))[: max(_MOST_TOGETHER, len(others) + 1)]
            named.update(together)
            yield sorted(together), pairs[0].similarity


def _around(pairs: Sequence[Near]) -> Mapping[int, Sequence[int]]:
    """The inputs that each is near to, the most similar first."""
    found: dict[int, list[int]] = defaultdict(list)
    for pair in pairs:
        found[pair.first].append(pair.second)
        found[pair.second].append(pair.first)
    return found
