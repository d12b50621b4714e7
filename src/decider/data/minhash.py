"""Pairs of similar texts by MinHash: candidates from sketches, each measured exactly.

Imported only where it is used: numpy and datasketch are an extra, and slow to import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

try:
    from datasketch import MinHash
except ImportError as error:
    raise ImportError(
        "finding near-duplicates needs datasketch: pip install 'decider-sdk[data]'; "
        "or split without them (--no-near, near=False)"
    ) from error

_GRAM = 4
"""Characters of one shingle."""

_HASHES = 128
_IN_BAND = 4
"""Texts with a similarity of 0.55 share one of 32 bands with a probability of 0.95, those of 0.65 with one of 0.998."""

_TAIL = 8
"""Hashes after a band that its rows are sorted by: the more alike two of them are, the nearer they stand."""

_WINDOW = 12
"""Rows with the same band that each is compared with, in the order of their tails: all of a small bucket."""

_CROWDED = 50
_CROWDED_WINDOW = 4
"""In a bucket with more than 50 rows, which a template makes, only the next four: the most alike of them."""

_PARTNERS = 8
"""Pairs that a row is in, the most similar, before it is named only by others, or to join what is apart."""

_MARGIN = 0.12
"""How far a similarity estimated from 128 hashes may be too low: three standard deviations."""

_AT_ONCE = 2_000_000
"""Values that are held at the same time while texts and pairs are gone through."""

_Codes = NDArray[np.int64]
"""Pairs of texts, as the lesser number times the number of texts, plus the greater."""


def pairs(
    texts: Sequence[str], threshold: float, progress: Callable[[int, int], object] | None = None
) -> list[tuple[int, int, float]]:
    """Return the pairs of texts with a Jaccard index of at least `threshold`; each text has at least two characters."""
    shingles = _Shingles(texts)
    sketches = _sketches(shingles, progress)
    codes = _candidates(sketches, threshold - _MARGIN)
    found: list[tuple[int, int, float]] = []
    for part in np.array_split(codes, len(codes) * 2 * shingles.longest // _AT_ONCE + 1):
        first, second = np.divmod(part, len(texts))
        similarity = shingles.jaccard(first, second)
        near = similarity >= threshold
        found += zip(first[near].tolist(), second[near].tolist(), similarity[near].tolist(), strict=True)
    return found


class _Shingles:
    """The set of shingles of each text, as hashes of 32 bits in order, all in one array."""

    def __init__(self, texts: Sequence[str]) -> None:
        found = [_hashed(part) for part in _parts(texts)]
        self._hashes = np.concatenate([hashes for hashes, _ in found])
        self._sizes = np.concatenate([sizes for _, sizes in found])
        self._starts = np.cumsum(self._sizes) - self._sizes
        self.longest = int(self._sizes.max())

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[list[int]]:
        for start, size in zip(self._starts.tolist(), self._sizes.tolist(), strict=True):
            yield self._hashes[start : start + size].tolist()

    def jaccard(self, first: _Codes, second: _Codes) -> NDArray[np.float64]:
        """The share of the shingles of two texts that both have, for each of many pairs."""
        marked = np.sort(np.concatenate([self._marked(first), self._marked(second)]))
        twice = marked[1:][marked[1:] == marked[:-1]] >> np.uint64(32)
        shared = np.bincount(twice.astype(np.int64), minlength=len(first))
        similarity: NDArray[np.float64] = shared / (self._sizes[first] + self._sizes[second] - shared)
        return similarity

    def _marked(self, texts: _Codes) -> NDArray[np.uint64]:
        """The shingles of several texts, each with the place of its text among them."""
        sizes = self._sizes[texts]
        place = np.repeat(np.arange(len(texts)), sizes)
        within = np.arange(len(place)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        marked: NDArray[np.uint64] = self._hashes[self._starts[texts][place] + within].astype(np.uint64)
        return marked | place.astype(np.uint64) << np.uint64(32)


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, a bounded number of characters at a time."""
    ends = np.cumsum([len(text) for text in texts]) // _AT_ONCE
    for _, part in groupby(zip(ends.tolist(), texts, strict=True), itemgetter(0)):
        yield [text for _, text in part]


def _hashed(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The distinct shingles of texts, one text after another, and how many each has."""
    spaced = "".join([f" {text} " for text in texts]).encode("utf-32-le", "surrogatepass")
    letters = np.frombuffer(spaced, "<u4").astype(np.uint64)
    row = np.repeat(np.arange(len(texts), dtype=np.uint64), [len(text) + 2 for text in texts])
    count = len(letters) - _GRAM + 1
    mixed = np.zeros(count, np.uint64)
    for at in range(_GRAM):
        mixed = (mixed ^ letters[at : at + count]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    whole = row[:count] == row[_GRAM - 1 :]
    marked = np.sort(row[:count][whole] << np.uint64(32) | mixed[whole] >> np.uint64(32))
    marked = marked[
        np.concatenate([[True], marked[1:] != marked[:-1]])
    ]  # np.unique hashes, and takes ten times as long
    sizes = np.bincount((marked >> np.uint64(32)).astype(np.int64), minlength=len(texts))
    return marked.astype(np.uint32), sizes


def _sketches(shingles: _Shingles, progress: Callable[[int, int], object] | None) -> NDArray[np.uint32]:
    """The MinHash of each text, a row of 128 values."""
    found = np.empty((len(shingles), _HASHES), np.uint32)
    made = MinHash.generator(shingles, num_perm=_HASHES, scheme="affine32", hashfunc=int)
    for n, sketch in enumerate(made, 1):
        found[n - 1] = sketch.hashvalues
        if progress is not None and n % 1000 == 0:
            progress(n, len(shingles))
    return found


def _candidates(sketches: NDArray[np.uint32], least: float) -> _Codes:
    """Pairs that share a band, and whose estimated similarity is at least `least`.

    An index such as datasketch's MinHashLSH keeps a set for each band of each row: a gigabyte for 100,000 rows, and for
    thousands of near-equal rows all their pairs. Sorting each band needs neither.
    """
    n = len(sketches)
    codes, estimates = np.empty(0, np.int64), np.empty(0)
    for band in range(0, _HASHES, _IN_BAND):
        fresh = _neighbours(sketches, band)
        fresh = fresh[~np.isin(fresh, codes, assume_unique=True, kind="sort")]
        said = _estimated(sketches, fresh)
        codes = np.concatenate([codes, fresh[said >= least]])
        estimates = np.concatenate([estimates, said[said >= least]])
        if len(codes) > 4 * _PARTNERS * n:
            codes, estimates = _bounded(codes, estimates, n)
    return _bounded(codes, estimates, n)[0]


def _neighbours(sketches: NDArray[np.uint32], band: int) -> _Codes:
    """The pairs of rows with the same band, of many rows those that stand near each other in its order."""
    n = len(sketches)
    columns = np.arange(band, band + _IN_BAND + _TAIL) % _HASHES
    keys = np.ascontiguousarray(sketches[:, columns]).view(np.uint64)
    order = np.lexsort(keys.T[::-1])
    own = keys[order, : _IN_BAND // 2]
    bucket = np.concatenate([[0], np.cumsum((own[1:] != own[:-1]).any(axis=1))])
    roomy = np.bincount(bucket)[bucket] <= _CROWDED
    found: list[_Codes] = [np.empty(0, np.int64)]
    for step in range(1, min(_WINDOW + 1, n)):
        there = bucket[step:] == bucket[:-step]
        if step > _CROWDED_WINDOW:
            there &= roomy[step:]
        if not there.any():
            break
        a, b = order[:-step][there], order[step:][there]
        found.append(np.minimum(a, b) * n + np.maximum(a, b))
    return np.concatenate(found)


def _estimated(sketches: NDArray[np.uint32], codes: _Codes) -> NDArray[np.float64]:
    """The similarity of each pair as its sketches tell it."""
    found = [np.empty(0)]
    for part in np.array_split(codes, len(codes) * _HASHES // _AT_ONCE + 1):
        first, second = np.divmod(part, len(sketches))
        found.append((sketches[first] == sketches[second]).mean(axis=1))
    return np.concatenate(found)


def _bounded(codes: _Codes, estimates: NDArray[np.float64], n: int) -> tuple[_Codes, NDArray[np.float64]]:
    """The most similar pairs of each row, and of all others one for each two blocks that would fall apart."""
    order = np.lexsort((codes, -estimates))
    codes, estimates = codes[order], estimates[order]
    first, second = np.divmod(codes, n)
    kept = _rank(first, second) < _PARTNERS
    if not kept.all():
        roots = _roots(n, first[kept], second[kept])
        joined = np.minimum(roots[first], roots[second]) * n + np.maximum(roots[first], roots[second])
        joined[roots[first] == roots[second]] = -1
        at = np.unique(joined, return_index=True)[1]
        kept[at[joined[at] >= 0]] = True
    return codes[kept], estimates[kept]


def _rank(first: _Codes, second: _Codes) -> _Codes:
    """The place of each pair among those of its two rows, in that where it comes earlier; pairs stand in order."""
    rows = np.stack([first, second], axis=1).ravel()
    order = np.argsort(rows, kind="stable")
    ranks = np.empty(len(rows), np.int64)
    ranks[order] = np.arange(len(rows)) - np.searchsorted(rows[order], rows[order])
    earlier: _Codes = ranks.reshape(-1, 2).min(axis=1)
    return earlier


def _roots(n: int, first: _Codes, second: _Codes) -> _Codes:
    """The least row that each row is connected with."""
    roots = np.arange(n)
    while (roots[first] != roots[second]).any():
        least = np.minimum(roots[first], roots[second])
        np.minimum.at(roots, roots[first], least)
        np.minimum.at(roots, roots[second], least)
        while (roots[roots] != roots).any():
            roots = roots[roots]
    return roots
