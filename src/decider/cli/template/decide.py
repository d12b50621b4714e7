"""Decides one ticket: `python decide.py "I was charged twice"`."""

import sys
from pathlib import Path

from decider import decide

decision = decide(Path(__file__).with_name("spec.yaml"), sys.argv[1])
for path, field in decision.fields.items():
    print(f"{path}: {field.value!r} (probability: {field.probability})")
