"""What a spec may name outside itself: files in its own folder, and classes and functions in them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from decider.errors import SpecError
from decider.spec import Document

Key = tuple[str | int, ...]

_PREFIX = "decider_schema_"


@dataclass(slots=True, kw_only=True)
class Source:
    """Loads classes and functions from files beside a spec; `files` lists what it read."""

    folder: Path
    allow_code: bool
    files: list[Path] = field(default_factory=list)

    def load(self, reference: str, document: Document, key: Key) -> type[BaseModel]:
        """Return the Pydantic model that `file.py:Class` names; raises `SpecError`, and runs nothing but that file."""
        module = self._run(reference, document, key, instead="pass output=, or declare the fields inline")
        file, _, name = reference.rpartition(":")
        found = getattr(module, name, None)
        if not (isinstance(found, type) and issubclass(found, BaseModel)):
            there = [one for one, value in vars(module).items() if _is_schema(value, module)]
            remedy = f"its models: {', '.join(there)}" if there else "define a class with BaseModel as its base there"
            raise document.error(f"{file} has no Pydantic model {name!r}", key, remedy=remedy)
        return found

    def function(self, reference: str, document: Document, key: Key) -> Callable[..., Any]:
        """Return the function that `file.py:function` names; otherwise as `load`."""
        module = self._run(reference, document, key, instead="remove it")
        file, _, name = reference.rpartition(":")
        found: Callable[..., Any] | None = getattr(module, name, None)
        if not callable(found) or isinstance(found, type):
            raise document.error(f"{file} has no function {name!r}", key, remedy="define it there")
        return found

    def _run(self, reference: str, document: Document, key: Key, *, instead: str) -> ModuleType:
        """The module of the file in a reference; `instead` says what to do where no code may run."""
        file = reference.rpartition(":")[0]
        path = confined(self.folder, file, document, key)
        if not path.is_file():
            raise document.error(f"there is no file {file!r} beside the spec", key, remedy=f"looked for {path}")
        if not self.allow_code:
            remedy = f"this spec was loaded with allow_code=False; {instead}"
            raise document.error(f"{reference!r} would run {file}", key, remedy=remedy)
        self.files.append(path)
        return _module(path, document, key)


def confined(folder: Path, path: str, document: Document, key: Key) -> Path:
    """Return `path` below `folder`, links resolved; raises `SpecError` where it is absolute or leads out."""
    root = folder.resolve()
    resolved = (root / path).resolve()
    if Path(path).is_absolute() or not resolved.is_relative_to(root):
        remedy = f"paths are relative to the spec's folder and stay inside it ({root})"
        raise document.error(f"{path!r} leads out of the spec's folder", key, remedy=remedy)
    return resolved


def reference_to(named: Callable[..., Any], folder: Path) -> str | None:
    """Return how a spec in `folder` names a class or a function, or None where its file does not stand there."""
    name = getattr(named, "__name__", None)
    file = getattr(sys.modules.get(getattr(named, "__module__", "")), "__file__", None)
    if file is None or not str(name).isidentifier() or getattr(named, "__qualname__", None) != name:
        return None
    path, root = Path(file).resolve(), folder.resolve()
    return f"{path.relative_to(root).as_posix()}:{name}" if path.is_relative_to(root) else None


def _module(path: Path, document: Document, key: Key) -> ModuleType:
    """The module of a file: the one already imported from it, or else the file, run once for each content."""
    content = path.read_bytes()
    name = f"{_PREFIX}{hashlib.sha256(bytes(path) + content).hexdigest()[:16]}"
    for module in [sys.modules.get(name), *sys.modules.values()]:
        if module is not None and _is_of(module, path, name):
            return module
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # pydantic looks up forward references there
    try:
        exec(compile(content, str(path), "exec"), module.__dict__)  # noqa: S102  # a spec is code, as the docs say
    except Exception as error:
        del sys.modules[name]
        raise _failed(path, error, document, key) from error
    return module


def _is_of(module: ModuleType, path: Path, name: str) -> bool:
    """Whether a module is of this file; one of ours counts only while the content is the same."""
    file = getattr(module, "__file__", None)
    ours = module.__name__.startswith(_PREFIX)
    return isinstance(file, str) and Path(file) == path and (not ours or module.__name__ == name)


def _failed(path: Path, error: Exception, document: Document, key: Key) -> SpecError:
    line: Any = getattr(error, "lineno", None)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    place = path.name if line is None else f"{path.name}, line {line}"
    return document.error(
        f"running {place} failed: {type(error).__name__}: {error}", key, remedy="mend that file first"
    )


def _is_schema(found: Any, module: ModuleType) -> bool:
    return isinstance(found, type) and issubclass(found, BaseModel) and found.__module__ == module.__name__
