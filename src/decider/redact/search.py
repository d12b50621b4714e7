"""A search of a text for all that is redacted in it, and a marker in place of each find."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from decider.redact import finders
from decider.redact.finders import Span
from decider.spec import Redact

_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u115f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069"
    "\u3164\ufe00-\ufe0f\ufeff\U000e0000-\U000e007f\U000e0100-\U000e01ef]"
)
"""What nobody sees: an address with such a character in it is one to a reader, and becomes one again in a prompt."""

_Find: TypeAlias = tuple[Span, int]
"""Where something is, and the place of its finder among all: of two as long, the first names the marker."""

_MARKER = -1
"""Stands for a finder where a marker is found."""


class Search:
    """Finds what a spec's `redact` names, and leaves markers such as `[EMAIL]`."""

    def __init__(self, settings: Redact) -> None:
        self._finders = (*finders.own(settings), *finders.ours(settings))
        self._may = tuple({finder.may for finder in self._finders})
        self._marker = re.compile(rf"\[(?:{'|'.join({*finders.KINDS, *map(str.upper, settings.patterns)})})\]")

    def replaced(self, text: str) -> str:
        """Return the text with markers for all that is found, so that a second search finds nothing.

        A marker changes what stands around it: the text is searched until there is nothing more. That ends, since each
        time there are fewer characters outside markers.
        """
        while (found := self._pass(text)) is not text:
            text = found
        return text

    def _pass(self, text: str) -> str:
        """The text with markers for what is found in it; the same object where nothing is."""
        told = {may: may(text) for may in self._may}
        likely = [finder for finder in self._finders if told[finder.may]]
        if not likely:
            return text
        seen, places = _seen(text)
        finds = [(span, rank) for rank, finder in enumerate(likely) for span in finder.find(seen)]
        if not finds:
            return text
        markers = [Span(*one.span()) for one in self._marker.finditer(seen)]
        parts, done = list[str](), 0
        for span, rank in _merged(finds, markers):
            parts += (text[done : places[span.start]], f"[{likely[rank].label}]")
            done = places[span.end - 1] + 1
        return "".join((*parts, text[done:])) if parts else text


def _seen(text: str) -> tuple[str, Sequence[int]]:
    """The text without what nobody sees, and where each of its characters stands in the whole."""
    if _UNSEEN.search(text) is None:
        return text, range(len(text))
    places = [n for n, one in enumerate(text) if _UNSEEN.match(one) is None]
    return "".join(text[n] for n in places), places


def _merged(finds: list[_Find], markers: list[Span]) -> Iterator[_Find]:
    """Finds that overlap each other or a marker as one."""
    overlapping, end = list[_Find](), 0
    for span, rank in sorted([*finds, *((span, _MARKER) for span in markers)]):
        if overlapping and span.start >= end:
            yield from _united(overlapping)
            overlapping = []
        overlapping.append((span, rank))
        end = max(end, span.end)
    yield from _united(overlapping)


def _united(overlapping: list[_Find]) -> Iterator[_Find]:
    """One find for all, of the kind of the longest; none for what is a marker, or inside one."""
    whole = Span(overlapping[0][0].start, max(span.end for span, _ in overlapping))
    if (whole, _MARKER) not in overlapping:
        _, rank = min((span.start - span.end, rank) for span, rank in overlapping if rank != _MARKER)
        yield whole, rank
