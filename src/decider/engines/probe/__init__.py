"""A probe of the endpoint that a task asks: what it really does, compared with what the spec says of it.

It calls as the engines call, and nothing of deciding rests on what it finds.
"""

from decider.engines.probe.diagnosis import Diagnosis, Finding
from decider.engines.probe.doctor import diagnose

__all__ = ["Diagnosis", "Finding", "diagnose"]
