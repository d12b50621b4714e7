"""The statistics of a dataset as one self-contained page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from math import sqrt
from pathlib import Path

from decider.assess import page
from decider.assess.lint.labels import FEWEST
from decider.assess.page import percent, text
from decider.assess.stats import charts
from decider.assess.stats.spread import Spread
from decider.assess.stats.values import FieldStats, InputStats, LabelCount, Stats, Timeline, shown
from decider.schema import Label

_LONG = 24
"""Labels from which on they stand in two columns."""

_MOST_HEATS = 3
_UNSAID = "(not said)"


def write_html(stats: Stats, path: str | Path, *, name: str) -> None:
    """Write the statistics of the dataset `name` as a page that needs nothing beside itself; raises `DataError`."""
    page.write(render_html(stats, name=name), path)


def render_html(stats: Stats, *, name: str) -> str:
    """Return the page of the statistics of the dataset `name`."""
    parts: tuple[Callable[[Stats], str], ...] = (_rejected, _labels, _joint, _open, _texts, _tokens, _over_time, _about)
    line = stats.line_tokens
    return page.render(
        "stats",
        title=text(f"{stats.task}: {name}"),
        under=text(f"What the dataset holds, for the task {stats.task}."),
        rows=f"{stats.rows:,}",
        rejected=f"{stats.rejected:,} rejected" if stats.rejected else "none rejected",
        distinct=f"{stats.combinations.distinct:,}",
        singletons=f"{stats.combinations.singletons:,} of them in one row alone",
        few=f"{sum(len(one.rare) for one in stats.fields):,}",
        missing=f"and {sum(len(one.missing) for one in stats.fields):,} in no row",
        tokens="none" if line is None else f"{line.total:,.0f}",
        line="" if line is None else f"about {line.median:,.0f} a line at the median",
        body="\n".join(filter(None, (part(stats) if stats.rows or part is _rejected else "" for part in parts))),
        footer=text(
            f"A label is rare where fewer than {FEWEST} rows have it. Tokens are estimates, of 4 bytes each, on the "
            "low side. A line to train on is what a tuned model is asked and what it answers; no few-shot examples."
        ),
    )


def _rejected(stats: Stats) -> str:
    if not stats.reasons:
        return ""
    rows = [
        (text(one.kind), text(one.field or ""), f"{one.rows:,}", f"{one.first:,}", text(one.message))
        for one in stats.reasons
    ]
    table = _table(("kind", "field", "rows", "first at", "what was wrong there"), rows, numeric=(2, 3), wraps=(4,))
    return _section(
        "Rejected rows", f"{stats.rejected:,} rows do not fit the task, and are counted nowhere else.", table
    )


def _labels(stats: Stats) -> str:
    return "\n".join(_field(one, stats.sides) for one in stats.fields if one.field.closed)


def _field(one: FieldStats, sides: Mapping[str, int]) -> str:
    most = max(label.rows for label in one.labels) or 1
    header = ("label", "", "rows", "share", *map(text, sides))
    rows = [_label_row(label, one.rows, most, sides) for label in one.labels]
    numeric = range(2, len(header))
    if len(rows) > _LONG and not sides:
        half = -(-len(rows) // 2)
        tables = "".join(_table(header, part, numeric=numeric, kind="labels") for part in (rows[:half], rows[half:]))
        body = f'<div class="two">{tables}</div>'
    else:
        body = _table(header, rows, numeric=numeric, kind="labels")
    return _section(one.field.path, _field_said(one), body)


def _label_row(label: LabelCount, rows: int, most: int, sides: Mapping[str, int]) -> tuple[str, ...]:
    name, share = shown(label.label), label.rows / rows
    mark = " <em>missing</em>" if not label.rows else " <em>rare</em>" if label.rows < FEWEST else ""
    picture = charts.bar(label.rows / most, f"{name}: {label.rows:,} rows, {percent(share)}")
    each = (f"{label.sides[side]:,} <small>{percent(label.sides[side] / of)}</small>" for side, of in sides.items())
    return (_breakable(name) + mark, picture, f"{label.rows:,}", percent(share), *each)


def _field_said(one: FieldStats) -> str:
    said = f"{one.field.kind}, {len(one.labels)} labels"
    if one.field.kind == "tags":
        said += f"; {one.empty:,} rows have none of them, and others may have several"
    if one.rare:
        said += f"; {len(one.rare)} rare"
    if one.missing:
        said += f"; {len(one.missing)} in no row"
    return f"{said}."


def _joint(stats: Stats) -> str:
    joint = stats.combinations
    if len(joint.paths) < 2:
        return ""
    commonest = joint.commonest()
    rows = [
        (*(text(shown(one)) for one in record), charts.bar(count / commonest[0][1], f"{count:,} rows"), f"{count:,}")
        for record, count in commonest
    ]
    header = (*map(text, joint.paths), "", "rows")
    table = _table(header, rows, numeric=(len(header) - 1,), kind="joint", wraps=range(len(joint.paths)))
    return _section("Combinations", f"{joint.said()}.", table + "".join(map(_heat(stats), _telling(stats))))


def _heat(stats: Stats) -> Callable[[tuple[FieldStats, FieldStats]], str]:
    def drawn(pair: tuple[FieldStats, FieldStats]) -> str:
        down, across = sorted(pair, key=lambda one: -len(one.labels))
        found = stats.combinations.pairs(down.field.path, across.field.path)
        counts: dict[tuple[object, object], int] = {(shown(a), shown(b)): count for (a, b), count in found.items()}
        names, others = ([shown(label.label) for label in one.labels] for one in (down, across))
        title = f"{down.field.path} and {across.field.path}: how many rows have both"
        return f"<h3>{text(title)}</h3>{_wide(charts.heat(counts, names, others, title))}" if counts else ""

    return drawn


def _telling(stats: Stats) -> list[tuple[FieldStats, FieldStats]]:
    """The pairs of closed fields that say the most of each other, of which as many as can be looked over."""
    closed = [one for one in stats.fields if one.field.closed]
    pairs = list(combinations(closed, 2))
    return sorted(pairs, key=lambda pair: -_association(stats, *pair))[:_MOST_HEATS]


def _association(stats: Stats, first: FieldStats, second: FieldStats) -> float:
    """Cramér's V of two fields: 0 where one says nothing of the other, 1 where it says all."""
    counts = stats.combinations.pairs(first.field.path, second.field.path)
    down, across = _margin(counts, 0), _margin(counts, 1)
    fewest = min(len(down), len(across)) - 1
    if fewest < 1:
        return 0.0
    square = sum(count * count / (down[one] * across[other]) for (one, other), count in counts.items()) - 1
    return sqrt(max(square, 0.0) / fewest)


def _margin(counts: Mapping[tuple[Label, Label], int], part: int) -> dict[Label, int]:
    sums: dict[Label, int] = {}
    for pair, count in counts.items():
        sums[pair[part]] = sums.get(pair[part], 0) + count
    return sums


def _open(stats: Stats) -> str:
    rows = [
        (
            text(one.field.path),
            text(one.field.kind),
            f"{one.rows - one.empty:,}",
            f"{one.distinct or 0:,}",
            *_spread(one),
        )
        for one in stats.fields
        if not one.field.closed
    ]
    if not rows:
        return ""
    header = ("field", "kind", "filled", "distinct", "of", *_SPREAD)
    return _section("Open fields", "Decided in free form.", _table(header, rows, numeric=(2, 3, 5, 6, 7, 8)))


_SPREAD = ("least", "median", "p95", "most")


def _spread(one: FieldStats | InputStats) -> tuple[str, ...]:
    spread = one.values or one.characters
    return ("", "", "", "", "") if spread is None else ("values" if one.values else "characters", *_numbers(spread))


def _numbers(spread: Spread) -> tuple[str, ...]:
    return tuple(f"{value:,g}" for value in (spread.least, spread.median, spread.p95, spread.most))


def _texts(stats: Stats) -> str:
    rows = []
    for one in stats.inputs:
        filled = f"{stats.rows - one.empty:,}"
        rows.append((text(one.path or "the text"), text(one.kind), filled, f"{one.distinct:,}", *_spread(one)))
        if one.words is not None:
            rows.append(("", "", "", "", "words", *_numbers(one.words)))
    header = ("input", "kind", "filled", "distinct", "of", *_SPREAD)
    pictures = "".join(
        f"<h3>{text(one.path or 'the text')}: characters</h3>{_wide(charts.histogram(one.characters, 'characters'))}"
        for one in stats.inputs
        if one.characters is not None
    )
    return _section("Inputs", "", _table(header, rows, numeric=(2, 3, 5, 6, 7, 8)) + pictures)


def _tokens(stats: Stats) -> str:
    assert stats.input_tokens is not None and stats.line_tokens is not None  # noqa: S101, PT018  # there are rows
    named = (("of the input", stats.input_tokens), ("of a line to train on", stats.line_tokens))
    rows = [(name, *_numbers(one), f"{one.total:,.0f}") for name, one in named]
    table = _table(("tokens", *_SPREAD, "all rows"), rows, numeric=range(1, 6))
    return _section(
        "Tokens",
        "",
        table
        + "<h3>tokens of a line to train on</h3>"
        + _wide(charts.histogram(stats.line_tokens, "tokens of a line")),
    )


def _over_time(stats: Stats) -> str:
    time = stats.time
    unread = f"{stats.unread:,} rows say a time that cannot be read" if stats.unread else ""
    if time is None:
        return _section("Over time", f"{unread}.", "") if unread else ""
    names = [one.name for one in time.spans]
    without = f"{time.without:,} rows say no time" if time.without else ""
    said = ", and ".join(filter(None, (without, unread))) or "every row says when it was"
    counts = charts.columns(names, [one.rows for one in time.spans], f"Rows by {time.period}")
    shares = "".join(
        f"<h3>{text(one.field.path)}: shares of its labels</h3>"
        + _wide(charts.stacked(names, _series(one, time), f"{one.field.path} by {time.period}"))
        for one in stats.fields
        if one.field.closed
    )
    body = f"<h3>rows by {time.period}</h3>{_wide(counts)}{shares}"
    return _section("Over time", f"{time.first} to {time.last}, by {time.period}; {said}.", body)


def _series(one: FieldStats, time: Timeline) -> list[charts.Series]:
    """The commonest labels, and all others together where there are more than colours."""
    path = one.field.path
    ordered = sorted((label for label in one.labels if label.rows), key=lambda label: -label.rows)
    shares = [
        charts.Series(shown(label.label), [span.labels[path].get(label.label, 0) for span in time.spans])
        for label in ordered
    ]
    head, rest = shares[: charts.COLOURS], shares[charts.COLOURS :]
    if not rest:
        return head
    others = [sum(one.counts[n] for one in rest) for n in range(len(time.spans))]
    return [*head, charts.Series(f"{len(rest)} others", others)]


def _about(stats: Stats) -> str:
    sides = "" if not stats.sides else _counts("side", stats.sides, stats.rows)
    groups = "" if stats.groups is None else _counts("largest group", dict(stats.groups.largest), stats.rows)
    tables = (sides, _counts("source", stats.sources, stats.rows), _counts("checked by", stats.checked_by, stats.rows))
    parts = "".join((*tables, groups))
    said = "" if stats.groups is None else f"{stats.groups.count:,} groups; {stats.groups.without:,} rows in none."
    return _section("Where the rows come from", said, f'<div class="two">{parts}</div>') if parts else ""


def _counts(name: str, counts: Mapping[str, int] | Mapping[str | None, int], rows: int) -> str:
    if not counts:
        return ""
    most = max(counts.values())
    cells = [
        (text(one or _UNSAID), charts.bar(count / most, f"{count:,} rows"), f"{count:,}", percent(count / rows))
        for one, count in counts.items()
    ]
    return _table((name, "", "rows", "share"), cells, numeric=(2, 3), kind="labels")


def _section(title: str, said: str, body: str) -> str:
    under = f"<p>{text(said)}</p>" if said else ""
    return f"<section><h2>{text(title)}</h2>{under}{body}</section>"


def _table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numeric: Iterable[int] = (),
    wraps: Iterable[int] = (),
    kind: str = "",
) -> str:
    """A table of cells that are HTML already; the columns of numbers are set to the right, and others may be broken."""
    classes = dict.fromkeys(numeric, ' class="number"') | dict.fromkeys(wraps, ' class="text"')
    head = "".join(f"<th{classes.get(n, '')}>{cell}</th>" for n, cell in enumerate(header))
    body = "".join(
        "<tr>" + "".join(f"<td{classes.get(n, '')}>{cell}</td>" for n, cell in enumerate(cells)) + "</tr>"
        for cells in rows
    )
    return _wide(f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')


def _breakable(name: str) -> str:
    """A label that may be broken where its words are."""
    return text(name).replace("_", "_<wbr>").replace("/", "/<wbr>")


def _wide(body: str) -> str:
    return f'<div class="wide">{body}</div>'
