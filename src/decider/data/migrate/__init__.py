"""A dataset of one schema as one of the next: the changes, what becomes of each label, the rows, and what is stale."""
