"""Personal data taken out of inputs: text in, text out, the same marker for the same kind of thing."""

from decider.redact.redactor import Redactor

__all__ = ["Redactor"]
