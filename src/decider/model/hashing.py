"""One vectorised hash for every n-gram of a text: the same in training and in answering, on any machine.

A prefix polynomial over the UTF-8 bytes, modulo 2^64 (Karp and Rabin, 1987): with an odd base the powers have inverses,
so the difference of two prefixes, times an inverse power, is a hash of the bytes between that does not depend on where
they stand. N-grams of all lengths and whole words thus come from one cumulative sum.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BITS = 20
"""Hashes are cut to this many bits: about a million buckets."""

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_WORD = np.uint64(0x1234567812345678)
_PAIR = np.uint64(0xA24BAED4963EE407)
_HALF = np.uint64(32)
_CUT = np.uint64(64 - BITS)
_SPACE = 32


def _word_bytes() -> NDArray[np.bool_]:
    """Which bytes belong to a word: letters, digits, the underscore, and all of any other script."""
    table = np.zeros(256, np.bool_)
    table[np.frombuffer(b"abcdefghijklmnopqrstuvwxyz0123456789_", np.uint8)] = True
    table[128:] = True
    return table


_IN_WORD = _word_bytes()


@lru_cache(maxsize=8)
def _powers(size: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The first `size` powers of the base and of its inverse."""
    powers, inverses = np.empty(size, np.uint64), np.empty(size, np.uint64)
    up = down = 1
    for n in range(size):
        powers[n], inverses[n] = up, down
        up, down = up * _BASE % 2**64, down * _INVERSE % 2**64
    return powers, inverses


def normalized(text: str) -> str:
    """Return `text` in NFKC and lower case, with single spaces, and one at either end."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return f" {' '.join(text.lower().split())} "


def buckets(text: str, *, least: int, most: int) -> NDArray[np.int64]:
    """Return the bucket of each n-gram in `text`, with repetitions.

    The n-grams are words, pairs of neighbouring words, and runs of `least` to `most` bytes that do not cross a word's
    edge, which the space beside a word marks.
    """
    data = np.frombuffer(normalized(text).encode("utf-8", "replace"), np.uint8)
    powers, inverses = _powers(max(1024, 1 << (data.size - 1).bit_length()))
    prefix = np.zeros(data.size + 1, np.uint64)
    np.cumsum(data * powers[: data.size], out=prefix[1:])
    words = _words(data, prefix, inverses)
    grams = [words, words[:-1] * _PAIR + words[1:]]
    spaces = np.concatenate(([0], np.cumsum(data == _SPACE)))
    for n in range(least, min(most, data.size) + 1):
        hashes = (prefix[n:] - prefix[:-n]) * inverses[: data.size - n + 1]
        inner = spaces[n - 1 : data.size] - spaces[1 : data.size - n + 2]
        grams.append(hashes[inner == 0])
    return _bucket(np.concatenate(grams))


def _words(data: NDArray[np.uint8], prefix: NDArray[np.uint64], inverses: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The hash of each word, mixed so that a word and the same bytes as an n-gram differ."""
    inside = _IN_WORD[data]
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    hashes: NDArray[np.uint64] = ((prefix[ends] - prefix[starts]) * inverses[starts] ^ _WORD) * _MIX
    return hashes


def _bucket(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The top bits after mixing: the low bits of a polynomial modulo 2^64 hang on the low bits of the bytes alone."""
    mixed = (hashes ^ (hashes >> _HALF)) * _MIX
    return (mixed >> _CUT).astype(np.int64)
