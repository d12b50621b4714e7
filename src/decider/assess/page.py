"""Pages that need nothing beside themselves; whatever the user wrote stands in them as escaped text alone."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from decider.data.aside import written


def render(name: str, *, title: str, under: str, footer: str, **parts: str) -> str:
    """Return the page whose content is the template `name`, with the frame and look that all share.

    Everything that is filled in is HTML already: `title`, the line `under` it, the `footer`, and the template's parts.
    """
    style = _text("style.css") + _text(f"{name}.css")
    content = Template(_text(f"{name}.html")).substitute(parts)
    return Template(_text("page.html")).substitute(
        title=title, under=under, footer=footer, style=style, content=content
    )


def write(page: str, path: str | Path) -> None:
    """Write a page; the file is old or new, never half of it. Raises `DataError`."""
    with written(Path(path)) as file:
        file.write(page.encode())


def text(said: object) -> str:
    """Return what somebody wrote as HTML, for an element or a quoted attribute."""
    return escape(str(said), quote=True)


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal."""
    return f"{share * 100:.1f} %"


def _text(name: str) -> str:
    return (files("decider.assess") / "templates" / name).read_text(encoding="utf-8")
