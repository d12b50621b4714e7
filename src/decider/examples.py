"""The choice of few-shot examples, in pure Python."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heapreplace, nlargest
from itertools import islice
from typing import Any, Literal, TypeAlias

from decider.decision import Example, Input
from decider.schema import Field, pick

Select = Literal["first", "diverse", "similar"]

_Labels: TypeAlias = frozenset[tuple[str, Any]]
"""The labels that an example shows, each with the path of its field."""

_Postings: TypeAlias = Mapping[str, Sequence[tuple[int, float]]]
"""For each word, the positions of the examples that have it, and what it adds to the score of each."""

_WORD = re.compile(r"\w+")
_K1 = 1.2
_B = 0.75


class Selector:
    """Chooses the few-shot examples that a prompt shows; made once for a task.

    None has the input that is being decided. `first` takes them in file order; `diverse` takes those that show the
    most labels together; `similar` takes those most like the input, and puts the most similar last, next to it.
    """

    def __init__(self, examples: Sequence[Example], fields: Sequence[Field], *, count: int, select: Select) -> None:
        self._examples = tuple(examples)
        self._count = count
        self._alike = _alike(self._examples)
        self._labels = [_labels(one, fields) for one in self._examples] if select == "diverse" else None
        self._postings = _postings([_words(one.input) for one in self._examples]) if select == "similar" else None
        self._order = self._in_order(frozenset())

    def choose(self, deciding: Input) -> tuple[Example, ...]:
        """Return at most `count` examples to show before the input `deciding`, in the order to show them."""
        own = self._alike.get(identity(deciding), frozenset())
        if self._postings is not None:
            chosen = self._by_similarity(_scores(_words(deciding), self._postings), own)
        elif own.isdisjoint(self._order):
            chosen = self._order
        else:
            chosen = self._in_order(own)
        return tuple(self._examples[n] for n in chosen)

    def _in_order(self, own: frozenset[int]) -> list[int]:
        allowed = (n for n in range(len(self._examples)) if n not in own)
        order = allowed if self._labels is None else _by_coverage({n: self._labels[n] for n in allowed})
        return list(islice(order, self._count))

    def _by_similarity(self, scores: Mapping[int, float], own: frozenset[int]) -> list[int]:
        best = nlargest(self._count, (n for n in sorted(scores) if n not in own), key=scores.__getitem__)
        others = (n for n in range(len(self._examples)) if n not in scores and n not in own)
        chosen = [*best, *islice(others, self._count - len(best))]
        return sorted(chosen, key=lambda n: scores.get(n, 0.0))


def _alike(examples: Sequence[Example]) -> Mapping[str, frozenset[int]]:
    """The positions of the examples that have the same input, by its identity."""
    found: dict[str, list[int]] = defaultdict(list)
    for n, example in enumerate(examples):
        found[identity(example.input)].append(n)
    return {identity: frozenset(positions) for identity, positions in found.items()}


def identity(value: Any) -> str:
    """What two inputs have in common that differ in spelling alone."""
    match value:
        case str():
            return repr(_folded(value))
        case Mapping():
            pairs = sorted(f"{identity(key)}:{identity(one)}" for key, one in value.items())
            return f"{{{','.join(pairs)}}}"
        case list() | tuple():
            return f"[{','.join(map(identity, value))}]"
        case _:
            return repr(value)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _labels(example: Example, fields: Sequence[Field]) -> _Labels:
    values = [(field, pick(example.output, field.path)) for field in fields if field.closed]
    return frozenset((field.path, label) for field, value in values for label in _each(field, value))


def _each(field: Field, value: Any) -> Sequence[Any]:
    """The labels in a value; None is one, and so is that there are no tags."""
    if field.kind == "tags" and value is not None:
        return value or [()]
    return [value]


def _by_coverage(labels: Mapping[int, _Labels]) -> Iterator[int]:
    """Yield every position: first those that together show all labels, then those that show all again, and so on."""
    # Examples with the same labels gain the same at every turn, so only the first of them needs to be looked at.
    waiting: dict[_Labels, deque[int]] = defaultdict(deque)
    for n, shown in labels.items():
        waiting[shown].append(n)
    while waiting:
        yield from _cover(waiting)


def _cover(waiting: dict[_Labels, deque[int]]) -> Iterator[int]:
    """Take away and yield the position that adds the most labels to those yielded before, until none adds any."""
    # A gain never grows, so that the top of the heap is the best as soon as its gain is up to date.
    heap = [(-len(shown), positions[0], shown) for shown, positions in waiting.items()]
    heapify(heap)
    covered: set[tuple[str, Any]] = set()
    while heap:
        promised, n, shown = heap[0]
        gain = len(shown - covered)
        if gain == -promised:
            heappop(heap)
            covered |= shown
            yield _take(waiting, shown)
        elif gain:
            heapreplace(heap, (-gain, n, shown))
        else:
            heappop(heap)


def _take(waiting: dict[_Labels, deque[int]], shown: _Labels) -> int:
    n = waiting[shown].popleft()
    if not waiting[shown]:
        del waiting[shown]
    return n


def _words(value: Input) -> list[str]:
    return _WORD.findall(_folded(_text(value)))


def _text(value: Any) -> str:
    """The values of an input as one text."""
    match value:
        case Mapping():
            return " ".join(map(_text, value.values()))
        case list() | tuple():
            return " ".join(map(_text, value))
        case None:
            return ""
        case _:
            return str(value)


def _postings(texts: Sequence[Sequence[str]]) -> _Postings:
    """The inverted index of BM25, as Robertson and Zaragoza give it (The Probabilistic Relevance Framework, 2009)."""
    total = sum(map(len, texts))
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for n, words in enumerate(texts):
        for word, times in Counter(words).items():
            length = len(words) * len(texts) / total
            found[word].append((n, times * (_K1 + 1) / (times + _K1 * (1 - _B + _B * length))))
    return {word: _weighted(holders, len(texts)) for word, holders in found.items()}


def _weighted(holders: Sequence[tuple[int, float]], total: int) -> list[tuple[int, float]]:
    """What a word adds to each of its holders, the less the more of them there are."""
    rarity = math.log(1 + (total - len(holders) + 0.5) / (len(holders) + 0.5))
    return [(n, rarity * weight) for n, weight in holders]


def _scores(words: Sequence[str], postings: _Postings) -> dict[int, float]:
    """The similarity of each example that shares a word with the input."""
    scores: dict[int, float] = defaultdict(float)
    for word in dict.fromkeys(words):  # in a fixed order, unlike a set: sums of floats depend on it
        for n, weight in postings.get(word, ()):
            scores[n] += weight
    return scores
