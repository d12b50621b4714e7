"""The sides of a split as files, for who trains with something else."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from decider.data.aside import refuse_unwritable, written
from decider.data.dataset import Dataset
from decider.data.rows import encoded
from decider.data.split.state import SIDES, Split
from decider.errors import DataError


def write_sides(dataset: Dataset, split: Split, folder: Path) -> list[Path]:
    """Write train.jsonl, validation.jsonl and test.jsonl, each row with its side as `split`; returns the files.

    Excluded rows go to excluded.jsonl, which is left out where there are none. The folder is made where it is not there
    yet. Files are put in place when all of them are whole; raises `DataError` where one cannot be written, or something
    else than a side of a split would be lost.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot be made: {error.strerror}; make it, or name another", file=str(folder)) from error
    placed = [(example, split.side_of(example)) for example in dataset]
    paths = {side: folder / f"{side}.jsonl" for side in SIDES}
    aside = folder / "excluded.jsonl"
    if aside.exists() or any(side == "excluded" for _, side in placed):
        paths["excluded"] = aside
    for name, path in paths.items():
        refuse_unwritable(path)
        if path.exists() and not _holds(path, name):
            remedy = "name another folder, or move it away"
            raise DataError(f"is there already, and no side of a split: it would be lost; {remedy}", file=str(path))
    with ExitStack() as stack:
        files = {side: stack.enter_context(written(path)) for side, path in paths.items()}
        for example, side in placed:
            if side is not None:
                files[side].write(encoded(replace(example, split=side)))
    return list(paths.values())


def _holds(path: Path, side: str) -> bool:
    """Whether a file is such a side, by its first row; an empty one is."""
    with path.open("rb") as lines:
        first = lines.readline()
    try:
        row = json.loads(first or json.dumps({"split": side}))
    except ValueError:
        return False
    return isinstance(row, dict) and row.get("split") == side
