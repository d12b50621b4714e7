"""One decision: everything that it does, as a generator of what must be waited for."""

from decider.pipeline.around import Around
from decider.pipeline.course import Course, Plan
from decider.pipeline.effects import Ask, Effect, Sleep, Together, Wait, Waiting
from decider.pipeline.shortcut import Shortcut

__all__ = ["Around", "Ask", "Course", "Effect", "Plan", "Shortcut", "Sleep", "Together", "Wait", "Waiting"]
