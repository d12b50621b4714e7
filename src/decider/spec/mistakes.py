"""Every mistake in a document, in plain words: its place, what is wrong, and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from decider.errors import SpecError
from decider.spec.document import Document, dotted
from decider.spec.grammar import FORMAT, SYNONYMS, Accept, InlineField, Spec
from decider.spec.reader import Path
from decider.spec.values import shown

_KINDS = {"tuple_type": "a list", "string_type": "text as a key", "invalid_key": "text as a key"}
"""What was expected, by Pydantic's name of the error; a mapping by every other."""

_MEANT = {
    "choices": "options",
    "enum": "options",
    "labels": "options",
    "values": "options",
    "retries": "attempts",
    "schema": "output",
    "system": "instructions",
    "timeout": "deadline",
    "url": "base_url",
}
_SECRETS = frozenset({"api_key", "apikey", "key", "openai_api_key", "password", "secret", "token"})


def mistakes(document: Document, details: Iterable[ErrorDetails]) -> list[SpecError]:
    """Return the errors behind what Pydantic found, and the keys without a value, in the order of their places."""
    found = dict(_empty(document, document.data, ()))
    for one in details:
        path, error = _explained(document, one)
        if path not in found or one["type"] == "extra_forbidden":
            found[path] = error
    return sorted(found.values(), key=_order)


def other_format(document: Document) -> SpecError | None:
    """Return the error for a file of another format: what else does not fit follows from that."""
    given = document.data.get("format")
    if given is None or str(given) == str(FORMAT):
        return None
    newer = isinstance(given, str | int) and str(given).isdecimal() and int(str(given)[:9]) > FORMAT
    upgrade = "upgrade decider: pip install --upgrade decider-sdk"
    remedy = upgrade if newer else f"write `format: {FORMAT}`, or leave it out"
    message = f"this version of decider reads format {FORMAT}, not {shown(given)}"
    return document.error(message, ("format",), remedy=remedy)


def _order(error: SpecError) -> tuple[bool, int, int]:
    return error.line is None, error.line or 0, error.column or 0


def _empty(document: Document, value: Any, path: Path) -> Iterator[tuple[Path, SpecError]]:
    """Find keys without a value: read as not given, they would hide that something was meant."""
    if value is None:
        crowded = ":" in str(path[-1])
        message, remedy = _no_space(str(path[-1])) if crowded else ("is empty", "write a value, or remove the key")
        yield path, document.error(message, path, remedy=remedy)
    elif path == ("prompt", "params") or path[-1:] == ("options",):
        return
    elif isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _empty(document, one, (*path, key))


def _no_space(key: str) -> tuple[str, str]:
    return "the space after `:` is missing", f"write `{key.replace(':', ': ', 1)}`"


def _explained(document: Document, details: ErrorDetails) -> tuple[Path, SpecError]:
    context = details.get("ctx", {})
    path = (*_path(document.data, details["loc"]), *context.get("at", ()))
    found = details["input"]
    match details["type"]:
        case "decider":
            message, remedy = context["message"], context["remedy"]
        case "extra_forbidden":
            message, remedy = _unknown(document, path)
        case "missing":
            message, remedy = "is missing", f"add `{path[-1]}: …`"
        case "literal_error":
            message, remedy = _not_allowed(found, re.findall("'([^']*)'", context["expected"]))
        case "form":
            message, remedy = f"expected {details['msg']}, found {shown(found)}", None
        case kind:
            expected = _KINDS.get(kind, "a mapping")
            message, remedy = f"expected {expected}, found {shown(found)}", _reshaped(expected, found)
    return path, document.error(message, path, remedy=remedy)


def _path(data: Any, location: tuple[str | int, ...]) -> Path:
    """Leave out of Pydantic's location what is not in the document: which form of a value was tried."""
    path: Path = ()
    for part in location:
        known = isinstance(data, list) or (isinstance(data, dict) and part in data)
        if known:
            path, data = (*path, part), data[part]
        elif not (isinstance(part, str) and part.startswith(("<", "["))):
            path, data = (*path, part), None
    return path


def _not_allowed(found: Any, allowed: list[str]) -> tuple[str, str | None]:
    words = " or ".join(filter(None, (", ".join(allowed[:-1]), allowed[-1])))
    word = found.lower() if isinstance(found, str) else ""
    near = [SYNONYMS[word]] if SYNONYMS.get(word) in allowed else difflib.get_close_matches(word, allowed, n=1)
    return f"expected {words}, found {shown(found)}", f"did you mean `{near[0]}`?" if near else None


def _reshaped(expected: str, found: Any) -> str | None:
    match expected, found:
        case "a mapping", list():
            return "write `key: value` lines, without the `- `"
        case "a mapping", str() if re.match(r"\w+:\S", found):
            return "write a space after the `:`"
        case "a mapping", str():
            return "write its keys on indented lines below it"
        case "a list", str():
            return f"write [{found}]"
    return None


def _unknown(document: Document, path: Path) -> tuple[str, str]:
    *above, last = path
    key, section = str(last), _section(tuple(above))
    allowed = list(section.model_fields)
    if key.lower() in allowed:
        return _other_case(document, path, key.lower())
    if ":" in key:
        return _no_space(key)
    if key.lower() in _SECRETS:
        return "unknown key", "no secret stands in a spec; name its variable, `prompt.api_key_env: OPENAI_API_KEY`"
    moved = _moved_field(document, path) if section is InlineField else _moved(_homes(key))
    near = [_MEANT[key]] if _MEANT.get(key) in allowed else difflib.get_close_matches(key.lower(), allowed, n=1)
    suggested = f"did you mean `{near[0]}`?" if near else f"allowed are {', '.join(allowed)}"
    if section is Accept:
        suggested = f"thresholds and a target are two forms; beside a target are allowed {', '.join(allowed)}"
    return "unknown key", moved or suggested


def _other_case(document: Document, path: Path, key: str) -> tuple[str, str]:
    twin = document.places.get((*path[:-1], key))
    if twin is None:
        return "unknown key", f"did you mean `{key}`?"
    return f"is the key `{key}` of line {twin.line} again", f"keep `{key}`, and remove this one"


def _moved_field(document: Document, path: Path) -> str | None:
    """Say where a key inside a field belongs: to a nested field, or to a section that is indented too deep."""
    value: Any = document.data
    for part in path:
        value = value[part]
    if isinstance(value, dict) and {"options", "description", "type"} & set(value):
        return f"write a nested field by its dotted name, `{'.'.join(map(str, path[1:]))}:`"
    homes = _homes(str(path[-1]))
    if path[1:2] in homes:
        return f"if this is the section `{path[1]}`, indent it less"
    return _moved([home for home in homes if not home])


def _moved(homes: list[Path]) -> str | None:
    under = [f"under `{dotted(home)}`" if home else "at the left margin" for home in homes[:3]]
    return f"it belongs {' or '.join(under)}: check the indentation" if under else None


def _section(path: Path) -> type[BaseModel]:
    section: type[BaseModel] = Spec
    parts = iter(path)
    for part in parts:
        section, by_name = _nested(section.model_fields[str(part)].annotation)
        if by_name:
            next(parts)
    return section


def _homes(key: str, section: type[BaseModel] = Spec, where: Path = ()) -> list[Path]:
    """Find the sections that have `key`."""
    homes = [where] if key in section.model_fields else []
    for name, info in section.model_fields.items():
        nested, by_name = _nested(info.annotation)
        homes += _homes(key, nested, (*where, name, "NAME") if by_name else (*where, name))
    return homes


def _nested(annotation: Any) -> tuple[type[BaseModel], bool]:
    """Return the section that a key holds, and whether it holds several by name; `BaseModel` itself where none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for argument in get_args(annotation):
        section, by_name = _nested(argument)
        if section is not BaseModel:
            return section, by_name or get_origin(annotation) is dict
    return BaseModel, False
