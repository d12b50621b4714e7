"""A model folder: arrays that no pickle can hide in, and a manifest that says what they are.

manifest.json   what was trained, on what (by fingerprint), how well, and the sha256 of every other file
buckets.npy     int32 (n-gram columns): the bucket of each
rarity.npy      float32 (n-gram columns): the inverse document frequency of each
weights.npy     float32 (columns, labels of all fields in order)
bias.npy        float32 (labels of all fields in order)
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from decider.errors import ModelError
from decider.model.features import Features, Number
from decider.model.hashing import BITS
from decider.model.heads import Heads
from decider.schema import Field, Label, Option
from decider.task import Task

FORMAT = 1
MANIFEST = "manifest.json"
_ARRAYS: Mapping[str, tuple[str, int]] = {
    "buckets": ("int32", 1),
    "rarity": ("float32", 1),
    "weights": ("float32", 2),
    "bias": ("float32", 1),
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldEntry(_Strict):
    """A field that was trained, with its labels in the order of the columns."""

    path: str
    kind: Literal["choice", "bool", "scale", "tags"]
    labels: list[Label]
    optional: bool


class NumberEntry(_Strict):
    """A numeric input, as `features.Number` has it."""

    path: str
    start: int
    mean: float
    scale: float
    edges: list[float]


class FeaturesEntry(_Strict):
    """What `features.Features` has beside its arrays."""

    bits: int
    least: int
    most: int
    texts: list[str]
    categories: list[str]
    seen: dict[str, int]
    numbers: list[NumberEntry]


class Manifest(_Strict):
    """Everything that a model folder says of itself.

    `metrics` is what cross-validation gave on the training rows, with 95 % intervals.
    """

    format: int
    task: str
    version: int
    schema_fingerprint: str
    inputs: list[str]
    fields: list[FieldEntry]
    features: FeaturesEntry
    data_fingerprint: str
    rows: int
    metrics: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]
    created_at: str
    files: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A trained classifier of every closed field, in memory; safe for threads, since nothing in it changes."""

    manifest: Manifest
    features: Features
    heads: Heads
    sha256: str
    """Of the manifest, which holds those of all files: the identity of these exact weights."""


def save(path: Path, *, manifest: Mapping[str, Any], features: Features, heads: Heads) -> None:
    """Write a model folder aside and rename it into place; `manifest` lacks what this knows by itself.

    Raises `ModelError` where something that is not a model stands there.
    """
    refuse_foreign(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        arrays = {"buckets": features.buckets, "rarity": features.weights, "weights": heads.weights, "bias": heads.bias}
        files = {f"{name}.npy": _write(aside / f"{name}.npy", _bytes(array)) for name, array in arrays.items()}
        whole = Manifest(
            format=FORMAT,
            fields=[
                FieldEntry(path=one.path, kind=one.kind, labels=list(one.labels), optional=one.optional)  # type: ignore[arg-type]  # only closed fields are trained
                for one in heads.fields
            ],
            features=_entry(features),
            files=files,
            **manifest,
        )
        _write(aside / MANIFEST, whole.model_dump_json(indent=1).encode() + b"\n")
        _put_in_place(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def load(path: Path, *, task: Task[Any]) -> Model:
    """Read a model folder; raises `ModelError` for one that is damaged, foreign, or of another task."""
    content = _read(path, MANIFEST)
    manifest = _manifest(path, content)
    fields = _matched(path, manifest, task)
    arrays = {name: _array(path, name, manifest) for name in _ARRAYS}
    entry = manifest.features
    features = Features(
        texts=tuple(entry.texts),
        categories=tuple(entry.categories),
        numbers=tuple(Number(**{**dict(one), "edges": tuple(one.edges)}) for one in entry.numbers),
        least=entry.least,
        most=entry.most,
        buckets=arrays["buckets"],
        weights=arrays["rarity"],
        seen=entry.seen,
    )
    heads = Heads(fields=fields, weights=arrays["weights"], bias=arrays["bias"])
    labels = sum(len(one.labels) for one in fields)
    if heads.weights.shape != (features.width, labels) or heads.bias.shape != (labels,):
        raise _damaged(path, "its arrays are not of the size that its manifest says")
    return Model(manifest=manifest, features=features, heads=heads, sha256=hashlib.sha256(content).hexdigest())


def refuse_foreign(path: Path) -> None:
    """Raise `ModelError` where something stands at `path` that is not a model."""
    if path.exists() and not (path / MANIFEST).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise ModelError(f"{path} is there already and is no model; nothing was written; name another folder")


def _put_in_place(aside: Path, path: Path) -> None:
    """Rename, with what stood there moved away first: at every moment a whole model is on disk."""
    if not path.exists():
        aside.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    path.rename(old / path.name)
    aside.rename(path)
    shutil.rmtree(old)


def _write(path: Path, content: bytes) -> str:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def _bytes(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


def _entry(features: Features) -> FeaturesEntry:
    numbers = [
        NumberEntry(path=one.path, start=one.start, mean=one.mean, scale=one.scale, edges=list(one.edges))
        for one in features.numbers
    ]
    return FeaturesEntry(
        bits=BITS,
        least=features.least,
        most=features.most,
        texts=list(features.texts),
        categories=list(features.categories),
        seen=dict(features.seen),
        numbers=numbers,
    )


def _read(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        if name == MANIFEST:
            message = f"{path} is no model folder: it has no readable {MANIFEST}; train one with `decider train`"
            raise ModelError(message) from error
        raise _damaged(path, f"{name} cannot be read ({error.strerror})") from error


def _manifest(path: Path, content: bytes) -> Manifest:
    try:
        said = json.loads(content)
        if isinstance(said, dict) and said.get("format") != FORMAT:
            message = (
                f"{path} is in format {said.get('format')!r}, and this version reads format {FORMAT}; train it again"
            )
            raise ModelError(message)
        manifest = Manifest.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _damaged(path, f"its manifest is wrong at {where or 'the top'}: {first['msg']}") from error
    except ValueError as error:
        raise _damaged(path, f"its manifest is not JSON ({error})") from error
    if manifest.features.bits != BITS:
        raise ModelError(f"{path} hashes to {manifest.features.bits} bits, and this version to {BITS}; train it again")
    return manifest


def _matched(path: Path, manifest: Manifest, task: Task[Any]) -> tuple[Field, ...]:
    """The fields of the model, each of them as the task has it today."""
    closed = {field.path: field for field in task.fields if field.closed}
    problems = []
    for entry in manifest.fields:
        field = closed.pop(entry.path, None)
        if field is None:
            problems.append(f"{entry.path} is not a closed field of the task")
        elif (field.kind, list(field.labels), field.optional) != (entry.kind, entry.labels, entry.optional):
            problems.append(_differs(entry, field))
    problems += [f"{name} was not trained" for name in closed]
    inputs = [field.path for field in task.inputs]
    if manifest.inputs != inputs:
        problems.append(f"it reads the inputs {manifest.inputs or 'one text'}, the task has {inputs or 'one text'}")
    if problems:
        raise ModelError(f"{path} is not of the task {task.name!r}: {'; '.join(problems)}; train it again")
    return tuple(
        Field(
            path=one.path,
            kind=one.kind,
            options=tuple(Option(value=label) for label in one.labels if label is not None),
            optional=one.optional,
        )
        for one in manifest.fields
    )


def _differs(entry: FieldEntry, field: Field) -> str:
    added = [label for label in field.labels if label not in entry.labels]
    removed = [label for label in entry.labels if label not in field.labels]
    said = [f"without {added!r}"] if added else []
    said += [f"with {removed!r}"] if removed else []
    return f"{field.path} was trained {' and '.join(said) or f'as {entry.kind} in another order'}"


def _array(path: Path, name: str, manifest: Manifest) -> NDArray[Any]:
    file = f"{name}.npy"
    content = _read(path, file)
    if hashlib.sha256(content).hexdigest() != manifest.files.get(file):
        raise _damaged(path, f"{file} is not the file that was written with the manifest (its sha256 differs)")
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise _damaged(path, f"{file} is no plain array ({error})") from error
    if (array.dtype.name, array.ndim) != _ARRAYS[name]:
        raise _damaged(path, f"{file} holds {array.dtype.name} in {array.ndim} dimensions")
    return np.asarray(array)


def _damaged(path: Path, message: str) -> ModelError:
    return ModelError(f"{path} is damaged: {message}; train it again, or restore it from where it was copied")
