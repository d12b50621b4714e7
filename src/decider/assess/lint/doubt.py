"""Labels to doubt: rows that the other rows would label otherwise, and pairs of labels taken for each other."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from shlex import quote
from typing import Any

try:
    import numpy as np
    from cleanlab.count import compute_confident_joint, num_label_issues
    from numpy.typing import NDArray
except ModuleNotFoundError as error:
    raise ImportError("looking for wrong labels needs cleanlab: pip install 'decider-sdk[data]'") from error

from decider.assess.lint.finding import MOST_ROWS, Finding, Rows, counted, shown
from decider.assess.lint.given import is_checked
from decider.decision import Example
from decider.learn.fit import LEAST_ROWS
from decider.learn.held_out import HeldOut, held_out
from decider.learn.noise import Noise, noise_of
from decider.redact import Redactor
from decider.schema import Field

Progress = Callable[[int, int], object]

LEAST = 0.05
"""A label that is wrong with a lower probability than this is not worth anybody's reading."""

_SURE = 0.5
"""A label that is more probably wrong than right is a warning; others are notes."""

_LEAST_CONFUSED = 5
"""Rows that two labels must exchange before they are called confusable."""

_CONFUSED = 0.05
_VERY_CONFUSED = 0.25
"""How much of what tells two labels apart must be lacking: for a note, and for a warning."""


def doubts(rows: Rows, *, seed: int = 0, progress: Progress | None = None) -> Iterator[Finding]:
    """Find labels that are probably wrong, the most certain first, and pairs of labels that the data confuses.

    Models that saw neither a row nor its copies and its group say how probable each label is. Cleanlab's confident
    learning says how many labels of each field are wrong (Northcutt, Jiang and Chuang, "Confident learning: estimating
    uncertainty in dataset labels", 2021); reported are that many, the most doubtful, but none whose label is wrong with
    a probability below `LEAST`. That probability is a finding's `certainty`; `decider.learn.noise` tells how it is
    found. Where the spec has `redact`, the models see redacted inputs, as they would in training.
    """
    examples = rows.examples
    fields = [field for field in rows.task.fields if field.closed]
    if not fields:
        return
    if len(examples) < LEAST_ROWS:
        yield _too_few(len(examples))
        return
    same = rows.same or range(len(examples))
    found = held_out(_redacted(rows), rows.task.inputs, fields, same=same, seed=seed, progress=progress)
    checked = np.array([is_checked(example) for example in examples])
    errors: list[Finding] = []
    for one in found:
        if one.field.kind == "tags":
            errors += _tag_errors(rows, one, _doubted_tags(one, checked, seed))
            continue
        doubted = _doubted_labels(one, checked, seed)
        if doubted is not None:
            errors += _errors(rows, one.field, doubted)
            yield from _confusable(rows, one.field, doubted) if len(one.field.labels) > 2 else ()
    yield from sorted(errors, key=lambda one: -one.certainty)


def _too_few(count: int) -> Finding:
    return Finding(
        code="label-error",
        severity="note",
        rows=(),
        message=f"{counted(count, 'row')} cannot tell which label is wrong: nothing was looked for",
        suggestion=f"label at least {LEAST_ROWS} rows, better ten for each label",
    )


def _redacted(rows: Rows) -> Sequence[Example]:
    """The rows as a model will see them."""
    redactor = Redactor.of(rows.task)
    if redactor is None:
        return rows.examples
    return [replace(one, input=redactor.redact(one.input, row=one.id)) for one in rows.examples]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doubted:
    """A question with one answer a row: which label of a field, or whether a tag is there.

    `rows` are the numbers of those rows whose answer can be doubted at all, because the models know it; `labels` are
    the numbers of their answers, `wrong` is how probably each is wrong, and `reported` says which are to be looked at.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    noise: Noise
    wrong: NDArray[np.float64]
    reported: NDArray[np.bool_]


def _doubted_labels(one: HeldOut, checked: NDArray[np.bool_], seed: int) -> _Doubted | None:
    labels = one.there.argmax(axis=1)
    return _doubted(one.scores, labels, one.known[np.arange(labels.size), labels], checked, seed)


def _doubted_tags(one: HeldOut, checked: NDArray[np.bool_], seed: int) -> list[_Doubted | None]:
    """For each tag whether it is there, as `cleanlab.multilabel_classification` takes tags apart.

    Most tags are rare: a random one is there as often as the tag is, or rare tags would seem to be nothing but errors.
    """
    found = []
    for scores, there, known in zip(one.scores.T, one.there.T, one.known.T, strict=True):
        pair, often = np.stack([np.zeros(scores.size), scores], axis=1), float(there.mean())
        random = np.array([1.0 - often, often])
        found.append(_doubted(pair, there.astype(np.int64), known, checked, seed, random))
    return found


def _doubted(
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    usable: NDArray[np.bool_],
    checked: NDArray[np.bool_],
    seed: int,
    random: NDArray[np.float64] | None = None,
) -> _Doubted | None:
    """Doubt the answers of the usable rows; None where they have but one, or the models know too few of them."""
    rows = np.flatnonzero(usable)
    labels = labels[rows]
    if np.unique(labels).size < 2:
        return None
    noise = noise_of(scores[rows], labels, random, seed=seed)
    wrong = noise.wrong(labels)
    for trusted in (checked[rows], ~checked[rows]) if checked[rows].any() else ():
        some = np.flatnonzero(trusted)  # what somebody checked is trusted as far as such rows of this field deserve it
        wrong[some] = noise.wrong(labels, noise.share_of(some, labels))[some]
    return _Doubted(rows=rows, labels=labels, noise=noise, wrong=wrong, reported=_reported(noise, labels, wrong))


def _reported(noise: Noise, labels: NDArray[np.int64], wrong: NDArray[np.float64]) -> NDArray[np.bool_]:
    """As many rows as cleanlab counts, by the count that it advises for a score of one's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        most = int(num_label_issues(labels, noise.shares, estimation_method="off_diagonal_calibrated"))
    doubtful = (noise.shares.argmax(axis=1) != labels) & (wrong >= LEAST)
    order = np.argsort(-wrong, kind="stable")
    reported = np.zeros(labels.size, np.bool_)
    reported[order[doubtful[order]][:most]] = True
    return reported


def _errors(rows: Rows, field: Field, doubted: _Doubted) -> Iterator[Finding]:
    for at in np.flatnonzero(doubted.reported):
        shares, label = doubted.noise.shares[at], doubted.labels[at]
        best = int(shares.argmax())
        message = (
            f"labelled {shown(field.labels[label])}; by the other rows that is {_likely(shares[label])} likely, "
            f"and {shown(field.labels[best])} {_likely(shares[best])}"
        )
        yield _error(rows, int(doubted.rows[at]), field, message, field.labels[best], float(doubted.wrong[at]))


def _tag_errors(rows: Rows, one: HeldOut, tags: Sequence[_Doubted | None]) -> Iterator[Finding]:
    """One finding for all doubtful tags of a row; it is as certain as that any of them is wrong."""
    doubtful: dict[int, list[tuple[int, float, float]]] = {}
    for tag, doubted in enumerate(tags):
        if doubted is not None:
            for at in np.flatnonzero(doubted.reported):
                about = (tag, float(doubted.noise.shares[at, 1]), float(doubted.wrong[at]))
                doubtful.setdefault(int(doubted.rows[at]), []).append(about)
    for n, found in doubtful.items():
        there = one.there[n]
        changed = there.copy()
        changed[[tag for tag, _, _ in found]] ^= True
        suggested = [label for label, kept in zip(one.field.labels, changed, strict=True) if kept]
        said = [_tag(one.field.labels[tag], bool(there[tag]), share) for tag, share, _ in found]
        right = float(np.prod([1.0 - wrong for _, _, wrong in found]))
        yield _error(rows, n, one.field, f"by the other rows, {', and '.join(said)}", suggested, 1.0 - right)


def _tag(label: Any, there: bool, share: float) -> str:
    return f"{shown(label)}, which it {'has' if there else 'lacks'}, is {_likely(share)} likely"


def _error(rows: Rows, n: int, field: Field, message: str, suggested: Any, certainty: float) -> Finding:
    return Finding(
        code="label-error",
        severity="warning" if certainty >= _SURE else "note",
        rows=(rows.id(n),),
        field=field.path,
        message=message + _checked_by(rows.examples[n]),
        suggestion=f"read it; if {shown(suggested)} is right, {_mending(rows.examples[n], field, suggested)}",
        certainty=certainty,
        suggested=suggested,
    )


def _likely(share: float) -> str:
    percent = share * 100.0
    if percent < 1.0:
        return "under 1 %"
    return f"{percent:.0f} %" if percent < 99.5 else "over 99 %"


def _checked_by(example: Example) -> str:
    if not is_checked(example):
        return ""
    return f" (checked by {example.by})" if example.by else f" ({example.source} by somebody)"


def _mending(example: Example, field: Field, suggested: Any) -> str:
    """How to correct a row: in the file, or where it was decided and logged, so that the next import has it."""
    if example.numbered or example.source is None:
        return "change the row"
    value = suggested if isinstance(suggested, str) else json.dumps(suggested)
    return (
        f"change the row, or where it comes from the log: decider log correct SPEC {quote(str(example.id))} "
        f"{quote(f'{field.path}={value}')}"
    )


def _confusable(rows: Rows, field: Field, doubted: _Doubted) -> Iterator[Finding]:
    """Pairs of labels off the diagonal of the confident joint, in both directions.

    How confused they are is twice the share of exchanged rows among those that are surely of either: 1 where the data
    does not tell the labels apart at all.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        joint, off = compute_confident_joint(
            doubted.labels, doubted.noise.shares, calibrate=False, return_indices_of_off_diagonals=True
        )
    for a, b in zip(*np.nonzero(np.triu(joint, 1) * np.tril(joint, -1).T), strict=True):
        exchanged, kept = joint[a, b] + joint[b, a], joint[a, a] + joint[b, b]
        confused = min(1.0, 2.0 * float(exchanged / (exchanged + kept)))
        if exchanged >= _LEAST_CONFUSED and confused >= _CONFUSED:
            ids = rows.ids([*_exchanged(doubted, off, a, b), *_exchanged(doubted, off, b, a)])
            yield _pair(field, (a, b), (joint[a, b], joint[b, a]), confused, ids)


def _exchanged(doubted: _Doubted, off: NDArray[np.int64], given: int, other: int) -> list[int]:
    """The rows of one label that are confidently of the other, the surest first."""
    shares = doubted.noise.shares[off]
    found = off[(doubted.labels[off] == given) & (shares.argmax(axis=1) == other)]
    surest = np.argsort(-doubted.noise.shares[found, other], kind="stable")
    return [int(n) for n in doubted.rows[found[surest[: MOST_ROWS // 2]]]]


def _pair(
    field: Field, labels: tuple[int, int], counts: tuple[int, int], confused: float, ids: tuple[str, ...]
) -> Finding:
    a, b = (shown(field.labels[n]) for n in labels)
    return Finding(
        code="confusable",
        severity="warning" if confused >= _VERY_CONFUSED else "note",
        rows=ids,
        field=field.path,
        message=f"{counted(counts[0], 'row')} labelled {a} look like {b}, and {counts[1]:,} labelled {b} like {a}",
        suggestion="say in their descriptions what tells them apart, or merge them with decider data migrate",
        certainty=confused,
    )
