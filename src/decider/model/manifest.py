"""What a model folder says of itself: which decision it was trained for, on what, how, and how well."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Self

from annotated_types import Gt
from pydantic import BaseModel, ConfigDict, FiniteFloat, PositiveInt, field_validator, model_validator

from decider.model.features import Features, Number
from decider.model.hashing import BITS
from decider.schema import Field, Kind, Label
from decider.task import Task

FORMAT = 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldEntry(_Strict):
    """A field that was trained, with its labels in the order of the columns."""

    path: str
    kind: Kind
    labels: list[Label]

    @classmethod
    def of(cls, field: Field) -> Self:
        """Return the entry of a field."""
        return cls(path=field.path, kind=field.kind, labels=list(field.labels))


class NumberEntry(_Strict):
    """A numeric input, as `features.Number` has it."""

    path: str
    mean: FiniteFloat
    scale: Annotated[FiniteFloat, Gt(0)]
    edges: tuple[FiniteFloat, ...]

    @field_validator("edges")
    @classmethod
    def _ascending(cls, edges: tuple[float, ...]) -> tuple[float, ...]:
        if any(a >= b for a, b in pairwise(edges)):
            raise ValueError("they do not ascend")
        return edges


class FeaturesEntry(_Strict):
    """What `features.Features` has beside its arrays."""

    bits: int
    least: PositiveInt
    most: PositiveInt
    texts: tuple[str, ...]
    categories: tuple[str, ...]
    seen: tuple[str, ...]
    numbers: tuple[NumberEntry, ...]

    @classmethod
    def of(cls, features: Features) -> Self:
        """Return the entry of fitted features."""
        return cls(
            bits=BITS,
            least=features.least,
            most=features.most,
            texts=features.texts,
            categories=features.categories,
            seen=features.seen,
            numbers=tuple(
                NumberEntry(path=one.path, mean=one.mean, scale=one.scale, edges=one.edges) for one in features.numbers
            ),
        )

    def features(self, **arrays: Any) -> Features:
        """Return the features, with the arrays that the folder holds."""
        return Features(
            texts=self.texts,
            categories=self.categories,
            numbers=tuple(Number(**dict(one)) for one in self.numbers),
            least=self.least,
            most=self.most,
            seen=self.seen,
            **arrays,
        )


class Manifest(_Strict):
    """Everything that a model folder says of itself.

    `inputs` is the kind of each input by path, empty for one text; `metrics` is what cross-validation gave on the
    training rows, with 95 % intervals; `files` is the sha256 of every other file by name.
    """

    format: int
    task: str
    version: int
    schema_fingerprint: str
    inputs: dict[str, Kind]
    fields: list[FieldEntry]
    features: FeaturesEntry
    data_fingerprint: str
    rows: PositiveInt
    metrics: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]
    created_at: str
    files: dict[str, str]

    @model_validator(mode="after")
    def _reads_its_inputs(self) -> Self:
        numbers = [one.path for one in self.features.numbers]
        read = sorted((*self.features.texts, *self.features.categories, *numbers))
        if read != sorted(self.inputs or [""]) or any(self.inputs[path] not in NUMERIC for path in numbers):
            raise ValueError("its features do not read the inputs that it names")
        return self


NUMERIC: frozenset[Kind] = frozenset({"integer", "number", "scale"})
"""The kinds of input that are numbers to a model."""


def differences(manifest: Manifest, task: Task[Any]) -> list[str]:
    """Return in words what keeps the model from answering `task`: fields and inputs that are not those of today."""
    fields = {field.path: field for field in task.fields if field.closed}
    trained = {entry.path: entry for entry in manifest.fields}
    return [
        *(f"{path} is not a closed field of the task" for path in trained if path not in fields),
        *(said for path, entry in trained.items() if path in fields and (said := _changed(entry, fields[path]))),
        *(f"{path} was not trained" for path in fields if path not in trained),
        *_other_inputs(manifest.inputs, {field.path: field.kind for field in task.inputs}),
    ]


def _changed(entry: FieldEntry, field: Field) -> str:
    today = FieldEntry.of(field)
    # As JSON, since to Python true equals 1.
    if entry.model_dump_json() == today.model_dump_json():
        return ""
    if entry.kind != today.kind:
        return f"{field.path} was trained as {entry.kind}, and is {today.kind}"
    added = [label for label in today.labels if label not in entry.labels]
    removed = [label for label in entry.labels if label not in today.labels]
    parts = (f"without {added!r}" if added else "", f"with {removed!r}" if removed else "")
    how = " and ".join(part for part in parts if part) or "with its answers in another order"
    return f"{field.path} was trained {how}"


def _other_inputs(trained: dict[str, Kind], today: dict[str, Kind]) -> list[str]:
    if not trained or not today:
        read = [", ".join(inputs) or "one text" for inputs in (trained, today)]
        return [] if trained == today else [f"it reads {read[0]}, and the task has {read[1]}"]
    return [
        *(f"it reads {path}, which is no input of the task" for path in trained if path not in today),
        *(f"it was trained without the input {path}" for path in today if path not in trained),
        *(
            f"it reads {path} as {kind}, and it is {today[path]}"
            for path, kind in trained.items()
            if today.get(path, kind) != kind
        ),
    ]
