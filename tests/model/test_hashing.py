"""The one hash: equal to a slow reference, and the same wherever an n-gram stands."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decider.model.hashing import BITS, buckets, normalized

BASE, M64 = 0x9E3779B97F4A7C15, 2**64 - 1
MIX, WORD, PAIR = 0xD6E8FEB86659FD93, 0x1234567812345678, 0xA24BAED4963EE407


def polynomial(data: bytes) -> int:
    return sum(byte * pow(BASE, n, 2**64) for n, byte in enumerate(data)) & M64


def bucket(value: int) -> int:
    return (((value ^ (value >> 32)) * MIX) & M64) >> (64 - BITS)


def slowly(text: str, least: int, most: int) -> list[int]:
    """The definition, a byte at a time."""
    data = normalized(text).encode("utf-8", "replace")
    inside = [byte >= 128 or chr(byte).isalnum() or byte == ord("_") for byte in data]
    words, start = [], None
    for n, yes in enumerate([*inside, False]):
        if yes and start is None:
            start = n
        if not yes and start is not None:
            words.append((polynomial(data[start:n]) ^ WORD) * MIX & M64)
            start = None
    found = [bucket(word) for word in words]
    found += [bucket((a * PAIR + b) & M64) for a, b in pairwise(words)]
    letters = normalized(text)
    for size in range(1, most + 1):
        grams = [letters[n : n + size] for n in range(len(letters) - size + 1)]
        runs = [gram.encode("utf-8", "replace") for gram in grams if " " not in gram[1:-1]]
        found += [bucket(polynomial(run)) for run in runs if len(run) >= least]
    return sorted(found)


@given(st.text(max_size=60) | st.text("ab 1_'é漢🙂", max_size=60), st.integers(1, 4), st.integers(1, 5))
def test_it_equals_the_slow_definition(text: str, least: int, most: int) -> None:
    assert sorted(buckets(text, least=least, most=most).tolist()) == slowly(text, least, most)


@pytest.mark.parametrize(
    "text", ["", " ", "a", "é", "a b", "\x00", "🙂", "שלום", "\ud800 half", "x" * 9000, "word " * 2000, "é" * 9000]
)
def test_every_text_has_buckets_in_range(text: str) -> None:
    found = buckets(text, least=3, most=4)
    assert found.dtype == np.int64
    assert ((found >= 0) & (found < 1 << BITS)).all()


def test_a_long_text_has_the_buckets_of_its_parts() -> None:
    part = set(buckets("one two three", least=3, most=4).tolist())
    assert set(buckets("one two three " * 1000, least=3, most=4).tolist()) >= part


def test_a_megabyte_takes_no_more_than_a_few_seconds_and_keeps_nothing() -> None:
    begun = time.process_time()
    tracemalloc.start()
    try:
        assert buckets("refund " * 150_000, least=3, most=4).size > 1_000_000
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - begun < 5
    assert kept < 100_000
    assert most < 200_000_000


def test_an_n_gram_has_one_bucket_wherever_it_stands() -> None:
    alone = set(buckets("refund", least=3, most=4).tolist())
    inside = set(buckets("I would like a refund please", least=3, most=4).tolist())
    assert alone <= inside


def test_case_width_and_spaces_do_not_matter() -> None:
    assert buckets("\uff32efund\n NOW", least=3, most=4).tolist() == buckets("refund now", least=3, most=4).tolist()


def test_quotes_and_dashes_of_word_processors_do_not_matter() -> None:
    typed = buckets('can\'t "re-open"', least=3, most=4).tolist()
    assert buckets("can’t “re‑open”", least=3, most=4).tolist() == typed


def test_scripts_of_wider_letters_have_shorter_runs() -> None:
    alone = set(buckets("退", least=3, most=4).tolist())
    assert alone & set(buckets("我要退款", least=3, most=4).tolist())
    assert set(buckets("возврат", least=3, most=4).tolist()) & set(buckets("возвращать", least=3, most=4).tolist())


def test_python_s_own_hash_has_no_part_in_it() -> None:
    code = "from decider.model.hashing import buckets; print(buckets('charged twice', least=3, most=4).sum())"
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
