"""What was decided, and what people said of it: written as it happens, and read again."""

from decider.runtime.log.log import Log

__all__ = ["Log"]
