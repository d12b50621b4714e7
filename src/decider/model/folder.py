"""A model folder: arrays that no pickle can hide in, and a manifest that says what they are.

manifest.json   what was trained, on what (by fingerprint), how well, and the sha256 of every other file
buckets.npy     int32 (n-gram columns): the bucket of each, ascending
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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import from_json

from decider.errors import ModelError
from decider.model.features import Features
from decider.model.hashing import BITS
from decider.model.heads import Heads
from decider.model.manifest import FORMAT, FeaturesEntry, FieldEntry, Manifest, differences
from decider.task import Task

MANIFEST = "manifest.json"
_ARRAYS: Mapping[str, tuple[str, int]] = {
    "buckets": ("<i4", 1),
    "rarity": ("<f4", 1),
    "weights": ("<f4", 2),
    "bias": ("<f4", 1),
}
_OURS = {"format", "schema_fingerprint", "files"}
"""Keys that tell our manifest.json, of whatever format, from one of the many others of that name."""


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
    path = path.resolve()
    refuse_foreign(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        arrays = {"buckets": features.buckets, "rarity": features.rarity, "weights": heads.weights, "bias": heads.bias}
        files = {f"{name}.npy": _write(aside / f"{name}.npy", _bytes(name, array)) for name, array in arrays.items()}
        whole = Manifest(
            format=FORMAT,
            fields=[FieldEntry.of(field) for field in heads.fields],
            features=FeaturesEntry.of(features),
            rows=heads.rows,
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
    differing = differences(manifest, task)
    if differing:
        raise ModelError(f"{path} is not of the task {task.name!r}: {'; '.join(differing)}; train it again")
    _refuse_junk(path)
    arrays = {name: _array(path, name, manifest) for name in _ARRAYS}
    fields = {field.path: field for field in task.fields}
    heads = Heads(
        fields=tuple(fields[entry.path] for entry in manifest.fields),
        weights=arrays["weights"],
        bias=arrays["bias"],
        rows=manifest.rows,
    )
    _check_columns(path, arrays)
    features = manifest.features.features(buckets=arrays["buckets"], rarity=arrays["rarity"])
    labels = sum(len(field.labels) for field in heads.fields)
    if heads.weights.shape != (features.width, labels) or heads.bias.shape != (labels,):
        raise _damaged(path, "its arrays are not of the size that its manifest says")
    return Model(manifest=manifest, features=features, heads=heads, sha256=hashlib.sha256(content).hexdigest())


def refuse_foreign(path: Path) -> None:
    """Raise `ModelError` where something stands at `path` that is not a model, or not a model alone."""
    if not path.exists():
        return
    if not path.is_dir() or (any(path.iterdir()) and not _is_ours(path)):
        raise ModelError(f"{path} is there already and is no model; nothing was written; name another folder")
    foreign = sorted(one.name for one in path.iterdir() if one.name not in _NAMES)
    if foreign:
        raise ModelError(
            f"{path} holds {foreign[0]!r}, which is no part of a model and would be lost; nothing was written; "
            "move it away, or name another folder"
        )


_NAMES = {MANIFEST, *(f"{name}.npy" for name in _ARRAYS)}


def _is_ours(path: Path) -> bool:
    try:
        said = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and said.keys() >= _OURS


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


def _bytes(name: str, array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array, _ARRAYS[name][0]), allow_pickle=False)
    return file.getvalue()


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
        said = from_json(content, allow_inf_nan=False)
        if isinstance(said, dict) and said.get("format") != FORMAT:
            found = f"{path} is in format {said.get('format')!r}"
            raise ModelError(f"{found}, and this version reads format {FORMAT}; train it again")
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


def _refuse_junk(path: Path) -> None:
    """Files that no model has; hidden ones may be there, since file systems and version control leave them."""
    junk = sorted(one.name for one in path.iterdir() if one.name not in _NAMES and not one.name.startswith("."))
    if junk:
        raise _damaged(path, f"it holds {junk[0]!r}, which is no part of a model")


def _array(path: Path, name: str, manifest: Manifest) -> NDArray[Any]:
    """One array, read-only; it is never unpickled, and takes no more memory than its file."""
    file = f"{name}.npy"
    content = _read(path, file)
    if hashlib.sha256(content).hexdigest() != manifest.files.get(file):
        raise _damaged(path, f"{file} is not the file that was written with the manifest (its sha256 differs)")
    stream = io.BytesIO(content)
    try:
        np.lib.format.read_magic(stream)
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
        if by_columns or (dtype.str, len(shape)) != _ARRAYS[name]:
            raise _damaged(path, f"{file} holds {dtype.name} in {len(shape)} dimensions")
        return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape)
    except ValueError as error:
        raise _damaged(path, f"{file} is no plain array ({error})") from error


def _check_columns(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    buckets = arrays["buckets"]
    if buckets.size and not (buckets[0] >= 0 and buckets[-1] < 1 << BITS and (buckets[1:] > buckets[:-1]).all()):
        raise _damaged(path, "buckets.npy holds numbers that are no buckets in ascending order")
    if arrays["rarity"].shape != buckets.shape:
        raise _damaged(path, "its arrays are not of the size that its manifest says")
    for name in ("rarity", "weights", "bias"):
        if not np.isfinite(arrays[name]).all():
            raise _damaged(path, f"{name}.npy holds a number that is not finite")


def _damaged(path: Path, message: str) -> ModelError:
    return ModelError(f"{path} is damaged: {message}; train it again, or restore it from where it was copied")
