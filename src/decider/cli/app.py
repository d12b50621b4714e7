"""The `decider` command: its groups, and what becomes of an error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from decider.cli import assessing, caching, datasets, deciding, learning, logbook, probing, running, starting
from decider.cli.console import note
from decider.errors import DeciderError, EngineError, InvalidDecision

_HELP = "Structured decisions: declared once, answered by a prompt or by a model of your own."
_INTERRUPTED = 130

app = typer.Typer(
    name="decider",
    help=_HELP,
    epilog="Example:  decider demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (starting, probing, deciding, running, logbook, caching, datasets, learning, assessing):
    group.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"decider {version('decider-sdk')}")
        raise typer.Exit


@app.callback(help=_HELP)
def root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0 is done, 1 done but not well (also without an answer), 2 could not start (usage, spec, data), 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=_with_json_target(given), prog_name="decider", obj=given)
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:
            note("interrupted")
        raise
    except (DeciderError, ImportError, OSError) as error:
        note(f"error: {error}")
        sys.exit(1 if isinstance(error, EngineError | InvalidDecision) else 2)


def _with_json_target(arguments: list[str]) -> list[str]:
    """Let `evaluate --json` stand alone, or with a file that ends in .json: the parser knows no optional values."""
    if arguments[:1] != ["evaluate"] or "--json" not in arguments:
        return arguments
    at = arguments.index("--json") + 1
    named = at < len(arguments) and (arguments[at] == "-" or arguments[at].endswith(".json"))
    return arguments if named else [*arguments[:at], "-", *arguments[at:]]
