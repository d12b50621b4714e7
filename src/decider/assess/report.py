"""A report as one self-contained page; whatever the user wrote stands in it as escaped text alone."""

from __future__ import annotations

from pathlib import Path

from decider.assess import page
from decider.assess.evaluate import Report, cached_of
from decider.assess.page import percent, text

_WIDTH = 220
_HEIGHT = 14


def write_html(report: Report, path: str | Path) -> None:
    """Write `report` as a page that needs nothing beside itself; the file is old or new, never half of it."""
    page.write(render_html(report), path)


def render_html(report: Report) -> str:
    """Return the page of a report."""
    joint, latency = report.joint, report.latency_ms
    rows = [_row(path, one.accuracy, one.low, one.high, one.macro_f1, one.ece) for path, one in report.fields.items()]
    rows.append(_row("whole record", joint.accuracy, joint.low, joint.high, None, report.ece, whole=True))
    return page.render(
        "report",
        title=text(f"{report.task}: {report.mode}"),
        under=text(f"Answered by {_who(report)}, compared with the true outputs of {report.n} rows."),
        joint=percent(joint.accuracy),
        joint_range=f"{percent(joint.low)} to {percent(joint.high)}",
        p50=f"{latency['p50']:.2f} ms",
        p95=f"{latency['p95']:.2f} ms",
        rows=str(report.n),
        failed=str(report.failed),
        ece=_number(report.ece),
        body="\n".join(rows),
        footer=text(_footer(report)),
    )


def _who(report: Report) -> str:
    return f"the model {report.model} (engine: {report.engine})"


def _row(
    name: str, share: float, low: float, high: float, f1: float | None, ece: float | None, *, whole: bool = False
) -> str:
    cells = (text(name), percent(share), _picture(name, share, low, high), _number(f1), _number(ece))
    opening = '<tr class="whole">' if whole else "<tr>"
    return opening + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _picture(name: str, share: float, low: float, high: float) -> str:
    """The interval as a bar with a mark at the share, and the same in words for who cannot see it."""
    said = text(f"{name}: {percent(share)}, between {percent(low)} and {percent(high)}")
    middle, thick = _HEIGHT / 2, 6
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" height="{_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="{said}"><title>{said}</title>'
        f'<rect class="track" x="0" y="{middle - 1}" width="{_WIDTH}" height="2" rx="1"/>'
        f'<rect class="range" x="{low * _WIDTH:.1f}" y="{middle - thick / 2}" '
        f'width="{max(1.0, (high - low) * _WIDTH):.1f}" height="{thick}" rx="3"/>'
        f'<rect class="point" x="{min(share * _WIDTH, _WIDTH - 3):.1f}" y="0" width="3" height="{_HEIGHT}" rx="1"/>'
        "</svg>"
    )


def _footer(report: Report) -> str:
    said = "A record is right when every closed field is. Intervals are Wilson's, at 95 %."
    if report.from_cache:
        said += f" From the cache: {cached_of(report)}."
    if report.left_out:
        said += f" Open fields are decided and not compared: {', '.join(report.left_out)}."
    return said


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
