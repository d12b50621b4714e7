"""What changed in a schema, as its author wrote it down: a small YAML file, read as strictly as a spec."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from decider.errors import SpecError
from decider.spec import Document
from decider.spec import read as read_document
from decider.spec.values import Text, mistake, shown

EXAMPLE = """\
changes:
  - rename: {field: team, from: sales, to: growth}
  - merge: {field: team, from: [tech, it], to: technical}
  - split: {field: team, from: billing, into: [refunds, invoices]}
  - retire: {field: team, label: fax, to: other}
  - add: {field: urgent, value: false}
  - drop: {field: mood}
  - rename_field: {from: prio, to: priority}
"""


def _label(value: Any) -> str | None:
    """A label as its author typed it; null is the one for no answer."""
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    raise mistake(f"expected one label, found {shown(value)}", "write it as the rows have it, without brackets")


def _labels(value: Any) -> tuple[str | None, ...]:
    if isinstance(value, list) and value:
        return tuple(map(_label, value))
    raise mistake(f"expected a list of labels, found {shown(value)}", "write [first, second]")


Phrase: TypeAlias = Annotated[str, Text()]
Said: TypeAlias = Annotated[str | None, BeforeValidator(_label)]
Several: TypeAlias = Annotated[tuple[str | None, ...], BeforeValidator(_labels)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rename(_Part):
    """A label has another name."""

    field: Phrase
    old: Said = Field(alias="from")
    to: Said


class Merge(_Part):
    """Several labels are one."""

    field: Phrase
    old: Several = Field(alias="from")
    to: Said


class Divide(_Part):
    """One label is several; `by` says which, by the value of another field or of an input."""

    field: Phrase
    old: Said = Field(alias="from")
    into: Several
    by: dict[str, dict[str, Said]] = {}


class Retire(_Part):
    """A label is no longer there; without `to`, somebody has to find another."""

    field: Phrase
    label: Said
    to: Said = None


class Add(_Part):
    """A field is new; without `value`, somebody has to fill it."""

    field: Phrase
    value: Any = None


class Drop(_Part):
    """A field is no longer there."""

    field: Phrase


class RenameField(_Part):
    """A field has another name."""

    old: Phrase = Field(alias="from")
    to: Phrase


class Change(_Part):
    """One change, of exactly one kind."""

    rename: Rename | None = None
    merge: Merge | None = None
    split: Divide | None = None
    retire: Retire | None = None
    add: Add | None = None
    drop: Drop | None = None
    rename_field: RenameField | None = None

    @model_validator(mode="after")
    def _one(self) -> Change:
        found = [name for name in KINDS if getattr(self, name) is not None]
        if len(found) != 1:
            what = f"holds {' and '.join(found)}" if found else "says nothing"
            raise mistake(f"{what}; a change is one of {', '.join(KINDS)}", "begin each change with a `-` of its own")
        return self

    @property
    def kind(self) -> str:
        """Which kind it is."""
        return next(name for name in KINDS if getattr(self, name) is not None)

    @property
    def part(self) -> Any:
        """What it says."""
        return getattr(self, self.kind)


KINDS = tuple(Change.model_fields)


class _Changes(_Part):
    changes: Annotated[list[Change], Field(min_length=1)]


def read(path: Path) -> tuple[tuple[Change, ...], Document]:
    """Read a file of changes; raises a `SpecError` with every mistake in it and its place."""
    document = _document(path)
    try:
        return tuple(_Changes.model_validate(document.data).changes), document
    except ValidationError as error:
        found = sorted((_explained(document, one) for one in error.errors(include_url=False)), key=_place)
        raise found[0].with_also(tuple(found[1:])) from error


def _document(path: Path) -> Document:
    """The file as YAML; what the reader of specs would say of a spec is said of changes."""
    like = f"write, for example:\n\n{EXAMPLE}"
    if not path.is_file():
        raise SpecError("there is no such file", file=str(path), remedy=like)
    first = next(_significant(path), "")
    if not first or first.startswith("-"):
        message = "has its changes at the left margin, below no key" if first else "is empty"
        raise SpecError(message, file=str(path), remedy=like)
    return read_document(path)


def _significant(path: Path) -> Iterator[str]:
    """The lines that are neither empty nor comments."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines())
    return (line for line in lines if line and not line.startswith("#"))


def _place(error: SpecError) -> tuple[int, int]:
    return error.line or 0, error.column or 0


def _explained(document: Document, details: ErrorDetails) -> SpecError:
    context = details.get("ctx", {})
    path = (*details["loc"], *context.get("at", ()))
    remedy: str | None = f"write, for example:\n\n{EXAMPLE}" if len(path) < 2 else None
    match details["type"]:
        case "decider":
            message, remedy = context["message"], context["remedy"]
        case "missing":
            message, remedy = "is missing", remedy or f"add `{path[-1]}: …`"
        case "extra_forbidden":
            allowed = _allowed(path[:-1])
            close = get_close_matches(str(path[-1]), allowed, 1)
            message = "unknown key"
            remedy = f"did you mean `{close[0]}`?" if close else f"allowed are {', '.join(allowed)}"
        case "list_type" | "too_short":
            message = f"expected a list of changes, found {shown(details['input'])}"
        case _:
            message = f"expected a mapping, found {shown(details['input'])}"
    return document.error(message, path, remedy=remedy)


def _allowed(path: tuple[str | int, ...]) -> list[str]:
    """The keys that may stand at a path: of the file, of a change, or of one kind of change."""
    parts: dict[str, type[BaseModel]] = {
        "rename": Rename, "merge": Merge, "split": Divide, "retire": Retire, "add": Add, "drop": Drop,
        "rename_field": RenameField,
    }  # fmt: skip
    model: type[BaseModel] = _Changes if not path else Change if len(path) == 2 else parts[str(path[2])]
    return [info.alias or name for name, info in model.model_fields.items()]
