"""All checks of the texts of inputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeAlias

from decider.assess.lint.boilerplate import boilerplate
from decider.assess.lint.columns import Column, columns_of
from decider.assess.lint.damage import mojibake, truncated
from decider.assess.lint.empty import empty
from decider.assess.lint.finding import Finding, Rows
from decider.assess.lint.language import language
from decider.assess.lint.named import named

_Check: TypeAlias = Callable[[Column, Rows], Iterator[Finding]]

_OF_COLUMNS: Mapping[str, _Check] = {
    "truncated": truncated,
    "mojibake": mojibake,
    "boilerplate": boilerplate,
    "language": language,
}


def texts(rows: Rows, *, codes: Collection[str] | None = None) -> Iterator[Finding]:
    """Find what is wrong with the texts of inputs, or only what has one of some `codes`.

    Raises `ImportError` where `mojibake` and `language` are looked for and the extra `data` is missing.
    """
    columns = columns_of(rows)
    if codes is None or "empty" in codes:
        yield from empty(columns, rows)
    for column in columns:
        for code, check in _OF_COLUMNS.items():
            if codes is None or code in codes:
                yield from check(column, rows)
    if codes is None or "label-in-text" in codes:
        yield from named(columns, rows)
