"""What finds personal data in a text: numbers and addresses that can be told from others, and a spec's own patterns."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from decider.spec import Redact

KINDS = ("IBAN", "CARD", "PHONE", "EMAIL", "IP")
"""What is ours, the surest first."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""The letters of scripts that put no space between a word and an address."""

_NO_PART = (
    r"\s@<>()\[\]{},;:\"|/\\=?`\x00-\x1f\u00a0-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u2000-\u206f\u3000-\u303f"
    r"\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)
"""What ends an address, or a part of it: what else stands there belongs to it, combining accents too."""

_EMAIL = re.compile(
    rf"(?:(?:(?<![^{_NO_PART}{_UNSPACED}])|(?<=%40))(?:(?!\w)[^{_NO_PART}{_UNSPACED}])*+"
    rf"(?P<local>(?=\w)(?:(?!%40)[^{_NO_PART}{_UNSPACED}])++)|(?P<unspaced>(?<![{_UNSPACED}])[{_UNSPACED}]++))"
    rf"(?:[@\uff20]|%40)"
    rf"(?:(?:[^{_NO_PART}.%]++\.)+(?:xn--[a-z0-9-]+|[^\W\d_{_UNSPACED}]{{2,}}|[{_UNSPACED}]{{2,}})"
    r"|\[[0-9A-Fa-f.:]+\])"
)

_DIGIT = re.compile(r"\d")
_FEWEST = 7
"""Digits of the shortest number that leads to a person."""

_GAP = r" \u00a0\u2007\u2009\u202f.\-\u2010-\u2015"
"""What stands between the groups of a number."""

_NORTH_AMERICAN = re.compile(
    rf"(?<!\w)(?<!\d[-.])(?:1[{_GAP}]?)?(?:\(\d{{3}}\)[{_GAP}]?|\d{{3}}[{_GAP}])\d{{3}}[{_GAP}]\d{{4}}(?!\w|[-.]\d)"
)

_NUMBER = re.compile(rf"\d(?:[{_GAP}_]{{0,3}}\d)*+")
_CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11,16}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|(?:6\d|81)\d{14,17}"  # Discover, UnionPay, RuPay, most of Maestro
    r"|5[0678]\d{11,17}"  # Maestro
    r"|220[0-4]\d{12,15}|(?:9792|82\d\d)\d{12}"  # Mir, Troy, RuPay
)
_SHORTEST_CARD, _LONGEST_CARD = 13, 19

_IBAN = re.compile(r"(?:(?<![^\W_])|(?<=IBAN))([A-Z]{2})\d\d", re.IGNORECASE | re.ASCII)
_IBAN_LENGTHS: Mapping[str, int] = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip

_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)", re.ASCII)
_IPV6 = re.compile(r"(?:\w*+:){2,}+\w*+(?:(?<=\d)(?:\.\d+){3})?(?:%\w+)?", re.ASCII)
_HEXTET = re.compile(r"[0-9A-Fa-f]{0,4}")
_LEAST_HEX = 5
"""Hexadecimal digits of an IPv6 address: with fewer, it may as well be a slice of Python or a path of C++."""

_NUMBERED = re.compile(
    r"(?:\b(?:version|ver|release|build|firmware|revision|section|sec|clause|chapter|article|paragraph)\b\.?|§|\bv\.)"
    r"[\s:=#]*$",
    re.IGNORECASE,
)
"""What stands before four numbers with dots that are no address."""
_BEFORE = 16


class Span(NamedTuple):
    """A piece of a text, from `start` to before `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Finder:
    """What finds one kind of thing; where `may` says no, there is none in the text, and nothing is searched."""

    label: str
    may: Callable[[str], bool]
    find: Callable[[str], Iterable[Span]]


def own(settings: Redact) -> Iterator[Finder]:
    """Return what finds the spec's own patterns, each under its name."""
    for name, pattern in sorted(settings.patterns.items()):
        yield Finder(name.upper(), bool, _matches(re.compile(pattern)))


def ours(settings: Redact) -> Iterator[Finder]:
    """Return what finds the kinds that are ours."""
    known = {
        "IBAN": Finder("IBAN", _numeric, _ibans),
        "CARD": Finder("CARD", _numeric, _cards),
        "PHONE": Finder("PHONE", _numeric, _phones(settings.region)),
        "EMAIL": Finder("EMAIL", _with_at, _emails),
        "IP": Finder("IP", _with_dots, _addresses),
    }
    return (known[label] for label in KINDS if label.lower() in settings.kinds)


def _matches(pattern: re.Pattern[str]) -> Callable[[str], Iterator[Span]]:
    """What finds a pattern, but for matches of nothing."""
    return lambda text: (Span(*one.span()) for one in pattern.finditer(text) if one.end() > one.start())


def _with_at(text: str) -> bool:
    return "@" in text or "%40" in text or "\uff20" in text


def _emails(text: str) -> Iterator[Span]:
    for one in _EMAIL.finditer(text):
        yield Span(one.start("local") if one["local"] else one.start(), one.end())


def _numeric(text: str) -> bool:
    """Whether there are seven digits or more; to count each is the quickest way to find that there are not."""
    if sum(map(text.count, "0123456789")) >= _FEWEST:
        return True
    return not text.isascii() and len(_DIGIT.findall(text)) >= _FEWEST


def _phones(region: str | None) -> Callable[[str], Iterator[Span]]:
    """What finds phone numbers: international and North American ones, and those of a region as one dials them there.

    With a `+` the length must be possible. Without it the number must exist: what looks like an order is left.
    """

    def found(text: str) -> Iterator[Span]:
        import phonenumbers  # an extra, and few texts have a number in them

        yield from (Span(*one.span()) for one in _NORTH_AMERICAN.finditer(text))
        searches = [(region, phonenumbers.Leniency.VALID), (None, phonenumbers.Leniency.POSSIBLE)]
        for home, leniency in searches if "+" in text or "\uff0b" in text else searches[: region is not None]:
            for one in phonenumbers.PhoneNumberMatcher(text, home, leniency=leniency, max_tries=len(text)):
                yield Span(one.start, one.end)

    return found


def _cards(text: str) -> Iterator[Span]:
    """Card numbers: the lengths and first digits of a brand, in the groups of a card, and the last digit right."""
    for number in _NUMBER.finditer(text):
        groups = [Span(*one.span()) for one in re.compile(r"\d+").finditer(text, *number.span())]
        for first, start in enumerate(groups):
            if start.end - start.start == 1 and (first > 0 or len(groups) > _LONGEST_CARD):
                continue  # digits that are dictated one by one are nothing else, from the first to the last
            for last, end in enumerate(groups[first : first + _LONGEST_CARD], first + 1):
                digits = "".join(text[slice(*group)] for group in groups[first:last])
                if len(digits) > _LONGEST_CARD:
                    break
                sizes = [group.end - group.start for group in groups[first:last]]
                if len(digits) >= _SHORTEST_CARD and _grouped(sizes) and _is_card(digits):
                    yield Span(start.start, end.end)


def _grouped(sizes: list[int]) -> bool:
    """Whether digits stand in equal groups, but for the last, or in groups as on a card."""
    equal = len(set(sizes[:-1])) < 2 and sizes[-1] <= sizes[0]
    return equal or (sizes[0] >= 4 and min(sizes[1:]) >= 3)


def _is_card(digits: str) -> bool:
    if not digits.isascii():
        digits = "".join(str(unicodedata.decimal(one)) for one in digits)
    if _CARD.fullmatch(digits) is None:
        return False
    doubled = (sum(divmod(2 * int(one), 10)) for one in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(doubled)) % 10 == 0


def _ibans(text: str) -> Iterator[Span]:
    """Account numbers: the length that the country gives them, and the check digits right."""
    for head in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(head[1].upper())
        whole = None if length is None else _iban_of(length).match(text, head.start(1))
        if whole is not None and _is_iban(re.sub(r"[^A-Za-z0-9]", "", whole[0])):
            yield Span(*whole.span())


@lru_cache(maxsize=64)
def _iban_of(length: int) -> re.Pattern[str]:
    return re.compile(rf"[A-Za-z0-9](?:[ \u00a0\u202f-]?[A-Za-z0-9]){{{length - 1}}}(?![A-Za-z0-9])")


def _is_iban(number: str) -> bool:
    return int("".join(str(int(one, 36)) for one in number[4:] + number[:4])) % 97 == 1


def _with_dots(text: str) -> bool:
    return text.count(".") >= 3 or text.count(":") >= 2


def _addresses(text: str) -> Iterator[Span]:
    for one in _IPV4.finditer(text):
        numbered = _NUMBERED.search(text, max(0, one.start() - _BEFORE), one.start())
        if numbered is None and _is_address(one[0]):
            yield Span(*one.span())
    for one in _IPV6.finditer(text):
        span = _narrowed(text, Span(*one.span()))
        if _is_address(text[span.start : span.end]) and _is_told(text[span.start : span.end]):
            yield span


def _narrowed(text: str, span: Span) -> Span:
    """Without the words before it, as in `addr:2001:db8::1`, and without a colon that ends a phrase."""
    start, end = span
    while (colon := text.find(":", start, end)) > 0 and _HEXTET.fullmatch(text, start, colon) is None:
        start = colon + 1
    if text[:end].endswith(":") and not text[:end].endswith("::"):
        end -= 1
    return Span(start, end)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_told(text: str) -> bool:
    """Whether an IPv6 address has enough in it to be told from a slice `[1::2]` or a path `a::b`."""
    digits = [one for one in text.partition("%")[0] if one.isalnum()]
    return len(digits) >= _LEAST_HEX and any(one.isdigit() for one in digits)
