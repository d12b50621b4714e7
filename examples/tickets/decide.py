"""Decides one complaint, by a prompt or by a model trained on this folder's rows.

python decide.py                              # asks the endpoint of spec.yaml, with the key in OPENAI_API_KEY
decider train spec.yaml data/train.jsonl -o models/tickets
python decide.py finetuned                    # the same call, answered on this CPU
"""

import sys
from pathlib import Path

from decider import Decider, Task
from schema import Triage

HERE = Path(__file__).parent
COMPLAINT = "I paid this collection agency in full last year and they keep calling me at work about the same debt."


def main(mode: str = "prompt") -> None:
    """Print each field of one decision."""
    task = Task.load(HERE / "spec.yaml", output=Triage, set={"finetuned.model": "models/tickets"})
    with Decider(task, mode=mode) as triage:
        decision = triage.decide(COMPLAINT)
    print(f"product: {decision.output.product}")
    for path, field in decision.fields.items():
        print(f"{path}: {field.value!r} (probability: {field.probability})")


if __name__ == "__main__":
    main(*sys.argv[1:2])
