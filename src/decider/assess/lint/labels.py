"""Checks of the labels: too rare, never used, too common, alike, or none for what fits none of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from decider.assess.lint.answers import listed, rows_by_label
from decider.assess.lint.columns import words_of
from decider.assess.lint.dependence import constant, determined, missing
from decider.assess.lint.finding import Finding, Rows, counted, shown
from decider.schema import Field

FEWEST = 10
"""Rows of a label below which it is hardly learned, and cannot be measured."""

_COMMON, _NEARLY_ALL = 0.9, 0.99
_TIMES = 50
_MANY_OPTIONS = 8

_CATCH_ALL = frozenset(
    {"other", "others", "else", "none", "unknown", "misc", "miscellaneous", "unclear", "unsure", "undefined", "general"}
    | {"unspecified", "uncategorized", "uncategorised", "unclassified", "undetermined", "undecided", "rest", "various"}
    | {
        "sonstige",
        "sonstiges",
        "andere",
        "anderes",
        "autre",
        "autres",
        "otro",
        "otra",
        "otros",
        "altro",
        "outro",
        "outros",
    }
    | {"overig", "overige", "annat", "andet", "annet", "inne", "diger", "другое", "прочее", "其他", "その他", "기타"}
)
"""Words of an option for what fits no other."""


def labels(rows: Rows) -> Iterator[Finding]:
    """Find what is wrong with the labels of each field, and with fields that say nothing of their own."""
    same = list(constant(rows))
    said = {finding.field for finding in same}
    for field in rows.task.fields:
        if field.closed and field.path not in said and rows.examples:
            yield from rare(rows, field)
            yield from unused(rows, field)
            yield from imbalanced(rows, field)
        yield from alike(field)
        yield from without_other(field)
    yield from same
    yield from determined(rows)
    yield from missing(rows)


def rare(rows: Rows, field: Field) -> Iterator[Finding]:
    """Labels with fewer than 10 rows, but with some."""
    found = {label: numbers for label, numbers in rows_by_label(rows, field).items() if 0 < len(numbers) < FEWEST}
    if not found:
        return
    counts = [
        f"{shown(label)} ({len(numbers)})" for label, numbers in sorted(found.items(), key=lambda one: len(one[1]))
    ]
    lacking = sum(FEWEST - len(numbers) for numbers in found.values())
    yield Finding(
        code="rare-label",
        severity="warning",
        rows=rows.ids(sorted({n for numbers in found.values() for n in numbers})),
        field=field.path,
        message=f"{counted(len(found), 'label')} with fewer than {FEWEST} rows: {listed(counts)}; with so few it is"
        " neither learned nor measured",
        suggestion=f"label {lacking} more rows, so that each has {FEWEST}, or merge rare labels into others with"
        " `decider data migrate`",
    )


def unused(rows: Rows, field: Field) -> Iterator[Finding]:
    """Options that no row has."""
    found = [label for label, numbers in rows_by_label(rows, field).items() if not numbers]
    if found:
        yield Finding(
            code="unused-option",
            severity="warning" if any(label is not None for label in found) else "note",
            rows=(),
            field=field.path,
            message=f"no row has {listed([shown(label) for label in found])}: a trained model never answers"
            f" {'it' if len(found) == 1 else 'them'}",
            suggestion="label rows with it, or retire the option with `decider data migrate`",
        )


def imbalanced(rows: Rows, field: Field) -> Iterator[Finding]:
    """A label that most rows have, or labels of very different sizes; tags are not exclusive, and are left out."""
    if field.kind == "tags":
        return
    counts = {label: len(numbers) for label, numbers in rows_by_label(rows, field).items()}
    label = max(counts, key=lambda one: counts[one])
    share = counts[label] / len(rows.examples)
    least = min((one for one in counts if counts[one] >= FEWEST), key=lambda one: counts[one], default=label)
    if share > _COMMON:
        said = f"always answering {shown(label)} is right in {share:.1%} of the rows: accuracy below that says nothing"
    elif counts[label] >= _TIMES * counts[least]:
        said = f"{shown(label)} has {counts[label]:,} rows, {shown(least)} {counts[least]:,}: it weighs"
        said += f" {counts[label] / counts[least]:.0f} times as much in training and in accuracy"
    else:
        return
    yield Finding(
        code="imbalance",
        severity="warning" if share > _NEARLY_ALL else "note",
        rows=(),
        field=field.path,
        message=said,
        suggestion="label more rows of the others, and compare macro-F1 and the recall of each label, not accuracy",
    )


def alike(field: Field) -> Iterator[Finding]:
    """Options that are one label in two spellings."""
    found: dict[str, list[str]] = defaultdict(list)
    for label in field.labels:
        if isinstance(label, str):
            found[_folded(label)].append(label)
    for some in found.values():
        if len(some) > 1:
            yield Finding(
                code="alike-labels",
                severity="warning",
                rows=(),
                field=field.path,
                message=f"the options {' and '.join(map(shown, some))} differ only in spelling",
                suggestion="merge them with `decider data migrate`, or give them names that tell them apart",
            )


def _folded(label: str) -> str:
    """A label without case, separators and the ends of plurals."""
    return "".join(_singular(word) for word in words_of(label.replace("_", " ")).split())


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word


def without_other(field: Field) -> Iterator[Finding]:
    """Choices among many options of which none is for what fits no other."""
    if field.kind != "choice" or field.optional or len(field.options) < _MANY_OPTIONS:
        return
    words = {word for option in field.options for word in words_of(str(option.value).replace("_", " ")).split()}
    if words.isdisjoint(_CATCH_ALL):
        yield Finding(
            code="no-none-of-these",
            severity="note",
            rows=(),
            field=field.path,
            message=f"none of its {len(field.options)} options is for a case that fits no other: a model must answer"
            " one of them all the same",
            suggestion="add an option such as `other`, with rows for it, or make the field optional",
        )
