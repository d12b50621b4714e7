"""Fields declared inline, without Python, as a Pydantic model."""

from __future__ import annotations

import keyword
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, ConfigDict, create_model
from pydantic import Field as PydanticField

from decider.errors import SpecError
from decider.schema.fields import Field, Label, Option, has_rules, marks_of

InlineType = Literal["choice", "bool", "scale", "tags", "text", "number", "integer", "date"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """One field as a spec declares it.

    `low` and `high` bound a number, the levels of a scale, the length of a text, or the count of tags.
    """

    type: InlineType
    description: str = ""
    options: tuple[Option, ...] = ()
    low: float | None = None
    high: float | None = None
    optional: bool = False


def model_of(name: str, fields: Mapping[str, Inline]) -> type[BaseModel]:
    """Build the Pydantic model of inline fields; a dotted path makes nested models."""
    groups: dict[str, dict[str, Inline]] = {}
    members: dict[str, Any] = {}
    for path, inline in fields.items():
        head, _, rest = path.partition(".")
        _check_name(path, head)
        if rest:
            groups.setdefault(head, {})[rest] = inline
            members.setdefault(head, None)
        else:
            members[head] = (_annotation(path, inline), _info(inline))
    for head, inner in groups.items():
        if members[head] is not None:
            raise SpecError("is a field and also the parent of other fields", field=head, remedy="rename one of them")
        members[head] = (model_of(f"{name}_{head}", inner), PydanticField())
    with warnings.catch_warnings():
        # A field may be called `copy` or `json`: nobody calls those methods on an answer.
        warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
        return create_model(name, __config__=ConfigDict(extra="forbid", protected_namespaces=()), **members)


def inline_of(fields: Sequence[Field], model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Return the fields of `model` as a spec declares them; raises `SpecError` for what only Python can say."""
    if has_rules(model):
        raise _only_python(model.__name__, "has validators of its own")
    return {field.path: _declared(field, model) for field in fields}


def _declared(field: Field, model: type[BaseModel]) -> dict[str, Any]:
    if field.kind == "other":
        raise _only_python(field.path, "is of a type that no inline field has")
    said: dict[str, Any] = {"type": field.kind}
    if field.description:
        said["description"] = field.description
    if field.kind in ("choice", "tags", "scale"):
        said["options"] = {str(option.value): option.description or None for option in field.options}
    if field.kind in ("choice", "tags") and any(not isinstance(option.value, str) for option in field.options):
        raise _only_python(field.path, "has options that are not text")
    for mark in marks_of(model, field.path) if field.kind != "scale" else ():
        said |= _bound(mark, field.path)
    if field.optional:
        said["optional"] = True
    return said


def _bound(mark: Any, path: str) -> dict[str, Any]:
    match mark:
        case Ge(ge=bound) | MinLen(min_length=bound):
            return {"min": bound}
        case Le(le=bound) | MaxLen(max_length=bound):
            return {"max": bound}
    raise _only_python(path, f"has the rule {mark!r}")


def _only_python(field: str, message: str) -> SpecError:
    remedy = "keep the class in a file, and save the spec in the same folder, which then says  output: schema.py:Class"
    return SpecError(f"{message}, which a spec cannot hold", field=field, remedy=remedy)


def _check_name(path: str, name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise SpecError(
            f"{name!r} cannot be the name of a field",
            field=path,
            remedy="use letters, digits and underscores, not beginning with a digit or an underscore",
        )


def _info(inline: Inline) -> Any:
    texts: dict[str, Any] = {str(one.value): one.description for one in inline.options if one.description}
    extra: dict[str, Any] | None = {"options": texts} if texts else None
    described = inline.description or None
    if inline.optional:
        return PydanticField(default=None, description=described, json_schema_extra=extra)
    return PydanticField(description=described, json_schema_extra=extra)


def _annotation(path: str, inline: Inline) -> Any:
    kind = _typed(path, inline)
    return kind | None if inline.optional else kind


def _typed(path: str, inline: Inline) -> Any:
    values = tuple(option.value for option in inline.options)
    low, high = inline.low, inline.high
    match inline.type:
        case "choice":
            return _literal(path, values)
        case "tags":
            return _bounded(list[_literal(path, values)], low, high, MinLen, MaxLen, whole=True)  # type: ignore[misc]  # a type made from data
        case "scale":
            return _scale(path, values, low, high)
        case "bool":
            return bool
        case "text":
            return _bounded(str, low, high, MinLen, MaxLen, whole=True)
        case "integer":
            return _bounded(int, low, high, Ge, Le, whole=True)
        case "number":
            return _bounded(float, low, high, Ge, Le, whole=False)
    return date


def _literal(path: str, values: tuple[Label, ...]) -> Any:
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise SpecError(f"has the option {twice!r} twice", field=path, remedy="keep one of them")
    return Literal[values]


def _scale(path: str, values: tuple[Label, ...], low: float | None, high: float | None) -> Any:
    levels = [value for value in values if isinstance(value, int)]
    if values:
        if levels != list(range(levels[0], levels[0] + len(values))) if levels else True:
            raise SpecError(
                f"is a scale, but its options are {list(values)!r}",
                field=path,
                remedy="number its levels without gaps (1, 2, 3), or use type: choice",
            )
        low, high = levels[0], levels[-1]
    if low is None or high is None:
        raise SpecError("is a scale without bounds", field=path, remedy="give it min and max, such as min: 1, max: 5")
    return _bounded(int, low, high, Ge, Le, whole=True)


def _bounded(kind: Any, low: float | None, high: float | None, least: Any, most: Any, *, whole: bool) -> Any:
    bounds = [mark(int(bound) if whole else bound) for mark, bound in ((least, low), (most, high)) if bound is not None]
    return Annotated[(kind, *bounds)] if bounds else kind
