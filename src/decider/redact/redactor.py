"""Redaction: an input, or an example, without what its spec wants out of it."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import to_json

from decider.decision import Example, Input
from decider.errors import InputError
from decider.task import Task

if TYPE_CHECKING:
    from decider.spec import Redact

VERSION = 1
"""Counts the ways in which texts were redacted: a model answers what was redacted as its training rows were."""

_EXTRA = "redacting phone numbers needs phonenumbers: pip install 'decider-sdk[redact]'"

Masker: TypeAlias = Callable[[str], str]


class Redactor:
    """Takes out of inputs what a spec's `redact` names.

    It does not change, and is safe for threads where the spec's own function is. What is redacted is redacted for good:
    doing it again changes nothing.
    """

    def __init__(self, settings: Redact, *, function: Masker | None = None, texts: Iterable[str] = ()) -> None:
        from decider.redact.search import Search  # its expressions take time to compile, and most tasks redact nothing

        self._search = Search(settings)
        self._function = function
        self._texts = frozenset(texts)
        self.sends_original = settings.send == "original"
        """Whether endpoints are exempt: they see inputs, and examples, as they were."""
        self.identity = to_json(
            {
                "version": VERSION,
                "kinds": sorted(set(settings.kinds)),
                "patterns": dict(sorted(settings.patterns.items())),
                "region": settings.region,
                "function": None if function is None else _identity(function),
            }
        ).decode()
        """What decides what is taken out, as canonical JSON."""

    @staticmethod
    def of(task: Task[Any]) -> Redactor | None:
        """Return the redactor of a task, or None where its spec has none.

        Raises `SpecError` for a region that nobody knows, and `ImportError` where phone numbers are to be found and the
        extra for them is missing.
        """
        return None if task.spec.redact is None else _made(task)

    def redact(self, value: Input, *, row: str | None = None) -> Input:
        """Return an input with every text in it redacted, at any depth; the same object where nothing was found.

        Raises `InputError` where the spec's own function fails.
        """
        try:
            redacted: Input = self._value(value, "")
        except InputError as error:
            error.row = row
            raise
        return redacted

    def example(self, example: Example) -> Example:
        """Return an example as it is shown: its input redacted, and the texts of its output that are no labels."""
        shown, answer = self._value(example.input, ""), self._output(example.output, "")
        same = shown is example.input and answer is example.output
        return example if same else replace(example, input=shown, output=answer)

    def _value(self, value: Any, path: str) -> Any:
        """A value of an input; what holds nothing to redact stays the object that it is."""
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, Mapping):
            changed = {name: self._value(one, f"{path}.{name}" if path else name) for name, one in value.items()}
            return changed if any(changed[name] is not one for name, one in value.items()) else value
        if isinstance(value, list):
            items = [self._value(one, path) for one in value]
            return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
        return value

    def _output(self, value: Any, path: str) -> Any:
        """A value of an output: labels are answers, and are not touched."""
        if path in self._texts:
            return self._value(value, path)
        if not isinstance(value, Mapping):
            return value
        changed = {name: self._output(one, f"{path}.{name}" if path else name) for name, one in value.items()}
        return changed if any(changed[name] is not one for name, one in value.items()) else value

    def _text(self, text: str, path: str) -> str:
        """The user's function comes first: it sees the whole text, and what it returns is searched all the same."""
        masked = text if self._function is None else _masked(self._function, text, path)
        redacted = self._search.replaced(masked)
        return text if redacted == text else redacted


@lru_cache(maxsize=256)
def _made(task: Task[Any]) -> Redactor:
    settings = task.spec.redact
    assert settings is not None  # noqa: S101  # `of` asks only then
    if "phone" in settings.kinds and find_spec("phonenumbers") is None:
        raise ImportError(_EXTRA)
    if settings.region is not None and settings.region not in _regions():
        remedy = "write the code that ISO 3166 has for it, such as US, DE or GB"
        raise task.mistake(f"{settings.region!r} is no country", ("redact", "region"), remedy=remedy)
    texts = [field.path for field in task.fields if field.kind in ("text", "other")]
    return Redactor(settings, function=task.mask, texts=texts)


def _regions() -> set[str]:
    import phonenumbers  # an extra, and only a spec that names a region needs it now

    return phonenumbers.SUPPORTED_REGIONS


def _masked(function: Masker, text: str, path: str) -> str:
    """What the user's function makes of a text; its error may hold the text, so that none of it is kept or shown."""
    try:
        masked: Any = function(text)
        problem = None if isinstance(masked, str) else f"returned a {type(masked).__name__}, not a text"
    except Exception as error:  # noqa: BLE001  # whatever the user's function raises
        problem = f"failed: {type(error).__name__}{_line(error)}"
    if problem is None and not masked.isascii() and any("\ud800" <= one <= "\udfff" for one in masked):
        problem = "returned half a character (a lone surrogate)"
    if problem is not None:
        raise InputError(f"the function {_name(function)!r} of redact.function {problem}", field=path or None)
    return str(masked)


def _line(error: Exception) -> str:
    """Where an error was raised, without what it says."""
    trace = error.__traceback__ and error.__traceback__.tb_next  # below the frame that called the function
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" in {Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"


def _name(function: Masker) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _identity(function: Masker) -> list[str]:
    """The name of a function, and the hash of its source, empty where Python has none."""
    for one in (function, type(function)):
        try:
            source = inspect.getsource(one)
        except (OSError, TypeError):  # a function typed at a prompt, or one that is not Python
            continue
        return [_name(function), hashlib.sha256(source.encode()).hexdigest()]
    return [_name(function), ""]
