"""Pages that need nothing beside themselves; whatever the user wrote stands in them as escaped text alone."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from decider.data.aside import written


def render(name: str, **parts: str) -> str:
    """Return the page of a template, with the look that all of them share; parts are HTML already."""
    return Template(_text(name)).substitute(style=_text("style.css"), **parts)


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
