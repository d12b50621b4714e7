"""Rows in another language than the rest, where that is beyond doubt."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from decider.assess.lint.columns import Column, is_prose
from decider.assess.lint.finding import Finding, Rows, counted

_EXTRA = "telling languages apart needs py3langid: pip install 'decider-sdk[data]'"

_SURE = 0.8
"""The least probability of a language, normalised for the length of the text."""
_AGAINST = 0.01
"""The most that the language of the rest may have: languages that are near each other are not told apart."""
_MAIN = 0.05
"""A language of so many texts belongs to the dataset."""
_LEAST_BYTES, _MOST_LETTERS = 60, 300

_NO_LANGUAGE = frozenset({"zxx", "und", "mul"})
"""Codes of ISO 639 for what is in no language, in an unknown one, or in several."""

_WORD = re.compile(r"[^\W\d_]+")
_ANONYMOUS = re.compile(r"\b[xX]{2,}\b")
_ADDRESS = re.compile(r"\S*(?:://|@|www\.)\S*")
_IN_ADDRESSES = ("://", "@", "www.")


def language(column: Column, rows: Rows) -> Iterator[Finding]:
    """Texts in another language than the main ones: a finding for each language, by its code of ISO 639.

    Its certainty is the probability of that language in the row where it is the least sure.

    Naive Bayes over byte n-grams (Lui and Baldwin, langid.py, 2012), of texts with 60 bytes of letters or more. Raises
    `ImportError` where the extra is missing.
    """
    identifier = _identifier()
    told = [(n, *_told(identifier, text)) for n, text in zip(column.rows, column.texts, strict=True)]
    languages = Counter(code for _, letters, code, _ in told if letters)
    main = {code for code, count in languages.items() if count >= _MAIN * languages.total()} - _NO_LANGUAGE
    others: dict[str, dict[int, float]] = defaultdict(dict)
    for n, letters, code, probability in told:
        sure = letters and main and code not in main | _NO_LANGUAGE and probability >= _SURE
        if sure and _is_foreign(identifier, letters, code, main):
            others[code][n] = min(probability, others[code].get(n, 1.0))
    for code, found in sorted(others.items()):
        yield _finding(column, rows, code, found, sorted(main))


def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise ImportError(_EXTRA) from error
    return _loaded(LanguageIdentifier, MODEL_FILE)


@lru_cache(maxsize=1)
def _loaded(kind: Any, model: str) -> Any:
    return kind.from_model_file(model, norm_probs=True)


def _told(identifier: Any, text: str) -> tuple[str, str, float]:
    """The letters of a text that say something of its language, none where they are too few; what it is in; how sure.

    What was put for names and numbers when a text was made anonymous, and addresses, are in no language.
    """
    if not is_prose(text):
        return "", "", 0.0
    start = _ANONYMOUS.sub(" ", text[: 2 * _MOST_LETTERS])
    if any(part in start for part in _IN_ADDRESSES):
        start = _ADDRESS.sub(" ", start)
    letters = " ".join(_WORD.findall(start))[:_MOST_LETTERS]
    if len(letters.encode()) < _LEAST_BYTES:
        return "", "", 0.0
    code, probability = identifier.classify(letters)
    return letters, str(code), float(probability)


def _is_foreign(identifier: Any, letters: str, code: str, main: set[str]) -> bool:
    """Whether the language is far from the main ones in the whole text, and likelier than they in both its halves."""
    whole = dict(identifier.rank(letters))
    middle = letters.find(" ", len(letters) // 2)
    cut = middle if middle > 0 else len(letters) // 2
    halves: list[Mapping[str, float]] = [dict(identifier.rank(half)) for half in (letters[:cut], letters[cut:])]
    far = all(whole[one] <= _AGAINST for one in main)
    return far and all(half[code] > max(half[one] for one in main) for half in halves)


def _finding(column: Column, rows: Rows, code: str, found: Mapping[int, float], main: list[str]) -> Finding:
    one = len(found) == 1
    return Finding(
        code="language",
        severity="warning",
        rows=rows.ids(list(found)),
        field=column.path,
        message=f"{column.name} is in another language ({code}) in {counted(len(found), 'row')}; nearly all"
        f" others are in {' or '.join(main)}",
        suggestion=f"leave {'it' if one else 'them'} out if no such text is to be decided; else label more of them",
        certainty=min(found.values()),
    )
