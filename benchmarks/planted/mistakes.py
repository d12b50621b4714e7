"""Mistakes planted into rows, each with what it was planted in; seeded."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

SIDES = ("train", "train", "train", "validation", "test")
GREETINGS = ("Hello, ", "Hi there, ", "Good morning. ", "Dear Sir or Madam, ")


def flipped(rows: Sequence[Row], field: str, share: float, seed: int) -> tuple[list[Row], set[str]]:
    """Give a share of the rows another label at random, each as probable as the other; also the ids of these rows."""
    chance = random.Random(seed)
    labels = sorted({row["output"][field] for row in rows}, key=str)
    chosen = set(chance.sample(range(len(rows)), round(share * len(rows))))
    changed = []
    for n, row in enumerate(rows):
        others = [label for label in labels if label != row["output"][field]]
        changed.append({**row, "output": {**row["output"], field: chance.choice(others)}} if n in chosen else row)
    return changed, {rows[n]["id"] for n in chosen}


def sided(rows: Sequence[Row], seed: int) -> list[Row]:
    """Put each row on a side: three of five on `train`, one each on the others."""
    chance = random.Random(seed)
    return [{**row, "split": chance.choice(SIDES)} for row in rows]


def near_copies(rows: Sequence[Row], text: str, count: int, seed: int) -> tuple[list[Row], dict[str, str]]:
    """Copy some rows with one small edit to another side; also, for the id of each copy, that of what it copies.

    `text` names the input that is edited. The kinds of edits take turns.
    """
    chance = random.Random(seed)
    words = sorted({word for row in rows for word in row["input"][text].split()})
    copies, of = [], {}
    for n, row in enumerate(chance.sample(list(rows), count)):
        edit = EDITS[n % len(EDITS)]
        edited = edit(row["input"][text], chance, words)
        copy = {**row, "id": f"near-{text}-{n}", "input": {**row["input"], text: edited}, "split": _other_side(row)}
        copies.append(copy)
        of[copy["id"]] = row["id"]
    return copies, of


def _replace_word(said: str, chance: random.Random, words: Sequence[str]) -> str:
    parts = said.split()
    parts[chance.randrange(len(parts))] = chance.choice(words)
    return " ".join(parts)


def _drop_word(said: str, chance: random.Random, _: Sequence[str]) -> str:
    parts = said.split()
    del parts[chance.randrange(len(parts))]
    return " ".join(parts)


def _add_word(said: str, chance: random.Random, words: Sequence[str]) -> str:
    parts = said.split()
    parts.insert(chance.randrange(len(parts) + 1), chance.choice(words))
    return " ".join(parts)


def _typo(said: str, chance: random.Random, _: Sequence[str]) -> str:
    """Two neighbouring letters change places."""
    at = chance.choice([n for n in range(len(said) - 1) if said[n] != said[n + 1] and said[n : n + 2].isalpha()])
    return said[:at] + said[at + 1] + said[at] + said[at + 2 :]


def _case(said: str, _: random.Random, __: Sequence[str]) -> str:
    """Other case and no punctuation: that alone already makes it the same input, or nearly."""
    return re.sub(r"[^\w\s]", "", said).upper()


def _greeting(said: str, chance: random.Random, _: Sequence[str]) -> str:
    return chance.choice(GREETINGS) + said


def _number(said: str, chance: random.Random, _: Sequence[str]) -> str:
    """Another number; where there is none, one is added."""
    number = str(chance.randrange(10, 1000))
    return re.sub(r"\d+", number, said, count=1) if re.search(r"\d", said) else f"{said} {number}"


EDITS: tuple[Callable[[str, random.Random, Sequence[str]], str], ...] = (
    _replace_word,
    _drop_word,
    _add_word,
    _typo,
    _case,
    _greeting,
    _number,
)


def contradictions(rows: Sequence[Row], field: str, count: int, seed: int) -> list[Row]:
    """Copy some rows, on their own side, with another label."""
    copies, _ = flipped(_copies(rows, "contradiction", count, seed), field, 1.0, seed)
    return copies


def leaks(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """Copy some rows as they are to another side."""
    return [{**row, "split": _other_side(row)} for row in _copies(rows, "leak", count, seed)]


def unknown_labels(rows: Sequence[Row], field: str, count: int, seed: int) -> list[Row]:
    """Copy some rows with a label that there is not: misspelled, cut off, from elsewhere, or of another type."""
    wrong: tuple[Callable[[str], Any], ...] = (str.title, lambda label: label[:-1], lambda _: "elsewhere", lambda _: 7)
    return [
        {**row, "output": {**row["output"], field: wrong[n % len(wrong)](row["output"][field])}}
        for n, row in enumerate(_copies(rows, "unknown", count, seed))
    ]


def breaches(rows: Sequence[Row], broken: Mapping[str, Any], count: int, seed: int) -> list[Row]:
    """Copy some rows with values that each may be, but not together."""
    return [{**row, "output": {**row["output"], **broken}} for row in _copies(rows, "breach", count, seed)]


def _copies(rows: Sequence[Row], name: str, count: int, seed: int) -> list[Row]:
    chosen = random.Random(f"{seed} {name}").sample(list(rows), count)
    return [{**row, "id": f"{name}-{n}"} for n, row in enumerate(chosen)]


def _other_side(row: Row) -> str:
    return "train" if row["split"] != "train" else "test"
