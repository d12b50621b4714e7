"""Answers of endpoints, kept so that the same question is paid once."""

from decider.runtime.cache.cache import MOST_SAMPLES, Cache, of_sample

__all__ = ["MOST_SAMPLES", "Cache", "of_sample"]
