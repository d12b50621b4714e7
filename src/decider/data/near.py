"""Inputs that are the same but for their spelling, and inputs that are nearly the same."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from decider.decision import Input
from decider.examples import identity
from decider.schema import Field, pick

THRESHOLD = 0.55
"""From what similarity on texts are near.

Measured on 9,000 short intents: of edits such as a word replaced, dropped or added, a typo, a greeting or a name below,
98 % are found (at 0.6: 96 %), 88 % of the pairs that were there before have one label, and the longest chain of them
holds 2 % of the rows. With words in place of characters, as many edits are found with nearly twice the pairs that
differ in their label. In complaints of 150 words all of these edits are found.
"""

_LOWEST = 0.5

_FEWEST_WORDS = 4
"""Of fewer words, one that is changed makes it another text."""

_LONGEST = 2000
"""Letters of a text that are compared, from its beginning and from its end; what is between them is not looked at."""

_PROSE = 0.25
"""The share of a field's values that must have enough words, and the share that must be distinct, to compare it."""

_ALONE = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts that put no space between words: each of their letters counts as one."""

_MARKS = "\u0300-\u036f\u0591-\u05bd\u064b-\u0652\u0900-\u0dff"
"""Signs inside words that Python's `\\w` leaves out, and scripts that need them."""

_WORD = re.compile(f"[{_ALONE}]|(?:(?![{_ALONE}])[\\w{_MARKS}])+")
_APOSTROPHE = str.maketrans("", "", "'\u2019\u02bc")
_SENTENCE = ".,;:!?\u2026\"'()\u00a1\u00bf\u201c\u201d\u3002\uff01\uff1f "
_NUMBER = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Two rows with nearly the same text, by their numbers from 0, and how similar they are, in [`THRESHOLD`, 1].

    Each is the first row of those with the same input, and `first` is less than `second`.
    """

    first: int
    second: int
    similarity: float


def same(inputs: Sequence[Input]) -> list[int]:
    """Return for each row the number of the first row with the same input, spelling aside; for most, its own.

    Case, white space and the compatible forms of Unicode are spelling.
    """
    firsts: dict[str, int] = {}
    return [firsts.setdefault(identity(one), n) for n, one in enumerate(inputs)]


def near(
    inputs: Sequence[Input],
    fields: tuple[Field, ...] = (),
    *,
    threshold: float = THRESHOLD,
    progress: Callable[[int, int], object] | None = None,
) -> list[Near]:
    """Return the pairs of different inputs whose texts are nearly the same, the most similar first.

    The similarity is the Jaccard index of their sets of four characters in a row, after case, punctuation and accents'
    spelling are evened out and each number stands for all numbers; pairs are searched for by MinHash and locality
    sensitive hashing (Broder 1997; Indyk and Motwani 1998), and each is then measured exactly. Texts of fewer than four
    words are near only to those with the same words. Of a mapping, only free text is compared: `fields` says which
    values may be, and the values which are; numbers, categories and names are never near.

    Of rows that are alike by the thousand, each is named with those most similar to it, not with all: whoever needs all
    of them follows the pairs from row to row. The pairs do not depend on the order of the rows. `progress` is called
    with the rows done and their number. Raises `ImportError` where datasketch is not installed, `ValueError` for a
    threshold outside [0.5, 1]: of pairs that are less similar, many would not be found.
    """
    if not _LOWEST <= threshold <= 1:
        raise ValueError(f"threshold must be in [{_LOWEST}, 1], not {threshold}")
    blocks = _blocks(inputs, fields)
    found = [(block[0], other, 1.0) for block in blocks.values() for other in block[1:]]
    texts = sorted(text for text in blocks if _enough(text))
    if len(texts) > 1:
        firsts = [blocks[text][0] for text in texts]
        found += [(firsts[a], firsts[b], similarity) for a, b, similarity in _pairs(texts, threshold, progress)]
    pairs = [Near(first=min(a, b), second=max(a, b), similarity=similarity) for a, b, similarity in found]
    return sorted(pairs, key=lambda one: (-one.similarity, one.first, one.second))


def texts_of(value: Any) -> Iterator[str]:
    """Yield every text in a value, at any depth."""
    match value:
        case str():
            yield value
        case Mapping():
            for one in value.values():
                yield from texts_of(one)
        case list() | tuple():
            for one in value:
                yield from texts_of(one)


def _pairs(
    texts: Sequence[str], threshold: float, progress: Callable[[int, int], object] | None
) -> list[tuple[int, int, float]]:
    from decider.data.minhash import pairs  # numpy and datasketch are an extra, and slow to import

    return pairs(texts, threshold, progress)


def _blocks(inputs: Sequence[Input], fields: tuple[Field, ...]) -> Mapping[str, list[int]]:
    """The distinct inputs by what is compared of them; those with nothing to compare are left out."""
    firsts = [n for n, first in enumerate(same(inputs)) if n == first]
    texts = _texts([inputs[n] for n in firsts], fields)
    found: dict[str, list[int]] = defaultdict(list)
    for n, text in zip(firsts, texts, strict=True):
        if compared := _compared(text):
            found[compared].append(n)
    return found


def _texts(inputs: Sequence[Input], fields: tuple[Field, ...]) -> list[str]:
    """The free text of each input."""
    paths = _free(inputs, fields)
    return [one if isinstance(one, str) else "\n".join(_leaf(one, path) for path in paths) for one in inputs]


def _free(inputs: Sequence[Input], fields: tuple[Field, ...]) -> list[str]:
    """The fields that hold free text: some have several words, and few have the same."""
    records = [one for one in inputs if not isinstance(one, str)]
    paths = [field.path for field in fields if field.kind in ("text", "other")]
    if not fields:
        paths = list(dict.fromkeys(str(key) for one in records for key in one))
    return [path for path in sorted(paths) if _is_prose([_leaf(one, path) for one in records])]


def _is_prose(values: Sequence[str]) -> bool:
    said = [value for value in values if value]
    long = sum(len(_WORD.findall(value)) >= _FEWEST_WORDS for value in said)
    return long > 0 and long >= _PROSE * len(said) and len(set(said)) >= _PROSE * len(said)


def _leaf(record: Mapping[str, Any], path: str) -> str:
    """The text at a path, or all texts below it."""
    try:
        return "\n".join(texts_of(pick(record, path)))
    except KeyError:
        return ""


def _compared(text: str) -> str:
    """What is compared of a text: its words, each number as any other; of a short text, all but its punctuation."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = _WORD.findall(folded.translate(_APOSTROPHE))
    if sum(not word.isdecimal() for word in words) >= _FEWEST_WORDS:
        evened = " ".join([word if word.isalpha() else _evened(word) for word in words])
        return evened if len(evened) <= 2 * _LONGEST else f"{evened[:_LONGEST]} {evened[-_LONGEST:]}"
    short = " ".join(folded.strip(_SENTENCE).split())
    return short and f"\t{short}"


def _evened(word: str) -> str:
    """A word that has a digit is a number, or an id, which tells as little."""
    return _NUMBER if any(map(str.isdigit, word)) else word


def _enough(text: str) -> bool:
    return not text.startswith("\t")
