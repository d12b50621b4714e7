"""The split of a dataset into train, validation and test: a file that is state, and how rows come into it."""

from decider.data.split.making import split
from decider.data.split.report import Deviation, Report, report
from decider.data.split.state import DEFAULT, SIDES, Cutoffs, Side, Split, side_named
from decider.data.split.writing import write_sides

__all__ = [
    "DEFAULT",
    "SIDES",
    "Cutoffs",
    "Deviation",
    "Report",
    "Side",
    "Split",
    "report",
    "side_named",
    "split",
    "write_sides",
]
