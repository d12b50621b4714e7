"""`lint`: all checks of a dataset, and what they found, most certain first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from importlib.util import find_spec
from typing import Any

from decider.assess.lint.drift import drift
from decider.assess.lint.finding import CODES, SEVERITIES, Finding, Rows, Severity
from decider.assess.lint.labels import labels
from decider.assess.lint.leaks import leaks
from decider.assess.lint.nearly import near_contradictions, near_duplicates
from decider.assess.lint.outside import outside
from decider.assess.lint.personal import personal
from decider.assess.lint.rejected import input_of
from decider.assess.lint.same import contradictions, duplicate_ids, duplicates, free_text
from decider.assess.lint.texts import texts
from decider.data.near import near, same
from decider.data.rows import Checked, Rejected
from decider.data.split import Split, side_named
from decider.decision import Example
from decider.errors import DataError
from decider.task import Task

Progress = Callable[[int, int], object]
Find = Callable[[Rows], Iterable[Finding]]

NEAR = frozenset({"near-contradiction", "near-duplicate", "leakage"})
"""Codes that need to know which inputs are nearly the same; leakage of identical inputs is found without."""

DOUBTS = frozenset({"label-error", "confusable"})
"""Codes that need models of the data, trained and tested crosswise."""

_NEEDS: Mapping[str, str] = {
    "near-contradiction": "datasketch",
    "near-duplicate": "datasketch",
    "leakage": "datasketch",
    "mojibake": "ftfy",
    "language": "py3langid",
    "label-error": "cleanlab",
    "confusable": "cleanlab",
}
"""Libraries of the extra `data`, by the codes that cannot be found without them."""

EXACT = frozenset({"unreadable", "unknown-label", "schema", "empty", "duplicate-id", "contradiction"})
"""Codes of errors that are found at once, without the extra."""

_TEXTS = frozenset({"empty", "truncated", "mojibake", "boilerplate", "language", "label-in-text"})
_LABELS = frozenset(
    {
        "rare-label",
        "unused-option",
        "alike-labels",
        "constant",
        "imbalance",
        "no-none-of-these",
        "determined",
        "missing",
    }
)
_OUTSIDE = frozenset({"unreadable", "unknown-label", "schema", "empty"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What a lint found, most certain first, then the worst first, then by code and row.

    `rows` counts the rows that were looked at, `rejected` those of them that are no examples of the task, and `clean`
    those that no error and no warning names. `left_out` says for each code that was wanted and not looked for, why.
    """

    findings: tuple[Finding, ...]
    rows: int
    rejected: int
    clean: int
    left_out: Mapping[str, str]
    inputs: Mapping[str, Any]
    """By the id of a row its input; of a row that has none, all that stands there."""

    @property
    def errors(self) -> bool:
        """Whether there is anything that must not be trained on."""
        return any(one.severity == "error" for one in self.findings)

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of findings by code; the commonest first."""
        return dict(Counter(one.code for one in self.findings).most_common())

    @property
    def severities(self) -> Mapping[Severity, int]:
        """The number of findings by severity, the worst first, also where there are none."""
        found = Counter(one.severity for one in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}


def lint(
    task: Task[Any],
    rows: Iterable[Checked],
    *,
    split: Split | None = None,
    doubt: bool = True,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> Linted:
    """Find what is wrong with rows as `decider.data.rows.read` gives them.

    `split` says on which side each row is; without it the rows' own `split` does. `only` and `skip` name codes; without
    `only` it is all of them. Without `doubt` no model is trained, and what else needs the extra `data` is left out
    where that is not installed. With it, a lint of the same rows and `seed` finds the same. `progress` is called with
    steps done and their number, from the beginning again for each part that takes long. Raises `ImportError` where a
    check is wanted whose extra is missing, `ValueError` for a code that there is not, `DataError` where the split has
    none of the rows.
    """
    codes = wanted(only, skip)
    left_out = _left_out(codes, doubt)
    codes -= left_out.keys() - {"leakage"}
    for_near = frozenset() if left_out.keys() & NEAR else codes & NEAR
    seen = _seen(task, rows, split, for_near=for_near, progress=progress)
    found = [one for find in _checks(codes, seed, progress) for one in find(seen) if one.code in codes]
    return _linted(found, seen, left_out)


def wanted(only: Collection[str] | None, skip: Collection[str] = ()) -> set[str]:
    """Return the codes that are to be looked for; raises `ValueError` for one that there is not, with what is meant."""
    only = CODES if only is None else only
    for code in (*only, *skip):
        if code not in CODES:
            close = get_close_matches(code, CODES, 1)
            meant = f"did you mean {close[0]}?" if close else f"known are {', '.join(CODES)}"
            raise ValueError(f"there is no code {code!r}; {meant}")
    return {code for code in only if code not in skip}


def _left_out(codes: Collection[str], doubt: bool) -> dict[str, str]:
    """The codes that are not looked for, each with the reason; with `doubt`, all that is wanted is needed."""
    missing = {code: name for code, name in _NEEDS.items() if code in codes and find_spec(name) is None}
    if doubt and missing:
        raise ImportError(
            f"looking for {', '.join(missing)} needs {', '.join(dict.fromkeys(missing.values()))}: "
            "pip install 'decider-sdk[data]'; or go without (--quick, doubt=False), or --skip them"
        )
    quick = {code: "no models are trained" for code in CODES if code in DOUBTS and code in codes and not doubt}
    needed = {code: f"it needs {name}: pip install 'decider-sdk[data]'" for code, name in missing.items()}
    if "leakage" in needed:
        needed["leakage"] = f"of inputs that are not identical: {needed['leakage']}"
    return needed | quick


def _seen(
    task: Task[Any],
    rows: Iterable[Checked],
    split: Split | None,
    *,
    for_near: Set[str],
    progress: Progress | None,
) -> Rows:
    """The rows as the checks look at them, with what is nearly the same where one of the codes `for_near` needs it."""
    examples: list[Example] = []
    places: list[int] = []
    rejected: list[Rejected] = []
    for place, one in enumerate(rows, 1):
        if isinstance(one, Rejected):
            rejected.append(one)
        else:
            examples.append(one)
            places.append(place)
    inputs = [one.input for one in examples]
    sides = _sides(examples, split)
    seen = Rows(
        task=task,
        examples=tuple(examples),
        rejected=tuple(rejected),
        sides=sides,
        same=same(inputs),
        places=places,
    )
    needed = for_near if sides is not None else for_near - {"leakage"}
    return replace(seen, near=near(inputs, task.inputs, progress=progress)) if needed and free_text(seen) else seen


def _sides(examples: Collection[Example], split: Split | None) -> Mapping[str, str] | None:
    """The side of each row that is on one, by its id; of those that rows name, also such as nobody else knows."""
    named = ((one.id, _own(one) if split is None else split.side_of(one)) for one in examples)
    sides = {str(name): side for name, side in named if side}
    if split is not None and examples and not sides:
        remedy = "name the split file of this data, or make one with: decider data split SPEC DATA"
        raise DataError(f"none of the {len(examples):,} rows is on a side of the split; {remedy}")
    return sides or None


def _own(example: Example) -> str | None:
    return side_named(example.split) or example.split


def _checks(codes: Collection[str], seed: int, progress: Progress | None) -> Iterator[Find]:
    """The checks that find any of these codes."""
    table: tuple[tuple[frozenset[str], Find], ...] = (
        (_OUTSIDE, outside),
        (frozenset({"duplicate-id"}), duplicate_ids),
        (frozenset({"contradiction"}), contradictions),
        (frozenset({"leakage"}), leaks),
        (frozenset({"near-contradiction"}), near_contradictions),
        (frozenset({"duplicate"}), duplicates),
        (frozenset({"near-duplicate"}), near_duplicates),
        (_TEXTS, partial(texts, codes=codes)),
        (_LABELS, labels),
        (frozenset({"drift"}), drift),
        (frozenset({"personal-data"}), personal),
        (DOUBTS, partial(_doubts, seed=seed, progress=progress)),
    )
    return (find for found, find in table if found & set(codes))


def _doubts(rows: Rows, *, seed: int, progress: Progress | None) -> Iterator[Finding]:
    from decider.assess.lint.doubt import doubts  # scikit-learn and cleanlab are an extra, and slow to import

    return doubts(rows, seed=seed, progress=progress)


def _linted(found: list[Finding], seen: Rows, left_out: Mapping[str, str]) -> Linted:
    rows = sorted(
        [(seen.place(n), seen.id(n)) for n in range(len(seen.examples))]
        + [(one.place, one.id) for one in seen.rejected]
    )
    place = {name: n for n, name in reversed(rows)}  # of several rows with one id that of the first
    codes = {code: n for n, code in enumerate(CODES)}

    def order(one: Finding) -> tuple[float, int, int, int]:
        first = place.get(one.rows[0], 0) if one.rows else 0
        return -one.certainty, SEVERITIES.index(one.severity), codes[one.code], first

    named = {row for one in found if one.severity != "note" for row in one.rows}
    return Linted(
        findings=tuple(sorted(found, key=order)),
        rows=len(rows),
        rejected=len(seen.rejected),
        clean=sum(name not in named for _, name in rows),
        left_out=left_out,
        inputs={one.id: input_of(one, seen.task) or one.value for one in seen.rejected}
        | {str(one.id): one.input for one in seen.examples},
    )
