"""Personal data that a spec does not redact."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Literal, get_args

from decider.assess.lint.finding import Finding, Rows, Severity, counted
from decider.data.near import texts_of
from decider.decision import Example
from decider.redact import Redactor
from decider.schema import pick
from decider.spec import Redact

_Kind = Literal["email", "phone", "card", "iban", "ip"]

_NAMES: Mapping[_Kind, tuple[str, str]] = {
    "email": ("address of e-mail", "addresses of e-mail"),
    "phone": ("phone number", "phone numbers"),
    "card": ("card number", "card numbers"),
    "iban": ("IBAN", "IBANs"),
    "ip": ("IP address", "IP addresses"),
}
_OF_DEVICES: frozenset[_Kind] = frozenset({"ip"})
_CERTAINTY: Mapping[_Kind, float] = {"card": 0.8}
"""One in ten numbers that begin like a card has a right check digit by chance."""

_UUID = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])")
_HYPHENS = 4


def personal(rows: Rows) -> Iterator[Finding]:
    """Find personal data of the kinds that `redact` knows, and that the spec does not redact: a finding for each kind.

    Phone numbers are found where the extra `redact` is installed. No finding shows what was found.
    """
    kinds = _kinds(rows)
    if not kinds:
        return
    settings = rows.task.spec.redact
    region = None if settings is None else settings.region
    searcher = Redactor(Redact.model_validate({"kinds": kinds, "region": region}))
    own = Redactor.of(rows.task)
    outputs = [field.path for field in rows.task.fields if field.kind in ("text", "other")]
    found: dict[_Kind, dict[int, int]] = defaultdict(dict)
    for n, example in enumerate(rows.examples):
        left = example if own is None else own.example(example)
        for kind, count in _counts(_text(left, outputs), searcher, kinds):
            found[kind][n] = count
    for kind in kinds:
        if found[kind]:
            yield _finding(rows, kind, found[kind])


def _kinds(rows: Rows) -> tuple[_Kind, ...]:
    """The kinds that are looked for."""
    settings = rows.task.spec.redact
    done = () if settings is None else settings.kinds
    missing = () if find_spec("phonenumbers") is not None else ("phone",)
    every: tuple[_Kind, ...] = get_args(_Kind)
    return tuple(kind for kind in every if kind not in done and kind not in missing)


def _text(example: Example, outputs: Sequence[str]) -> str:
    """All texts of an example below each other, without identifiers whose digits may look like a number."""
    values = [example.input, *(pick(example.output, path) for path in outputs)]
    text = "\n".join(text for value in values for text in texts_of(value))
    return _UUID.sub(" ", text) if text.count("-") >= _HYPHENS else text


def _counts(text: str, searcher: Redactor, kinds: Sequence[_Kind]) -> Iterator[tuple[_Kind, int]]:
    """How many of each kind are in a text."""
    without = str(searcher.redact(text))
    if without != text:
        for kind in kinds:
            mark = f"[{kind.upper()}]"
            if (count := without.count(mark) - text.count(mark)) > 0:
                yield kind, count


def _finding(rows: Rows, kind: _Kind, found: Mapping[int, int]) -> Finding:
    count = sum(found.values())
    severity: Severity = "note" if kind in _OF_DEVICES else "warning"
    settings = rows.task.spec.redact
    kinds = [*(() if settings is None else settings.kinds), kind]
    return Finding(
        code="personal-data",
        severity=severity,
        rows=rows.ids(sorted(found)),
        message=f"{count:,} {_NAMES[kind][count > 1]} in {counted(len(found), 'row')}",
        suggestion=f"write `redact: {{kinds: [{', '.join(kinds)}]}}` in the spec, so that no model sees"
        " them, nor learns from them",
        certainty=_CERTAINTY.get(kind, 1.0),
    )
