"""Folders of datasets: as Hugging Face's `save_to_disk` leaves them, and as a repository of its hub holds them.

Read with pyarrow. Labels that are numbers with names (`ClassLabel`) are read as their names, in Parquet files on their
own as well. What is read is described at https://huggingface.co/docs/hub/datasets-data-files-configuration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from decider.data.files import FileRow, arrow, refuse_doubled
from decider.data.importers.rejects import ENDING
from decider.errors import DataError

_SIDES = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation", "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
"""Words in the names of files, as the hub understands them."""

_ENDINGS = (".parquet", ".jsonl", ".ndjson", ".csv", ".json", ".arrow")
_DESCRIBING = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
_BATCH = 1000
_FILE_FORMAT = b"ARROW1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a dataset: which split it is of, and the features that the folder declares, by column."""

    path: Path
    split: str | None = None
    features: Mapping[str, Any]


def parts(folder: Path) -> list[Part]:
    """Return the files of a dataset folder in order; raises `DataError` where it is none, or more than one."""
    if (folder / "dataset_dict.json").is_file():
        splits = _object(folder / "dataset_dict.json").get("splits")
        names = [str(name) for name in splits] if isinstance(splits, list) else []
        return [part for name in names for part in _saved(_inside(folder, name), name)]
    if (folder / "state.json").is_file():
        return _saved(folder, None)
    found = _from_hub(folder)
    if not found:
        raise DataError(f"holds no data; a dataset folder holds {', '.join(_ENDINGS)}", file=str(folder))
    return found


def side(name: str | None) -> str | None:
    """Return the side that a split is, where its name is one of those that are usual, else its name."""
    return None if name is None else _SIDES.get(name.lower(), name)


def arrow_rows(path: Path) -> Iterator[FileRow]:
    """Return the rows of an Arrow file, lazily; raises `DataError` where it is none, or ends too early."""
    pa, _ = arrow()
    n = 0
    try:
        with pa.memory_map(str(path)) as file:
            for batch in _batches(_reader(pa, file)):
                refuse_doubled(batch.schema.names, str(path))
                for value in batch.to_pylist():
                    n += 1
                    yield FileRow(n, n, value)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"is not Arrow, or not all of it: {error}", file=str(path), row=n + 1) from error


def declared(path: Path, *, parquet: bool) -> Mapping[str, Any]:
    """Return the features that a Parquet or Arrow file declares itself, by column, as `datasets` writes them."""
    pa, pq = arrow()
    try:
        if parquet:
            schema = pq.read_schema(path)
        else:
            with pa.memory_map(str(path)) as file:
                schema = _reader(pa, file).schema
    except (pa.ArrowException, OSError):
        return {}  # whoever reads the rows says what is wrong
    return _features((schema.metadata or {}).get(b"huggingface"))


def named(rows: Iterable[FileRow], features: Mapping[str, Any]) -> Iterator[FileRow]:
    """Put the names of labels in the place of their numbers."""
    labels = {column: feature for column, feature in features.items() if _has_labels(feature)}
    for row in rows:
        if labels and isinstance(row.value, dict):
            cells = {
                column: _name(row.value[column], feature) for column, feature in labels.items() if column in row.value
            }
            yield row._replace(value=row.value | cells)
        else:
            yield row


def _reader(pa: Any, file: Any) -> Any:
    """What reads an Arrow file, which is a file of batches, or a stream of them."""
    whole = file.read(len(_FILE_FORMAT)) == _FILE_FORMAT
    file.seek(0)
    return pa.ipc.open_file(file) if whole else pa.ipc.open_stream(file)


def _batches(reader: Any) -> Iterator[Any]:
    """The rows of a file in pieces that are small enough to be Python objects."""
    count = getattr(reader, "num_record_batches", None)
    for batch in reader if count is None else map(reader.get_batch, range(count)):
        for start in range(0, batch.num_rows, _BATCH):
            yield batch.slice(start, _BATCH)


def _saved(folder: Path, split: str | None) -> list[Part]:
    """The files that `save_to_disk` wrote for one split."""
    state, info = _object(folder / "state.json"), _object(folder / "dataset_info.json")
    if state.get("_indices_data_files"):
        remedy = "load it with datasets and save it again"
        raise DataError(
            f"is saved as a selection of its rows, by an old version of datasets; {remedy}", file=str(folder)
        )
    files = state.get("_data_files") or []
    split = split or state.get("_split")
    features = info.get("features") or {}
    return [Part(path=_inside(folder, str(one["filename"])), split=side(split), features=features) for one in files]


def _from_hub(folder: Path) -> list[Part]:
    """The files of a repository: as its card says, else by their names."""
    card = _card(folder / "README.md")
    features = _card_features(card.get("dataset_info"))
    config = _config(card.get("configs"), folder)
    if config is not None:
        return [
            Part(path=path, split=side(split), features=features)
            for split, pattern in _patterns(config)
            for path in _matching(folder, pattern)
        ]
    files = [path for path in sorted(folder.rglob("*")) if _is_data(path, folder)]
    formats = sorted({path.suffix for path in files})
    if len(formats) > 1:
        raise DataError(f"holds files of several formats, {', '.join(formats)}; name those to read", file=str(folder))
    splits = [_split_of(path.relative_to(folder)) for path in files]
    return [
        Part(path=path, split=split, features=features)
        for path, split in zip(files, splits, strict=True)
        if split is not None or not any(splits)
    ]


def _is_data(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
    rejected = path.name.endswith(ENDING)  # what an import into the folder could not read
    return path.suffix in _ENDINGS and path.name not in _DESCRIBING and not hidden and not rejected and path.is_file()


def _split_of(path: Path) -> str | None:
    """The side that words in the path of a file name, the first of them."""
    return next((_SIDES[word] for word in re.split("[^a-z]+", path.as_posix().lower()) if word in _SIDES), None)


def _card(path: Path) -> dict[str, Any]:
    """The head of a card, between two lines of ---."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8", errors="replace")
    head = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    try:
        found = yaml.safe_load(head[1]) if head else {}
    except yaml.YAMLError as error:
        raise DataError(f"its head is not YAML: {' '.join(str(error).split())}", file=str(path)) from error
    return found if isinstance(found, dict) else {}


def _config(configs: Any, folder: Path) -> Mapping[str, Any] | None:
    """The configuration that is meant: the only one, or the one that is the default."""
    found = [one for one in configs or [] if isinstance(one, Mapping) and one.get("data_files")]
    if len(found) < 2:
        return found[0] if found else None
    for one in found:
        if one.get("default") is True or one.get("config_name") == "default":
            return one
    names = ", ".join(str(one.get("config_name")) for one in found)
    raise DataError(f"holds several datasets: {names}; name the files of one of them", file=str(folder))


def _patterns(config: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    """Each split of a configuration with the patterns of its files."""
    files = config["data_files"]
    for one in [files] if isinstance(files, str | Mapping) else files:
        split, paths = (one.get("split"), one.get("path")) if isinstance(one, Mapping) else (None, one)
        for path in paths if isinstance(paths, list) else [paths]:
            yield split, str(path)


def _matching(folder: Path, pattern: str) -> list[Path]:
    _inside(folder, pattern)
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    if not found:
        raise DataError(f"names files that are not there: {pattern!r}; is the download complete?", file=str(folder))
    return found


def _inside(folder: Path, name: str) -> Path:
    """A path in a folder; raises `DataError` where its text leads out of it. Links may: the hub's cache is of them."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "://" in name or "\\" in name:
        raise DataError(f"names a file outside of the folder: {name!r}; name it yourself", file=str(folder))
    return folder / path


def _object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"is not JSON: {error}", file=str(path)) from error
    return found if isinstance(found, dict) else {}


def _features(said: bytes | None) -> Mapping[str, Any]:
    """The features in the metadata of a schema."""
    try:
        found = json.loads(said or b"{}")["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _card_features(info: Any) -> dict[str, Any]:
    """The features that a card declares, in the words of `dataset_info.json`."""
    infos = info if isinstance(info, list) else [info]
    listed = [one["features"] for one in infos if isinstance(one, Mapping) and isinstance(one.get("features"), list)]
    return {
        str(one.get("name")): _card_feature(one) for features in listed for one in features if isinstance(one, Mapping)
    }


def _card_feature(one: Mapping[str, Any]) -> Any:
    for key in ("sequence", "list"):
        if key in one:
            inner = one[key]
            return {
                "_type": "List",
                "feature": _card_feature(inner if isinstance(inner, Mapping) else {"dtype": inner}),
            }
    kind = one.get("dtype")
    label = kind.get("class_label") if isinstance(kind, Mapping) else one.get("class_label")
    names = label.get("names") if isinstance(label, Mapping) else None
    if isinstance(names, Mapping):
        names = [names[number] for number in sorted(names, key=int)]
    return {"_type": "ClassLabel", "names": names} if isinstance(names, list) else {"_type": "Value"}


def _has_labels(feature: Any) -> bool:
    inner = _inner(feature)
    if inner is not None:
        return _has_labels(inner)
    return isinstance(feature, Mapping) and (
        feature.get("_type") == "ClassLabel" or any(map(_has_labels, feature.values()))
    )


def _inner(feature: Any) -> Any:
    """The feature of the elements of a list, in each of the ways in which `datasets` has written one; else None."""
    if isinstance(feature, list):
        return feature[0] if feature else None
    lists = ("Sequence", "List", "LargeList")
    return feature.get("feature") if isinstance(feature, Mapping) and feature.get("_type") in lists else None


def _name(value: Any, feature: Any) -> Any:
    """A value in which numbers of labels are their names; a row that nobody labelled has -1, and None."""
    inner = _inner(feature)
    if isinstance(value, list):
        return [_name(one, feature if inner is None else inner) for one in value]
    if isinstance(value, dict):
        known = feature if inner is None else inner
        return {key: _name(one, known.get(key)) for key, one in value.items()} if isinstance(known, Mapping) else value
    if isinstance(value, int) and isinstance(feature, Mapping) and feature.get("_type") == "ClassLabel":
        names = feature["names"]
        return names[value] if 0 <= value < len(names) else None if value == -1 else value
    return value
