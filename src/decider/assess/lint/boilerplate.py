"""Passages that many texts share word for word: signatures, disclaimers, quoted headers, templates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from decider.assess.lint.answers import counted_labels
from decider.assess.lint.columns import Column, is_prose
from decider.assess.lint.finding import Finding, Rows, shown

_SAMPLE = 2_000
"""Texts that are searched for passages: one that two texts in a hundred have cannot be missed in so many."""
_LENGTH = 8
"""Words that must follow each other in the same order."""
_DISTINCT = 5
_SHARE = 0.02
_FEWEST = 10
_TOGETHER = 0.5
"""Runs of words are one passage where the texts that have them are the same to such a part (Jaccard similarity)."""
_MOST_RUNS = 3_000
_MOST_FOUND = 10

_LEANS = 0.9
_LIFT = 1.5
_FEWEST_TO_LEAN = 20

_LEAK = "look whether a template wrote it; if it will not stand in what is decided, take it out of these rows"
_PLAIN = "cut it off before deciding, and here, if it says nothing of the case; else leave it"

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class _Passage:
    """Runs of words that stand in the same texts, the commonest first; `places` are those in the sample."""

    places: frozenset[int]
    runs: list[str]


def boilerplate(column: Column, rows: Rows) -> Iterator[Finding]:
    """Passages of 8 words or more that stand in 2 % of the texts, and in 10 at least: one finding for each.

    Rows with the same input count once. It is a warning where nearly all rows with the passage have one label that
    others have much less often.
    """
    for passage in _passages(column, rows)[:_MOST_FOUND]:
        core = f" {passage.runs[0]} "
        found = {n for n, words in zip(column.rows, column.words, strict=True) if core in words}
        yield _finding(column, rows, passage, sorted(found))


def _passages(column: Column, rows: Rows) -> list[_Passage]:
    """The passages of a sample of the texts, those that take up the most of them first."""
    sample = _sample(column, rows)
    found: list[_Passage] = []
    for run, places in _shared_runs(column, sample):
        known = next((one for one in found if _jaccard(one.places, places) >= _TOGETHER), None)
        if known is None:
            found.append(_Passage(places, [run]))
        else:
            known.runs.append(run)
    return sorted(found, key=lambda one: (-len(one.places) * len(one.runs), one.runs[0]))


def _sample(column: Column, rows: Rows) -> list[int]:
    """The places in the column of some prose, evenly spread, one of each input."""
    first = rows.same or range(len(rows.examples))
    prose = [n for n, row in enumerate(column.rows) if first[row] == row and is_prose(column.texts[n])]
    return prose[:: -(-len(prose) // _SAMPLE) or 1]


def _shared_runs(column: Column, sample: Sequence[int]) -> list[tuple[str, frozenset[int]]]:
    """Runs of words that enough of the texts have, each with the places of these texts, the commonest first."""
    counts = Counter[str]()
    for n in sample:
        counts.update(set(_runs(column.words[n])))
    least = max(_FEWEST, _SHARE * len(sample))
    common = sorted((-count, run) for run, count in counts.items() if count >= least and _is_varied(run))[:_MOST_RUNS]
    places: dict[str, list[int]] = {run: [] for _, run in common}
    for n in sample if common else ():
        for run in places.keys() & set(_runs(column.words[n])):
            places[run].append(n)
    return [(run, frozenset(found)) for run, found in places.items()]


def _runs(words: str) -> list[str]:
    each = words.split()
    return [" ".join(each[n : n + _LENGTH]) for n in range(len(each) - _LENGTH + 1)]


def _is_varied(run: str) -> bool:
    """Whether a run is more than a word again and again, such as what was put for names."""
    return len(set(run.split())) >= _DISTINCT


def _jaccard(first: frozenset[int], second: frozenset[int]) -> float:
    both = len(first & second)
    return both / (len(first) + len(second) - both)


def _finding(column: Column, rows: Rows, passage: _Passage, found: Sequence[int]) -> Finding:
    text, size = _shown(column, passage)
    leaning = _leaning(rows, found)
    share = len(found) / len(rows.examples)
    return Finding(
        code="boilerplate",
        severity="warning" if leaning else "note",
        rows=rows.ids(found),
        field=column.path,
        message=f"{len(found):,} of {len(rows.examples):,} rows ({share:.1%}) share a passage of {size} words:"
        f" {shown(text)}{leaning}",
        suggestion=_LEAK if leaning else _PLAIN,
    )


def _shown(column: Column, passage: _Passage) -> tuple[str, int]:
    """The beginning of the longest stretch of a passage in the first text that has it, and its length in words."""
    place = min(passage.places)
    runs, mine = _runs(column.words[place]), set(passage.runs)
    start, length, begun = 0, 0, 0
    for n, run in enumerate([*runs, ""]):
        if run in mine:
            continue
        if n - begun > length:
            start, length = begun, n - begun
        begun = n + 1
    words = [*_WORD.finditer(column.texts[place])][start : start + length + _LENGTH - 1]
    text = " ".join(column.texts[place][words[0].start() : words[-1].end()].split())
    return text, len(words)


def _leaning(rows: Rows, found: Sequence[int]) -> str:
    """What is said of the label that nearly all rows with a passage have, and few others; empty where there is none."""
    within = set(found)
    others = [n for n in range(len(rows.examples)) if n not in within]
    if min(len(found), len(others)) < _FEWEST_TO_LEAN:
        return ""
    for field in [field for field in rows.task.fields if field.closed]:
        inside, outside = counted_labels(rows, field, found), counted_labels(rows, field, others)
        label = max(inside, key=lambda one: inside[one], default=None)
        here, there = inside[label] / len(found), outside[label] / len(others)
        if here >= _LEANS and here >= _LIFT * there:
            return f"; {here:.0%} of them have {field.path} {shown(label)}, of the others {there:.0%}"
    return ""
