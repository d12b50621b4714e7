"""Labels that stand in the input that they are to be decided from."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from decider.assess.lint.answers import each_label
from decider.assess.lint.columns import Column, categories_of, words_of
from decider.assess.lint.finding import Finding, Rows, shown
from decider.schema import Field, Label

_FEWEST = 10
"""Rows of a label, or with a key, below which nothing is said."""
_RIGHT = 0.9
"""How often a label that is named is the right one, at least."""
_TOLD = 0.9
"""How many of the rows of a label name it, at least."""
_WHOLE_FIELD = 0.8
"""How many of all rows name their label, where it is the dataset that gives it away and not a telling word."""
_MOST_SHOWN = 8
_SHORTEST = 3

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_KEY = re.compile(r"([^\W_][\w.-]*)[\"'\])]*\s*$")
_BEFORE = 60


@dataclass(frozen=True, slots=True)
class _Named:
    """How often a label is named: in how many rows, how many of these have it, and how many rows have it in all."""

    label: str
    rows: Sequence[int]
    right: int
    total: int

    @property
    def telling(self) -> bool:
        """Whether nearly all rows of the label name it, and hardly any other row does."""
        enough = self.total >= _FEWEST and self.right >= _TOLD * self.total
        return enough and self.right >= _RIGHT * len(self.rows)


def named(columns: Sequence[Column], rows: Rows) -> Iterator[Finding]:
    """Labels named in their own input: after a key, as in `Category: billing`; by another field; or in plain words.

    The first two are warnings, as are plain words where most rows name their label; words that tell single labels are
    a note for each field. How often the label that is named is the right one is counted, so that a word that many
    labels share says nothing.
    """
    categories = categories_of(rows)
    for field in rows.task.fields:
        labels = [label for label in field.labels if isinstance(label, str)]
        if labels:
            yield from _by_key(columns, rows, field, labels)
            yield from _by_field(categories, rows, field, labels)
            yield from _by_words(columns, rows, field, labels)


def _by_key(columns: Sequence[Column], rows: Rows, field: Field, labels: Sequence[str]) -> Iterator[Finding]:
    """Keys in texts that have a label of the field after them."""
    known = {label.casefold(): label for label in labels}
    longest_first = sorted(known, key=len, reverse=True)
    search = re.compile(rf"[:=]\s*[\"'\[(]*({'|'.join(map(re.escape, longest_first))})(?!\w)")
    for column in columns:
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for n, text in zip(column.rows, map(str.casefold, column.texts), strict=True):
            for one in search.finditer(text) if ":" in text or "=" in text else ():
                if (before := _KEY.search(text, max(0, one.start() - _BEFORE), one.start())) is not None:
                    found[before[1]].append((n, known[one[1]]))
        for key, said in sorted(found.items()):
            yield from _said(rows, field, said, f"{column.name} says it after {key!r}", column.path)


def _by_field(
    categories: Mapping[str, Sequence[tuple[int, str]]], rows: Rows, field: Field, labels: Sequence[str]
) -> Iterator[Finding]:
    """Other fields of the input that hold the label."""
    known = {words_of(label): label for label in labels}
    for path, values in categories.items():
        said = [(n, known[words]) for n, value in values if (words := words_of(value)) in known]
        yield from _said(rows, field, said, f"the input field `{path}` holds it", path)


def _said(rows: Rows, field: Field, said: Sequence[tuple[int, str]], where: str, path: str | None) -> Iterator[Finding]:
    """A finding where the labels that are said are nearly always right, and more than one is said."""
    right = {n for n, label in said if label in each_label(field, rows.examples[n].output)}
    every = {n for n, _ in said}
    if len(every) < _FEWEST or len(right) < _RIGHT * len(every) or len({label for _, label in said}) < 2:
        return
    yield Finding(
        code="label-in-text",
        severity="warning",
        rows=rows.ids(sorted(right)),
        field=field.path,
        message=f"the label stands in the input of {len(right):,} rows: {where}, and it is right in"
        f" {len(right) / len(every):.0%} of the {len(every):,} rows that have it: a model copies it",
        suggestion=f"take it out of {'the input' if path is None else f'`{path}`'} if it is not known yet when"
        " the case is decided; if it is known, nothing needs deciding",
    )


def _by_words(columns: Sequence[Column], rows: Rows, field: Field, labels: Sequence[str]) -> Iterator[Finding]:
    """Labels whose own words stand in the texts."""
    every = list(_named(columns, rows, field, labels))
    right, said = sum(one.right for one in every), sum(len(one.rows) for one in every)
    telling = sorted((one for one in every if one.telling), key=lambda one: (-one.right, one.label))
    if right >= max(_FEWEST, _WHOLE_FIELD * sum(one.total for one in every)) and right >= _RIGHT * said:
        yield Finding(
            code="label-in-text",
            severity="warning",
            rows=rows.ids(sorted({n for one in every for n in one.rows})),
            field=field.path,
            message=f"the text names its own label in {right:,} rows, and hardly ever another: whoever made the texts"
            " knew the labels, or a rule would do",
            suggestion="look whether the texts are written as they will be when decided; else take the labels out",
        )
    elif telling:
        said_of = ", ".join(f"{shown(one.label)} ({one.right} of {one.total} rows)" for one in telling[:_MOST_SHOWN])
        yield Finding(
            code="label-in-text",
            severity="note",
            rows=rows.ids(sorted({n for one in telling for n in one.rows})),
            field=field.path,
            message=f"texts with {'this label' if len(telling) == 1 else 'these labels'} name it, and others do not:"
            f" {said_of}{', …' if len(telling) > _MOST_SHOWN else ''}",
            suggestion="nothing where people write so; look whether cases that do not name it are missing",
        )


def _named(columns: Sequence[Column], rows: Rows, field: Field, labels: Sequence[str]) -> Iterator[_Named]:
    """How often each label that has words is named."""
    having: dict[Label, set[int]] = {label: set() for label in labels}
    for n, example in enumerate(rows.examples):
        for label in each_label(field, example.output):
            if label in having:
                having[label].add(n)
    naming = _naming(columns, {label: phrase for label in labels if (phrase := _phrase(label)) is not None})
    for label, found in naming.items():
        yield _Named(label, sorted(found), len(found & having[label]), len(having[label]))


def _naming(columns: Sequence[Column], phrases: Mapping[str, str]) -> Mapping[str, set[int]]:
    """The rows with a text that has the phrase of a label; a text is asked only for phrases whose first word it has."""
    first: dict[str, list[str]] = defaultdict(list)
    for label, phrase in phrases.items():
        first[phrase.split()[0]].append(label)
    naming: dict[str, set[int]] = {label: set() for label in phrases}
    for column in columns:
        for n, words in zip(column.rows, column.words, strict=True):
            for word in first.keys() & set(words.split()):
                for label in first[word]:
                    if phrases[label] in words:
                        naming[label].add(n)
    return naming


def _phrase(label: str) -> str | None:
    """The words of a label as a text would have them; None for a letter or a number, which texts have by chance."""
    words = words_of(" ".join(_PART.findall(label)))
    letters = sum(one.isalpha() for one in words)
    return words if letters >= _SHORTEST else None
