"""`data`: the group of the commands that make a dataset out of what was decided."""

from __future__ import annotations

import typer

from decider.cli import describing, exporting, importing, linting, migrating, splitting

_HELP = "The dataset: what was decided, as rows that can be trained on."


def add_to(app: typer.Typer) -> None:
    """Add this group's commands, in the order in which a dataset is made."""
    group = typer.Typer(name="data", help=_HELP, no_args_is_help=True)
    for commands in (importing, describing, linting, splitting, exporting, migrating):
        commands.add_to(group)
    app.add_typer(group, rich_help_panel="From data to a model")
