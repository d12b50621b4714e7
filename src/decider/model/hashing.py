"""One vectorised hash for every n-gram of a text: the same in training and in answering, on any machine.

A prefix polynomial over the UTF-8 bytes, modulo 2^64 (Karp and Rabin, 1987): with an odd base the powers have inverses,
so the difference of two prefixes, times an inverse power, is a hash of the bytes between that does not depend on where
they stand. N-grams of all lengths and whole words thus come from one cumulative sum.
"""

from __future__ import annotations

import unicodedata

import numpy as np
from numpy.typing import NDArray

BITS = 18
"""Hashes are cut to this many bits: about a million buckets."""

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_WORD = np.uint64(0x1234567812345678)
_PAIR = np.uint64(0xA24BAED4963EE407)
_HALF = np.uint64(32)
_CUT = np.uint64(64 - BITS)
_SPACE = 32


def _powers(base: int, size: int) -> NDArray[np.uint64]:
    """The first `size` powers of `base`, from 1 on."""
    factors = np.full(size, base, np.uint64)
    factors[:1] = 1
    return np.multiply.accumulate(factors)


def _word_bytes() -> NDArray[np.bool_]:
    """Which bytes belong to a word: letters, digits, the underscore, and all of any other script."""
    table = np.zeros(256, np.bool_)
    table[np.frombuffer(b"abcdefghijklmnopqrstuvwxyz0123456789_", np.uint8)] = True
    table[128:] = True
    return table


_IN_WORD = _word_bytes()
_USUAL = 8192
"""Bytes of a usual text: their powers are kept, those of a longer text are worked out for it alone."""
_UP, _DOWN = _powers(_BASE, _USUAL), _powers(_INVERSE, _USUAL)

# Text from phones and word processors has these where a keyboard has the plain ones, and NFKC leaves them as they are.
_PLAIN = str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2011\u2012\u2013\u2014", "''\"\"-----")


def normalized(text: str) -> str:
    """Return `text` in NFKC and lower case, with plain quotes and dashes, single spaces, and one at either end."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    return f" {' '.join(text.lower().split())} "


def buckets(text: str, *, least: int, most: int) -> NDArray[np.int64]:
    """Return the bucket of each n-gram in `text`, with repetitions.

    The n-grams are words, pairs of neighbouring words, and runs of at most `most` characters and at least `least`
    bytes, which do not cross a word's edge; the space beside a word marks it. Scripts whose letters take two or three
    bytes, and say more each, thus have shorter runs than ASCII.
    """
    data = np.frombuffer(normalized(text).encode("utf-8", "replace"), np.uint8)
    size = data.size
    up, down = (_UP[:size], _DOWN[:size]) if size <= _USUAL else (_powers(_BASE, size), _powers(_INVERSE, size))
    prefix = np.zeros(size + 1, np.uint64)
    np.multiply(data, up, out=prefix[1:])
    np.add.accumulate(prefix, out=prefix)
    words = _words(data, prefix, down)
    found = [words, words[:-1] * _PAIR + words[1:], *_runs(data, prefix, down, least, most)]
    return _bucket(np.concatenate(found))


def _words(data: NDArray[np.uint8], prefix: NDArray[np.uint64], down: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The hash of each word, mixed so that a word and the same bytes as a run differ."""
    inside = _IN_WORD.take(data)
    edges = (inside[1:] != inside[:-1]).nonzero()[0] + 1
    starts, ends = edges[::2], edges[1::2]
    hashes: NDArray[np.uint64] = prefix.take(ends)
    hashes -= prefix.take(starts)
    hashes *= down.take(starts)
    hashes ^= _WORD
    hashes *= _MIX
    return hashes


def _runs(
    data: NDArray[np.uint8], prefix: NDArray[np.uint64], down: NDArray[np.uint64], least: int, most: int
) -> list[NDArray[np.uint64]]:
    """The hashes of the runs inside words, by their length in characters."""
    solid, at = data != _SPACE, None
    if (data >= 128).any():
        at = np.append(((data & 0xC0) != 0x80).nonzero()[0], data.size)  # where characters begin, and the end
        solid, down, prefix = solid[at[:-1]], down[at[:-1]], prefix[at]
    found = []
    for n in range(least if at is None else 1, min(most, solid.size) + 1):
        kept = _inside(solid, n)
        if at is not None:
            kept = kept & (at[n:] - at[:-n] >= least)
        hashes = prefix[n:] - prefix[:-n]
        hashes *= down[: kept.size]
        found.append(hashes[kept])
    return found


def _inside(solid: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    """Which runs of `n` characters have a space at neither place but the first and the last."""
    count = solid.size - n + 1
    kept = solid[1 : 1 + count] if n > 2 else np.ones(count, np.bool_)
    for place in range(2, n - 1):
        kept = kept & solid[place : place + count]
    return kept


def _bucket(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The top bits after mixing: the low bits of a polynomial modulo 2^64 hang on the low bits of the bytes alone."""
    hashes ^= hashes >> _HALF
    hashes *= _MIX
    hashes >>= _CUT
    return hashes.view(np.int64)
