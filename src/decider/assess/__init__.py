"""Measuring: what a Decider gets right, how surely, and how fast."""
