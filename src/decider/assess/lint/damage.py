"""Texts that were cut off, or decoded with the wrong character set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from decider.assess.lint.columns import Column, is_prose
from decider.assess.lint.finding import Finding, Rows, Severity, counted
from decider.assess.lint.given import grouped

_EXTRA = "repairing texts needs ftfy: pip install 'decider-sdk[data]'"

_FEWEST = 5
"""Fewer texts of one length are chance."""
_SHORTEST = 40
_AROUND = 20
_TIMES = 5
"""How often more texts have the length at which texts are cut than any other length around it."""
_HALF = 0.5
_NEARLY_ALL = 0.8
_NEARLY_NONE = 0.2
_NEAR_LONGEST = 0.9
_START = 20
_TAIL = 10

_UNFINISHED = re.compile(r"(?:[\w,;:(\[{\-\u2013\u2014&/'\u2019…]|\.\.\.)\s*$")
_DOTS = re.compile(r"(?:…|\.\.\.)\s*$")

_ENTITY = re.compile(r"&(?:#\d{2,6}|#[xX][0-9a-fA-F]{2,5}|amp|lt|gt|quot|apos|nbsp|[lr][sd]quo|[nm]dash|hellip|euro);")
_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|(?:\\r)?\\n(?:\\r)?\\n|(?<=[.!?,:;)])(?:\\r)?\\n(?=[A-Z\s]|$)")


def truncated(column: Column, rows: Rows) -> Iterator[Finding]:
    """Texts that stop in the middle at a length that many have, or that end in dots wherever they are long.

    Its certainty is the share of those of that length, or of the long ones, that do.
    """
    cut = list(_at_a_length(column))
    for length, places, share in cut:
        what = f"is exactly {length:,} characters long and stops in the middle of a sentence"
        yield _cut(column, rows, places, share, what, "it was cut off there")
    dotted, share = ([], 0.0) if cut else _dotted(column)
    if dotted:
        why = "nearly all that are as long do, so that it is the beginning of a longer text"
        yield _cut(column, rows, dotted, share, "ends in `…`", why)


def _cut(column: Column, rows: Rows, places: Sequence[int], share: float, what: str, why: str) -> Finding:
    return Finding(
        code="truncated",
        severity="warning",
        rows=_ids(column, rows, places),
        field=column.path,
        message=f"{column.name} {what} in {counted(_count(column, places), 'row')}: {why}",
        suggestion="import the whole texts; leave them only if they are cut in the same way when decided",
        certainty=share,
    )


def _at_a_length(column: Column) -> Iterator[tuple[int, list[int], float]]:
    """Each length at which texts are cut, with the places of those in the column, and their share of that length."""
    of_length = grouped(range(len(column.texts)), lambda n: len(column.texts[n]))
    counts = Counter({length: len(places) for length, places in of_length.items()})
    for length, count in sorted(counts.items(), reverse=True):
        if length < _SHORTEST or count < _FEWEST or count < _TIMES * _expected(counts, length):
            continue
        places = [n for n in of_length[length] if is_prose(column.texts[n])]
        different = {column.texts[n][:_START] for n in places}
        stopped = [n for n in places if _UNFINISHED.search(column.texts[n][-_TAIL:])]
        if len(different) >= max(_FEWEST, _HALF * count) and len(stopped) >= max(_FEWEST, _HALF * count):
            yield length, stopped, len(stopped) / count


def _expected(counts: Counter[int], length: int) -> int:
    """The most texts that have one of the lengths around this one; at least one."""
    return max(1, *(counts[one] for one in range(length - _AROUND, length + _AROUND + 1) if one != length))


def _dotted(column: Column) -> tuple[list[int], float]:
    """The places of long texts that end in dots, where nearly all long texts do, and few others; and their share."""
    longest = max(map(len, column.texts), default=0)
    long = [n for n, text in enumerate(column.texts) if len(text) >= max(_SHORTEST, _NEAR_LONGEST * longest)]
    dotted = [n for n in long if _DOTS.search(column.texts[n][-_TAIL:])]
    if len(dotted) < max(_FEWEST, _NEARLY_ALL * len(long)):
        return [], 0.0
    others = len(column.texts) - len(long)
    elsewhere = sum(_DOTS.search(text[-_TAIL:]) is not None for text in column.texts) - len(dotted)
    return (dotted, len(dotted) / len(long)) if elsewhere <= _NEARLY_NONE * others else ([], 0.0)


def mojibake(column: Column, rows: Rows) -> Iterator[Finding]:
    """Texts decoded with the wrong character set, with characters that were lost, and with codes left in them."""
    yield from _damaged(
        column,
        rows,
        lambda text: fixed(text) != text,
        "was decoded with the wrong character set",
        "read its source as UTF-8, or let `--fix` repair it",
        "warning",
    )
    yield from _damaged(
        column,
        rows,
        lambda text: "\ufffd" in text,
        "has lost characters (U+FFFD stands in their place)",
        "read its source again with the character set that it is in; they cannot be repaired here",
        "warning",
    )
    yield from _damaged(
        column,
        rows,
        lambda text: "&" in text and _ENTITY.search(text) is not None and is_prose(text),
        "has codes of HTML in it, such as `&amp;`",
        "unescape them where the texts come from, in what is decided as well",
        "note",
    )
    yield from _damaged(
        column,
        rows,
        lambda text: "\\" in text and _ESCAPE.search(text) is not None and is_prose(text),
        "has escapes written out in it, such as a backslash and n for a line end",
        "decode them where the texts come from (they were written as JSON twice), in what is decided as well",
        "note",
    )


def fixed(text: str) -> str:
    """Return a text that was decoded with the wrong character set as it was written, any other as it is.

    Quotes, ligatures, widths and line ends stay as they are: decoded anew is only what ftfy's test of mojibake objects
    to. Raises `ImportError` where the extra is missing.
    """
    if text.isascii():
        return text
    try:
        from ftfy import fix_encoding
    except ImportError as error:
        raise ImportError(_EXTRA) from error
    return str(fix_encoding(text))


def _damaged(
    column: Column, rows: Rows, is_so: Callable[[str], bool], what: str, advice: str, severity: Severity
) -> Iterator[Finding]:
    places = [n for n, text in enumerate(column.texts) if is_so(text)]
    if places:
        yield Finding(
            code="mojibake",
            severity=severity,
            rows=_ids(column, rows, places),
            field=column.path,
            message=f"{column.name} {what}, in {counted(_count(column, places), 'row')}",
            suggestion=advice,
        )


def _ids(column: Column, rows: Rows, places: Sequence[int]) -> tuple[str, ...]:
    return rows.ids(list(dict.fromkeys(column.rows[n] for n in places)))


def _count(column: Column, places: Sequence[int]) -> int:
    return len({column.rows[n] for n in places})
