"""A dataset as training files: `targets` says what a trainer takes, `lines` and `sheets` write it, `export` checks it."""

from decider.data.exporters.export import Export, Exported
from decider.data.exporters.targets import TARGETS, Target, target_of

__all__ = ["TARGETS", "Export", "Exported", "Target", "target_of"]
