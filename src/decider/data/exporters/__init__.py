"""A dataset as training files: `targets` says what trainers take, `lines` and `sheets` write it, `export` checks it."""

from decider.data.exporters.export import Export, Exported
from decider.data.exporters.targets import TARGETS, Target, target_of

__all__ = ["TARGETS", "Export", "Exported", "Target", "target_of"]
