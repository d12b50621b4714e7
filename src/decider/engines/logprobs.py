"""From the log-probabilities of a reply's tokens to a distribution over the labels of each closed field.

A label's probability is that of its tokens, up to the one that tells it from every other label; the options share what
all of them have together. Nothing is guessed: where the tokens do not spell the reply, or where too much of the
probability may lie on tokens that the endpoint did not list, there is no distribution.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Annotated, TypeAlias

from pydantic import BaseModel
from pydantic import Field as PydanticField

from decider.decision import Distribution
from decider.schema import Field, Label

_MOST_UNSEEN = 0.05
"""The share of the labels' probability that may be where nobody can see it."""

_MOST_LISTED = 1.01
"""What the probabilities at one place may sum to; those of more are none, whatever else they are."""

_SPACE = b" \t\r\n"
_ENDS = _SPACE + b",}"
_UNCLEAR = (b"\\", "\ufffd".encode())
"""In a token that leads to no label as it stands: an escape or half a character, which may yet be one of theirs."""

_Path: TypeAlias = tuple[str, ...]


class Alternative(BaseModel):
    """A token that could have stood there, and its log-probability."""

    token: str
    logprob: float
    spelled: list[Annotated[int, PydanticField(ge=0, le=255)]] | None = PydanticField(None, alias="bytes")

    @property
    def raw(self) -> bytes:
        """The token as UTF-8, which a token may end in the middle of."""
        return self.token.encode() if self.spelled is None else bytes(self.spelled)

    @property
    def share(self) -> float:
        """Its probability; more than 1 where the endpoint told something else."""
        return exp(min(self.logprob, 1.0))


class Token(Alternative):
    """A token of a reply, with the likeliest ones at its place."""

    top_logprobs: list[Alternative] | None = None


def distributions(text: str, tokens: Sequence[Token], fields: Sequence[Field]) -> dict[str, Distribution]:
    """Return a distribution, by path, for each closed field whose tokens tell one; tags have none.

    `text` is what the endpoint sent, one JSON object and perhaps words around it, and `tokens` are all of its tokens in
    order.
    """
    try:
        whole = text.encode()
        if b"".join(token.raw for token in tokens) != whole:
            return {}
        spans = dict(_spans(text))
    except (ValueError, RecursionError):
        return {}
    found: dict[str, Distribution] = {}
    for field in fields:
        span = spans.get(tuple(field.path.split(".")))
        if field.closed and field.kind != "tags" and span is not None:
            shares = _shares(_Value(whole, *span), tokens, field.labels)
            if shares is not None:
                found[field.path] = shares
    return found


@dataclass(frozen=True, slots=True)
class _Value:
    """One value inside a reply, from byte `start` up to `end`."""

    whole: bytes
    start: int
    end: int

    def rest(self, begun: int, token: bytes) -> bytes | None:
        """What of the value is written once `token` stands at byte `begun`; None where it does not lead there.

        The space before a value means nothing, so that a token with more or less of it leads there too.
        """
        if begun > self.start:
            return self.whole[self.start : begun] + token
        lead = self.whole[begun : self.start].rstrip(_SPACE)
        if token.startswith(lead):
            return token[len(lead) :].lstrip(_SPACE)
        return b"" if lead.startswith(token) else None


def _shares(value: _Value, tokens: Sequence[Token], labels: Sequence[Label]) -> Mapping[Label, float] | None:
    written = {label: json.dumps(label, ensure_ascii=False).encode() for label in labels}
    if value.whole[value.start : value.end] not in written.values():
        return None
    shares, unseen, path = dict.fromkeys(labels, 0.0), 0.0, 1.0
    for begun, token in _within(value, tokens):
        listed = {one.raw: one.share for one in (*(token.top_logprobs or ()), token)}
        if not sum(listed.values()) <= _MOST_LISTED:  # nor is it where one of them is no number
            return None
        unseen += path * max(0.0, 1.0 - sum(listed.values()))
        for raw, share in listed.items():
            possible = _possible(value.rest(begun, raw), written)
            if len(possible) == 1:
                shares[possible[0]] += path * share
            elif raw != token.raw and (possible or any(part in raw for part in _UNCLEAR)):
                unseen += path * share
        told = len(_possible(value.rest(begun, token.raw), written)) == 1
        path *= 0.0 if told else token.share
    total = sum(shares.values())
    if total <= 0.0 or unseen > _MOST_UNSEEN * (total + unseen):
        return None
    return {label: share / total for label, share in shares.items()}


def _within(value: _Value, tokens: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    """Each token that writes a part of the value or ends it, with the byte that it begins at."""
    begun = 0
    for token in tokens:
        # A token may spell nothing, and others could have stood there.
        if begun + max(len(token.raw), 1) > value.start and begun <= value.end:
            yield begun, token
        begun += len(token.raw)


def _possible(rest: bytes | None, written: Mapping[Label, bytes]) -> list[Label]:
    """The labels that the value can still become, or has become, once `rest` of it is written."""
    if rest is None:
        return []
    return [label for label, text in written.items() if text.startswith(rest) or _ended(rest, text)]


def _ended(rest: bytes, text: bytes) -> bool:
    """Whether `rest` is the whole of `text` with something behind it; a longer number is another number."""
    return rest.startswith(text) and rest[len(text)] in _ENDS


def _spans(text: str) -> Iterator[tuple[_Path, tuple[int, int]]]:
    """Yield the path of every value in the one JSON object of a text that is no object itself, and the bytes it takes.

    Raises `ValueError` where there is no such object, or where what stands around it could be read for one.
    """
    decoder = json.JSONDecoder()
    at = text.index("{")
    _, end = decoder.raw_decode(text, at)
    if '"' in text[:at] or '"' in text[end:]:
        raise ValueError("which of them is the answer cannot be told")
    waiting: list[str] = []
    while at < end:
        character = text[at]
        at += 1
        if character == "}" and waiting:
            waiting.pop()
        elif character == '"':
            name, at = decoder.raw_decode(text, at - 1)
            at = _skip(text, at, ": \t\r\n")
            if text[at] == "{":
                waiting.append(name)
                at += 1
            else:
                start = at
                _, at = decoder.raw_decode(text, start)
                yield (*waiting, name), (len(text[:start].encode()), len(text[:at].encode()))


def _skip(text: str, at: int, characters: str) -> int:
    while text[at] in characters:
        at += 1
    return at
