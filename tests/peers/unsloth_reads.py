"""Reads exports with Unsloth, and prints for each row of two files what it makes of it, as JSON.

Arguments: the folder of a tokenizer, a file of chat messages, and one in the shape of ShareGPT.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any


def main(tokenizer_folder: str, chat: str, sharegpt: str) -> None:
    """Print the text, what of it is learned, and the conversation that it makes of the other file."""
    templates = import_module("unsloth.chat_templates")  # first, as it wants to be
    tokenizer = import_module("transformers").AutoTokenizer.from_pretrained(tokenizer_folder)
    standard = templates.standardize_sharegpt(_rows(sharegpt))
    mask = templates.train_on_responses_only(None, tokenizer=tokenizer, return_function=True)
    for row, other in zip(_rows(chat), standard, strict=True):
        text = tokenizer.apply_chat_template(row["messages"], tokenize=False)
        ids = tokenizer(text, add_special_tokens=False).input_ids
        labels = [int(one) for one in mask({"input_ids": [ids]})["labels"][0]]
        learned = tokenizer.decode([one for one in labels if one != -100])
        said = {"text": tokenizer.decode(ids), "learned": learned, "conversation": other["conversations"]}
        sys.stdout.write(f"{json.dumps(said)}\n")


def _rows(path: str) -> Any:
    return import_module("datasets").load_dataset("json", data_files=path, split="train")


if __name__ == "__main__":
    main(*sys.argv[1:])
