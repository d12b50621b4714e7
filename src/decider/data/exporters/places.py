"""Where the files of an export go, by their sides: a folder, or one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from decider.data.aside import is_same, refuse_unwritable
from decider.data.exporters.targets import Sides, Target
from decider.errors import DataError


def places_of(target: Target, out: Path, *, side: Sides | None, data: Path) -> Mapping[str, Path]:
    """Return the file of each side that is written; `side` is the only one, where it is not None.

    Raises `DataError` where they cannot be written, or would take the place of `data`.
    """
    sides = target.sides if side is None else (side,)
    single = not target.foldered and out.suffix.lower() == target.ending and not out.is_dir()
    if single:
        places: dict[str, Path] = dict.fromkeys(sides if target.form in ("csv", "parquet", "rows") else sides[:1], out)
    else:
        if out.is_file() or (out.suffix.lower() in (".jsonl", ".csv", ".parquet", ".json") and not out.is_dir()):
            wanted = "a folder" if target.foldered else f"a folder, or a file that ends in {target.ending}"
            raise DataError(f"{target.name} is written to {wanted}", file=str(out))
        places = {one: out / target.names[one] for one in sides}
    refuse_unwritable(out if single or not out.is_dir() else out / target.names[sides[0]].rpartition("/")[2])
    if any(is_same(path, data) for path in places.values()):
        raise DataError("would be written over by its own export; name another OUT", file=str(data))
    return places


@contextmanager
def folders(out: Path, places: Mapping[str, Path]) -> Iterator[None]:
    """Make the folders of the files for a block that fills them; those that were made go again where it fails."""
    wanted = [] if out in places.values() else sorted({out, *(path.parent for path in places.values())})
    made = [folder for folder in wanted if not folder.exists()]
    for folder in made:
        folder.mkdir()
    try:
        yield
    except BaseException:
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()
        raise
