"""The `decider` command: its groups, and what becomes of an error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from decider.cli import assessing, deciding, learning, starting
from decider.cli.console import notes
from decider.errors import DeciderError, EngineError, InvalidDecision, Undecided

app = typer.Typer(
    name="decider",
    help="Structured decisions: declared once, answered by a prompt or by a model of your own.",
    epilog="First steps:  decider demo  ·  decider init mine  ·  decider check mine/spec.yaml",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (starting, deciding, learning, assessing):
    group.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"decider {version('decider-sdk')}")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Structured decisions: declared once, answered by a prompt or by a model of your own."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 1 done but not well, 2 could not start."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(_run(_with_json_target(given)))


def _run(arguments: list[str]) -> int:
    try:
        result = app(args=arguments, standalone_mode=True)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except (EngineError, InvalidDecision, Undecided) as error:
        notes.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    except (DeciderError, ImportError) as error:
        notes.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        notes.print("interrupted")
        return 130
    return int(result or 0)


def _with_json_target(arguments: list[str]) -> list[str]:
    """Let `evaluate --json` stand alone, or with a file that ends in .json: the parser knows no optional values."""
    if "evaluate" not in arguments or "--json" not in arguments:
        return arguments
    at = arguments.index("--json") + 1
    named = at < len(arguments) and (arguments[at] == "-" or arguments[at].endswith(".json"))
    return arguments if named else [*arguments[:at], "-", *arguments[at:]]
