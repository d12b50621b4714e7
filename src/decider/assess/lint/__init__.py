"""Linting: what is wrong with a dataset before a model learns it, and a copy with what is mechanical mended."""

from decider.assess.lint.finding import CODES, Code, Finding, Rows, Severity
from decider.assess.lint.fix import FIXABLE, Fixed, fix
from decider.assess.lint.lint import Linted, lint
from decider.assess.lint.mend import Change

__all__ = ["CODES", "FIXABLE", "Change", "Code", "Finding", "Fixed", "Linted", "Rows", "Severity", "fix", "lint"]
