"""The fields of a Pydantic model: its leaves by dotted path, each with its kind and its answers."""

from __future__ import annotations

import hashlib
import json
import types
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date
from enum import Enum, IntEnum
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, NewType, TypeAlias, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from decider.errors import SpecError
from decider.schema.strict import NotStrict, strict_object, strict_type

Label: TypeAlias = str | int | bool | None
Kind = Literal["choice", "bool", "scale", "tags", "text", "integer", "number", "date", "other"]

CLOSED: frozenset[Kind] = frozenset({"choice", "bool", "scale", "tags"})
MAX_LEVELS = 20
"""A bounded integer with more levels than this is an open number, not a scale: nobody labels 50 levels consistently."""

_SEQUENCES = (list, set, frozenset, Sequence, AbstractSet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One possible answer to a closed field, as JSON has it."""

    value: Label
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One leaf of a schema.

    `path` is dotted, of field names and never of aliases. `options` holds the answers of a closed field in order
    (of tags: the tags), and is empty for an open one. `strict` is the JSON schema of the value, as canonical text.
    """

    path: str
    kind: Kind
    options: tuple[Option, ...] = ()
    optional: bool = False
    description: str = ""
    strict: str = "{}"
    closed: bool = dataclass_field(init=False)
    """Whether the set of answers is finite, so that a classifier can learn it."""
    labels: tuple[Label, ...] = dataclass_field(init=False, repr=False)
    """The answers of a closed field in order; None stands last where it is optional (of tags: the tags alone)."""
    _hash: int = dataclass_field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        closed = self.kind in CLOSED
        values = tuple(option.value for option in self.options)
        none_too = closed and self.optional and self.kind != "tags"
        object.__setattr__(self, "closed", closed)
        object.__setattr__(self, "labels", (*values, None) if none_too else values)
        object.__setattr__(self, "_hash", hash((self.path, self.kind, self.options, self.description, self.strict)))

    def __hash__(self) -> int:
        return self._hash  # what is kept by fields is looked up in every decision

    def probability(self, value: Any, distribution: Mapping[Label, float]) -> float:
        """The probability of `value`; for tags, of exactly this set if the tags were independent."""
        if self.kind != "tags":
            return distribution.get(value, 0.0)
        chosen = set(value or ())
        product = 1.0
        for label in self.labels:
            product *= distribution[label] if label in chosen else 1.0 - distribution[label]
        return product


def fields_of(model: type[BaseModel]) -> tuple[Field, ...]:
    """Return the leaves of `model` in the order of their declaration, nested models flattened.

    Raises `SpecError`, naming the field, for a type that no strict endpoint can be asked for, for options that are
    missing, doubled or alike, and for a default that would never be used.
    """
    found = tuple(_walk(model, "", (model,)))
    if not found:
        raise SpecError(f"the schema {model.__name__} has no fields", remedy="give it at least one field to decide")
    return found


def inputs_of(model: type[BaseModel], prefix: str = "") -> tuple[Field, ...]:
    """Return the leaves of an input model; any type is allowed, since nobody has to ask for an input."""
    found: list[Field] = []
    for name, info in model.model_fields.items():
        core, metadata, optional = peel(info.annotation, info.metadata)
        if isinstance(core, type) and issubclass(core, BaseModel) and not optional:
            found += inputs_of(core, f"{prefix}{name}.")
            continue
        kind, values = _kind(core, metadata)
        found.append(
            Field(
                path=f"{prefix}{name}",
                kind=kind,
                options=tuple(Option(value=value) for value in values if value is not None),
                optional=optional or not info.is_required(),
                description=info.description or "",
            )
        )
    return tuple(found)


def strict_schema(fields: Sequence[Field]) -> dict[str, Any]:
    """Return the strict JSON schema of an object with exactly these fields, nested by their dotted paths."""
    return strict_object({field.path: json.loads(field.strict) for field in fields})


def has_validators(model: type[BaseModel]) -> bool:
    """Whether `model` may refuse a record although each closed value is one of its options."""
    return has_rules(model) or any(
        not isinstance(mark, (Ge, Gt, Le, Lt)) for field in inputs_of(model) for mark in marks_of(model, field.path)
    )


def has_rules(model: type[BaseModel], above: tuple[type[BaseModel], ...] = ()) -> bool:
    """Whether `model`, or a model inside it, has validators written in Python; `above` are those already looked at."""
    rules = model.__pydantic_decorators__
    if rules.field_validators or rules.model_validators or rules.validators or rules.root_validators:
        return True
    inner = (peel(info.annotation, info.metadata)[0] for info in model.model_fields.values())
    models = [core for core in inner if isinstance(core, type) and issubclass(core, BaseModel) and core not in above]
    return any(has_rules(core, (*above, model)) for core in models)


def marks_of(model: type[BaseModel], path: str) -> list[Any]:
    """Return the constraints that stand at a field, such as bounds and lengths."""
    head, _, rest = path.partition(".")
    info = model.model_fields[head]
    core, metadata, _ = peel(info.annotation, info.metadata)
    return marks_of(core, rest) if rest else metadata


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `{"routing.team": "x"}` into `{"routing": {"team": "x"}}`."""
    record: dict[str, Any] = {}
    for path, value in values.items():
        if "." not in path:
            record[path] = value
            continue
        *parents, leaf = path.split(".")
        inner = record
        for name in parents:
            inner = inner.setdefault(name, {})
        inner[leaf] = value
    return record


def pick(record: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path; raises `KeyError` where it is not there."""
    if "." not in path:
        return record[path]
    value: Any = record
    for name in path.split("."):
        if not isinstance(value, Mapping):
            raise KeyError(path)
        value = value[name]
    return value


def fingerprint(fields: Sequence[Field]) -> str:
    """Return the sha256 of the paths, kinds and answers in order: what a trained model must match."""
    shape = [[field.path, field.kind, list(field.labels), field.optional] for field in fields]
    return hashlib.sha256(json.dumps(shape, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def peel(annotation: Any, metadata: Sequence[Any]) -> tuple[Any, list[Any], bool]:
    """Return the type under `Annotated`, aliases and `Optional`, with all its metadata and whether None is allowed."""
    marks, optional = list(metadata), False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            marks += [mark for one in more for mark in (one.metadata if isinstance(one, FieldInfo) else (one,))]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__"):
            annotation = annotation.__value__
        elif origin in (Union, types.UnionType):
            arms = [arm for arm in get_args(annotation) if arm is not type(None)]
            optional = optional or len(arms) < len(get_args(annotation))
            if len(arms) != 1:
                return _union(arms), marks, optional
            annotation = arms[0]
        else:
            return annotation, marks, optional


def _union(arms: list[Any]) -> Any:
    """Several `Literal`s are one; any other union stays what it is, and is refused as a type."""
    if all(get_origin(arm) is Literal for arm in arms):
        return Literal[tuple(value for arm in arms for value in get_args(arm))]
    return reduce(or_, arms)


def _walk(model: type[BaseModel], prefix: str, above: tuple[type[BaseModel], ...], within: str = "") -> Iterator[Field]:
    """The leaves below `prefix`; `within` is what is said of the models around them, and said of each leaf as well."""
    for name, info in model.model_fields.items():
        path = f"{prefix}{name}"
        core, metadata, optional = peel(info.annotation, info.metadata)
        if isinstance(core, type) and issubclass(core, BaseModel) and not optional:
            if core in above:
                raise _refused(path, f"the model {core.__name__} contains itself", "use a model of a fixed depth")
            _refuse_default(path, info, optional=False)
            yield from _walk(core, f"{path}.", (*above, core), _joined(within, info.description))
        else:
            yield _leaf(path, info, core, metadata, optional, within)


def _joined(within: str, said: str | None) -> str:
    return ": ".join(part for part in (within, said) if part)


def _leaf(path: str, info: FieldInfo, core: Any, metadata: list[Any], optional: bool, within: str) -> Field:
    kind, values = _kind(core, metadata)
    if kind != "tags" and None in values:
        values, optional = [value for value in values if value is not None], True
    _refuse_default(path, info, optional=optional)
    options = _options(path, values, info) if kind in CLOSED else ()
    described = _joined(within, info.description)
    try:
        strict = strict_type(kind, [option.value for option in options], optional, info.rebuild_annotation())
    except NotStrict as error:
        raise _refused(path, str(error), error.remedy) from error
    return Field(
        path=path,
        kind=kind,
        options=options,
        optional=optional,
        description=described,
        strict=json.dumps(strict, ensure_ascii=False, separators=(",", ":")),
    )


def _kind(core: Any, metadata: list[Any]) -> tuple[Kind, list[Any]]:
    """The kind of a peeled type, and the answers of a closed one."""
    values = _finite(core, metadata)
    if values is not None:
        is_scale = core is int or (isinstance(core, type) and issubclass(core, IntEnum))
        return ("bool" if core is bool else "scale" if is_scale else "choice"), values
    items = _items(core)
    if items is not None and (tags := _tags(items)) is not None:
        return "tags", tags
    simple: dict[Any, Kind] = {str: "text", int: "integer", float: "number", date: "date"}
    return simple.get(core, "other"), []


def _finite(core: Any, metadata: list[Any]) -> list[Any] | None:
    """The answers of a finite type as JSON values, or None where there is no end of them."""
    if core is bool:
        return [False, True]
    if core is int:
        return _levels(metadata)
    if get_origin(core) is Literal:
        return [value.value if isinstance(value, Enum) else value for value in get_args(core)]
    if isinstance(core, type) and issubclass(core, Enum):
        values = [member.value for member in core]
        return sorted(values) if issubclass(core, IntEnum) else values
    return None


def _levels(metadata: list[Any]) -> list[int] | None:
    """The levels of an integer that is bounded on both sides and has no other rule."""
    low: Any = None
    high: Any = None
    for mark in metadata:
        match mark:
            case Ge(ge=bound):
                low = bound
            case Gt(gt=bound):
                low = int(str(bound)) + 1
            case Le(le=bound):
                high = bound
            case Lt(lt=bound):
                high = int(str(bound)) - 1
            case _:
                return None
    if low is None or high is None or not 2 <= high - low + 1 <= MAX_LEVELS:
        return None
    return list(range(low, high + 1))


def _items(core: Any) -> Any:
    """The type of the items of a list, a set, or a tuple of any length; None for anything else."""
    origin, inner = get_origin(core), get_args(core)
    if origin in _SEQUENCES and inner:
        return inner[0]
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        return inner[0]
    return None


def _tags(items: Any) -> list[Any] | None:
    core, metadata, optional = peel(items, ())
    values = None if optional or core is bool else _finite(core, metadata)
    return None if values is None or None in values else values


def _options(path: str, values: list[Any], info: FieldInfo) -> tuple[Option, ...]:
    extra = info.json_schema_extra
    described = extra.get("options", {}) if isinstance(extra, Mapping) else {}
    texts: Mapping[str, str] = (
        {str(key): str(text) for key, text in described.items()} if isinstance(described, Mapping) else {}
    )
    if len(values) < 2:
        raise _refused(path, f"has {len(values)} option(s): {values!r}", "a decision needs at least two options")
    seen: dict[str, Any] = {}
    for value in values:
        if not isinstance(value, (str, int)):
            raise _refused(path, f"the option {value!r} is of type {type(value).__name__}", "use text or integers")
        key = unicodedata.normalize("NFC", str(value)).casefold().strip()
        if not key:
            raise _refused(path, f"the option {value!r} is empty", "give it a name; for 'no answer' make it Optional")
        if key in seen or value in seen.values():
            raise _refused(
                path, f"the options {seen.get(key, value)!r} and {value!r} are alike", "keep one, or rename the other"
            )
        seen[key] = value
    unknown = [key for key in texts if key not in {str(value) for value in values}]
    if unknown:
        raise _refused(path, f"describes {unknown[0]!r}, which is not one of its options", f"options: {values!r}")
    return tuple(Option(value=value, description=texts.get(str(value), "")) for value in values)


def _refuse_default(path: str, info: FieldInfo, *, optional: bool) -> None:
    """Every field is asked of the engine, so a default would silently never be used."""
    if info.is_required() or (optional and info.default is None and info.default_factory is None):
        return
    default = "a default factory" if info.default_factory is not None else f"the default {info.default!r}"
    raise _refused(
        path,
        f"has {default}, which would never be used: every field is asked for in every decision",
        "remove the default, or make the field Optional with the default None",
    )


def _refused(path: str, message: str, remedy: str) -> SpecError:
    return SpecError(message, field=path, remedy=remedy)
