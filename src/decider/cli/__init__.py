"""The command line: one module per group of commands, and no logic of its own."""

from decider.cli.app import main

__all__ = ["main"]
