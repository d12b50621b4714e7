"""Which label is meant by a value that is none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from decider.schema import Field, Label

_WORD = re.compile(r"[^\W_]+")
_DIGITS = re.compile(r"\d+")
_TRUE = frozenset({"true", "yes", "y", "1"})
_FALSE = frozenset({"false", "no", "n", "0"})
_NONE = frozenset({"", "none", "null", "n a", "na", "nil"})
_LEAST_LETTERS = 5


def meant(value: Any, field: Field) -> tuple[Label, ...]:
    """Return the one label that a value is another spelling of; an empty tuple where it is not beyond doubt.

    That is another case, other spaces or marks between words, one letter too many, too few or two swapped, and words
    for true, false and null. A letter that is another one may make another word, and is not taken for a slip.
    """
    said = _plain(value)
    if said is None:
        return ()
    alike = [label for label in field.labels if _plain(label) == said]
    if not alike:
        alike = [label for label in field.labels if said in _words_for(label)]
    if not alike:
        alike = [label for label in field.labels if isinstance(label, str) and _is_slip(said, _plain(label) or "")]
    return tuple(alike) if len(alike) == 1 else ()


def nearest(value: Any, field: Field) -> tuple[Label, ...]:
    """Return the label that is the most like a value, or an empty tuple where none is like it."""
    beyond_doubt = meant(value, field)
    if beyond_doubt or not isinstance(value, str):
        return beyond_doubt
    plain = {_plain(label) or "": label for label in field.labels if isinstance(label, str)}
    close = get_close_matches(_plain(value) or "", list(plain), 1)
    return tuple(plain[name] for name in close)


def replaced(value: Any, by: Mapping[int, Label]) -> Any:
    """Return the value of a field with some of its labels, by their number, in place of others; a tag stands once."""
    if not isinstance(value, list):
        return by.get(0, value)
    return list(dict.fromkeys(by.get(n, one) for n, one in enumerate(value)))


def unknown(value: Any, field: Field) -> dict[int, Any]:
    """Return the parts of a value that are no labels of its field, by their number; only tags have several parts."""
    parts: Sequence[Any] = value if field.kind == "tags" and isinstance(value, list) else [value]
    known = {(type(label), label) for label in field.labels}
    return {n: one for n, one in enumerate(parts) if isinstance(one, (list, dict)) or (type(one), one) not in known}


def _plain(value: Any) -> str | None:
    """A label in lower case, with one space between its words; None for what is no text and no number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def _words_for(label: Label) -> frozenset[str]:
    if label is None:
        return _NONE
    return (_TRUE if label else _FALSE) if isinstance(label, bool) else frozenset()


def _is_slip(said: str, label: str) -> bool:
    """Whether one letter is too many or too few, or two letters beside each other are swapped."""
    if min(len(said), len(label)) < _LEAST_LETTERS or said[0] != label[0] or _digits(said) != _digits(label):
        return False
    short, long = sorted((said, label), key=len)
    at = next((n for n, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(long) == len(short) + 1:
        return short[at:] == long[at + 1 :]
    swapped = short[:at] + short[at : at + 2][::-1] + short[at + 2 :]
    return len(long) == len(short) and swapped == long


def _digits(text: str) -> list[str]:
    return _DIGITS.findall(text)
