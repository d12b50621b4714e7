"""A spec before it is checked: its values, and where each of them was written."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from decider.errors import SpecError
from decider.spec.reader import MAX_BYTES, Path, Place, compose, plain, too_big

OVERRIDE = "--set"
"""What stands in place of a file name where a value came from the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The nested values of a spec, as its author gave them, and the place of every key.

    From a file every scalar of `data` is text, or None where YAML says null; from Python keywords it is what Python
    gave.
    """

    data: dict[str, Any]
    file: str | None = None
    places: Mapping[Path, Place] = field(default_factory=dict, repr=False)

    def place(self, path: Path) -> Place:
        """Return the place of the key at `path`, or of its nearest parent that has one."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return Place(file=self.file)

    def error(self, message: str, path: Path, *, remedy: str | None = None) -> SpecError:
        """Return a `SpecError` about the value at `path`, with its place."""
        place = self.place(path)
        return SpecError(
            message, file=place.file, line=place.line, column=place.column, field=dotted(path) or None, remedy=remedy
        )

    def with_set(self, values: Mapping[str, Any]) -> Document:
        """Return this document with the values at dotted paths replaced; None, or the text `null`, removes a key.

        Text counts as typed without quotes, and in brackets or braces as a YAML list or mapping. Raises `SpecError`.
        """
        data, places = deepcopy(self.data), dict(self.places)
        for key, given in values.items():
            path = _resolve(data, key)
            value = _parsed(key, given) if isinstance(given, str) else _native(given)
            _put(data, path, value)
            places = {old: place for old, place in places.items() if old[: len(path)] != path}
            if value is not None:
                for length in range(1, len(path) + 1):
                    places.setdefault(path[:length], Place(file=OVERRIDE))
        return replace(self, data=data, places=places)


def read(path: str | os.PathLike[str]) -> Document:
    """Read the spec at `path`; raises a `SpecError` that says what is wrong with the file or its YAML, and where."""
    file = os.fspath(path)
    try:
        with FilePath(file).open("rb") as stream:
            if os.fstat(stream.fileno()).st_size > MAX_BYTES:
                raise too_big(file)
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise _missing(file) from error
    except IsADirectoryError as error:
        raise SpecError("is a folder", file=file, remedy="name the spec file inside it") from error
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise SpecError(f"cannot be read: {reason}", file=file) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpecError("is not UTF-8 text", file=file, line=line, remedy="save it with the encoding UTF-8") from error
    return parse(text, file=file)


def parse(text: str, *, file: str | None = None) -> Document:
    """Read the spec that `text` holds; `file` names it in errors."""
    data, places = compose(text, file)
    return Document(data=data, file=file, places=places)


def from_keywords(keywords: Mapping[str, Any]) -> Document:
    """Make a document of Python keywords, which are the keys of a spec; a keyword that is None counts as not given."""
    return Document(data={key: _native(value) for key, value in keywords.items() if value is not None})


def dotted(path: Path) -> str:
    """Return `path` as people write it: `fields.urgency.options[2]`."""
    text = ""
    for part in path:
        text += f".{part}" if text and isinstance(part, str) else f"[{part}]" if text else str(part)
    return text


def _missing(file: str) -> SpecError:
    folder = FilePath(file).absolute().parent
    if not folder.is_dir():
        return SpecError(f"no such file (there is no folder {str(folder)!r})", file=file)
    there = [one.name for one in folder.iterdir() if one.suffix in (".yaml", ".yml")]
    near = difflib.get_close_matches(FilePath(file).name, there, n=1) or (there if len(there) == 1 else [])
    remedy = f"did you mean `{FilePath(file).with_name(near[0])}`?" if near else "`decider init` writes one"
    return SpecError(f"no such file (looked in {str(folder)!r})", file=file, remedy=remedy)


def _native(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _native(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_native(one) for one in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _parsed(key: str, text: str) -> Any:
    if text.startswith(("[", "{")):
        try:
            return compose(f"value: {text}", OVERRIDE)[0]["value"]
        except SpecError as error:
            raise SpecError(error.message, file=OVERRIDE, field=key, remedy=error.remedy) from error
    # An empty shell variable must not silently remove a key, least of all `prompt.base_url`.
    return plain(text) if text else text


def _resolve(data: dict[str, Any], key: str) -> Path:
    """Split a dotted key; the longest existing name wins, since names of nested fields hold dots themselves."""
    node: Any = data
    path: Path = ()
    parts = key.split(".")
    while parts:
        if node is not None and not isinstance(node, dict):
            found = "a list" if isinstance(node, list) else "one value"
            raise SpecError(
                f"has no keys: it is {found}", file=OVERRIDE, field=dotted(path), remedy="set it as a whole instead"
            )
        names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
        name = next((name for name in names if name in (node or ())), parts[0])
        parts = parts[name.count(".") + 1 :]
        path, node = (*path, name), (node or {}).get(name)
    return path


def _put(data: dict[str, Any], path: Path, value: Any) -> None:
    *above, last = path
    node: Any = data
    for part in above:
        if node.get(part) is None:
            node[part] = {}
        node = node[part]
    if value is not None:
        node[last] = value
    elif node.pop(last, None) is None:
        raise SpecError("is not set, so that nothing is removed", file=OVERRIDE, field=dotted(path))
