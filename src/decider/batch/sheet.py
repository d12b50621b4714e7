"""The file of a batch while it is written: a line for each row that asks something."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from tempfile import TemporaryFile

from pydantic_core import to_json

from decider.batch.parts import Numbers, Part, id_of
from decider.batch.replay import Question
from decider.engines.batches import URL
from decider.runtime.budget import Spend

MOST_BYTES = 190_000_000
"""A little less than the 200 MB that a file may have."""

_LINE = b'{"custom_id":"%b","method":"POST","url":"%b","body":%b}\n'
_AROUND = 200
"""Bytes of a line around the body, at most."""


class Sheet:
    """Takes the questions of one part, in the order of their rows; the file has no name, so that no kill leaves it."""

    def __init__(self, number: int, folder: Path | None) -> None:
        self.file = TemporaryFile(dir=folder)  # noqa: SIM115  # whoever submits it closes it
        self.digests: set[str] = set()
        self._number = number
        self._rows = Numbers()
        self._most = Spend()
        self._bytes = 0
        self._hash = hashlib.sha256()

    def has_room(self, question: Question, rows: int) -> bool:
        """Whether one more question fits, where `rows` are allowed."""
        return len(self._rows) < rows and self._bytes + len(question.body) + _AROUND <= MOST_BYTES

    def add(self, row: int, question: Question, most: Spend) -> None:
        """Write the question of a row, whose worst case is `most`."""
        name = id_of(row, self._number, question.digest)
        line = b'{"custom_id":"%b","method":"POST","url":"%b","body":%b}\n' % (
            name.encode(),
            URL.encode(),
            question.body,
        )
        self.file.write(line)
        self._hash.update(line)
        self._bytes += len(line)
        self._rows.add(row)
        self._most += most
        self.digests.add(question.digest)

    def part(self, run: str) -> Part:
        """Return the part of a run that was written, with a mark that nothing else has."""
        mark = hashlib.sha256(to_json([run, self._number, self._hash.hexdigest()])).hexdigest()
        return Part(
            number=self._number,
            rows=self._rows,
            mark=mark,
            most=self._most,
            begun=time.time(),
        )
