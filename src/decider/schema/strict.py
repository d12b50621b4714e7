"""The strict JSON schema: all properties required, none beside them, and no keyword that a strict endpoint refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

_SIMPLE = {"bool": "boolean", "text": "string", "integer": "integer", "number": "number", "date": "string"}
_NAMES = {str: "string", bool: "boolean", int: "integer"}


class NotStrict(Exception):
    """A type that a strict schema cannot express; `remedy` names one that it can."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def strict_object(leaves: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the strict JSON schema of an object, nested by the dotted paths of its leaves."""
    root = _object({})
    for path, schema in leaves.items():
        *parents, leaf = path.split(".")
        inner = root
        for name in parents:
            inner = inner["properties"].setdefault(name, _object({}))
        inner["properties"][leaf] = schema
    return _close(root)


def strict_type(kind: str, values: Sequence[Any], optional: bool, annotation: Any) -> dict[str, Any]:
    """Return the strict JSON schema of one value; raises `NotStrict` where there is none."""
    if kind == "tags":
        schema: dict[str, Any] = {"type": "array", "items": _enum(values)}
    elif kind in ("choice", "scale"):
        schema = _enum(values)
    elif kind in _SIMPLE:
        schema = {"type": _SIMPLE[kind]}
    else:
        return _from_pydantic(annotation)
    return {"anyOf": [schema, {"type": "null"}]} if optional else schema


def _enum(values: Sequence[Any]) -> dict[str, Any]:
    names = sorted({_NAMES[type(value)] for value in values})
    return {"type": names[0] if len(names) == 1 else names, "enum": list(values)}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _close(schema: dict[str, Any]) -> dict[str, Any]:
    """Make every property of an object of ours required, and allow no other."""
    for inner in schema["properties"].values():
        if "properties" in inner and "required" not in inner:
            _close(inner)
    schema["required"] = list(schema["properties"])
    schema["additionalProperties"] = False
    return schema


def _from_pydantic(annotation: Any) -> dict[str, Any]:
    try:
        schema = TypeAdapter(annotation).json_schema(by_alias=False, mode="validation")
    except PydanticUserError as error:
        raise NotStrict(
            f"the type {annotation!r} has no JSON schema", "use text, numbers, options or models"
        ) from error
    return _strictify(schema, schema.get("$defs", {}), ())


def _strictify(schema: Mapping[str, Any], defs: Mapping[str, Any], above: tuple[str, ...]) -> dict[str, Any]:
    """Rebuild an open field's schema from the few keywords that every strict endpoint takes, `$ref`s written out."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        if name in above:
            raise NotStrict(f"the model {name} contains itself", "use a model of a fixed depth")
        return _strictify(defs[name], defs, (*above, name))
    if schema.get("default") is not None:
        raise NotStrict(
            f"has the default {schema['default']!r} inside, which would never be used", "remove the default"
        )
    if "oneOf" in schema or "anyOf" in schema:
        return _either(schema.get("oneOf") or schema["anyOf"], defs, above)
    if "const" in schema or "enum" in schema:
        return _enum([schema["const"]] if "const" in schema else schema["enum"])
    return _by_type(schema, defs, above)


def _by_type(schema: Mapping[str, Any], defs: Mapping[str, Any], above: tuple[str, ...]) -> dict[str, Any]:
    match schema.get("type"):
        case "object":
            return _strict_object(schema, defs, above)
        case "array" if isinstance(schema.get("items"), Mapping):
            return {"type": "array", "items": _strictify(schema["items"], defs, above)}
        case "array":
            raise NotStrict("is a tuple or a list of anything", "use list[str], or a model with named fields")
        case "string" | "integer" | "number" | "boolean" | "null" as name:
            return {"type": name}
    raise NotStrict("may hold anything, which cannot be asked for strictly", "use text, numbers, options or models")


def _either(arms: Sequence[Mapping[str, Any]], defs: Mapping[str, Any], above: tuple[str, ...]) -> dict[str, Any]:
    others = [arm for arm in arms if arm.get("type") != "null"]
    if {arm.get("type") for arm in others} == {"number", "string"}:
        raise NotStrict("is a Decimal, or a number or text", "use float or int, or str and convert it yourself")
    if len(others) != 1:
        raise NotStrict("is a union of several types", "use one model with Optional fields, or options")
    return {"anyOf": [_strictify(others[0], defs, above), {"type": "null"}]}


def _strict_object(schema: Mapping[str, Any], defs: Mapping[str, Any], above: tuple[str, ...]) -> dict[str, Any]:
    if "properties" not in schema:
        raise NotStrict("is a dict, whose keys no strict schema can name", "use a model with named fields, or tags")
    strict = _object({name: _strictify(inner, defs, above) for name, inner in schema["properties"].items()})
    return _close(strict)
