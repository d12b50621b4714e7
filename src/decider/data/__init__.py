"""Rows with their true outputs: what is trained on and measured against."""
