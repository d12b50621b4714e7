"""What one value of a spec may be: the text its author typed, or the Python value, read as what its key needs.

Each class is the metadata of an `Annotated` type: it reads one value or raises what Pydantic reports with its place,
and it says in JSON Schema what it reads.
"""

from __future__ import annotations

import math
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from decider.spec.reader import Plain

_WHOLE = r"[+-]?(?:0|[1-9][0-9]{0,17})"
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_JSON_NUMBER = r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_AMOUNT = r"[0-9]+(?:\.[0-9]+)?"
_TRUE = ("true", "True", "TRUE")
_FALSE = ("false", "False", "FALSE")
_MEANT = MappingProxyType({"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"})
_SECONDS = MappingProxyType({"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0})
_BYTES = MappingProxyType({"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4})
_SCALAR = ("string", "number", "boolean")
"""What an editor takes unquoted text for, since it does not read YAML as typed."""
_GREATEST = sys.float_info.max
_SHOWN = 60


def mistake(message: str, remedy: str | None = None, *, at: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """Return what a validator raises: the message, the remedy, and where below the validated value it belongs."""
    return PydanticCustomError("decider", "{message}", {"message": message, "remedy": remedy, "at": at})


def shown(value: Any) -> str:
    """Return a value as an error message names it, shortly."""
    match value:
        case None:
            return "nothing"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case str():
            return repr(_cut(value))
        case bool() | int() | float():
            return _cut(repr(value))
        case _:
            return f"a value of type {type(value).__name__}"


def _cut(text: str) -> str:
    return str(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class Value(ABC):
    """One kind of value."""

    @abstractmethod
    def _read(self, value: Any) -> Any:
        """Return what `value` means, or raise a `mistake`."""

    def _write(self, value: Any) -> Any:
        """Return what stands in a file for what was read: a dump to JSON is a spec again."""
        return value

    @abstractmethod
    def _schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what `_read` takes from a file."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(self._write, when_used="json")
        return core_schema.no_info_plain_validator_function(self._read, serialization=written)

    def __get_pydantic_json_schema__(self, source: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return self._schema()


@dataclass(frozen=True, slots=True)
class Text(Value):
    """Text; where `pattern` is given, `expected` says in words what it asks for."""

    pattern: str | None = None
    expected: str = "text"
    remedy: str | None = None
    empty: bool = False
    secret: bool = False
    """Whether a wrong value may be a credential, which no message repeats."""

    def _read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise mistake(f"expected {self.expected}, found {shown(value)}", self.remedy)
        if not value.strip() and not self.empty:
            raise mistake("is empty", "write a value, or remove the key")
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            found = "something else" if self.secret else shown(value)
            raise mistake(f"expected {self.expected}, found {found}", self.remedy)
        return str(value)

    def _schema(self) -> dict[str, Any]:
        if self.pattern is not None:
            typed = list(_SCALAR) if re.fullmatch(self.pattern, "1") else "string"
            return {"type": typed, "pattern": f"^{self.pattern}$"}
        return {"type": list(_SCALAR), **({} if self.empty else {"minLength": 1})}


@dataclass(frozen=True, slots=True)
class Whole(Value):
    """A whole number between `low` and `high`."""

    low: int = 1
    high: int | None = None

    def _read(self, value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(_WHOLE, value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise mistake(f"expected a whole number, found {shown(value)}", f"write, for example, {max(self.low, 1)}")
        _bounded(value, self.low, self.high)
        return value

    def _schema(self) -> dict[str, Any]:
        bounds = {} if self.high is None else {"maximum": self.high}
        return {
            "anyOf": [
                {"type": "integer", "minimum": self.low, **bounds},
                {"type": "string", "pattern": f"^{_WHOLE}$"},
            ]
        }


@dataclass(frozen=True, slots=True)
class Number(Value):
    """A finite number between `low` and `high`; `strict` leaves the bounds themselves out."""

    low: float | None = None
    high: float | None = None
    strict: bool = False

    def _read(self, value: Any) -> float:
        if isinstance(value, str) and re.fullmatch(_NUMBER, value):
            value = float(value)
        if isinstance(value, str) and re.fullmatch(_NUMBER + " ?%", value):
            raise mistake(f"expected a number, found {shown(value)}", f"write {float(value.rstrip(' %')) / 100:g}")
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _GREATEST:
            raise mistake(f"expected a number, found {shown(value)}", "write a number")
        _bounded(value, self.low, self.high, strict=self.strict)
        return float(value)

    def _schema(self) -> dict[str, Any]:
        prefix = "exclusiveM" if self.strict else "m"
        bounds = {
            f"{prefix}{end}": bound for end, bound in (("inimum", self.low), ("aximum", self.high)) if bound is not None
        }
        return {"anyOf": [{"type": "number", **bounds}, {"type": "string", "pattern": f"^{_NUMBER}$"}]}


@dataclass(frozen=True, slots=True)
class Flag(Value):
    """True or false, and no other word for them."""

    def _read(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value in _TRUE + _FALSE:
            return value in _TRUE
        meant = _MEANT.get(value.lower()) if isinstance(value, str) else None
        raise mistake(f"expected true or false, found {shown(value)}", f"write {meant}" if meant else None)

    def _schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "boolean"}, {"enum": [*_TRUE, *_FALSE]}]}


@dataclass(frozen=True, slots=True)
class Answer(Value):
    """One answer: text, or from Python also a whole number or a bool."""

    def _read(self, value: Any) -> str | int | bool:
        return _label(value)

    def _schema(self) -> dict[str, Any]:
        return {"type": list(_SCALAR)}


@dataclass(frozen=True, slots=True)
class Measure(Value):
    """A number with a unit, as a number of the smallest whole ones: seconds or bytes."""

    units: Mapping[str, float] = field(hash=False)
    example: str

    def _read(self, value: Any) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        known = ", ".join(self.units)
        text = value if isinstance(value, str) else ""
        if re.fullmatch(_AMOUNT, text):
            raise mistake(f"{text} has no unit", f"write {text}{self.example.lstrip('0123456789')} (units: {known})")
        found = re.fullmatch(rf"({_AMOUNT})({'|'.join(self.units)})", text)
        if not found:
            raise mistake(
                f"expected a number and a unit, found {shown(value)}",
                f"write, for example, {self.example} (units: {known})",
            )
        amount = float(found[1]) * self.units[found[2]]
        if not 0 < amount < math.inf:
            raise mistake(f"must be more than zero, found {shown(value)}", f"write, for example, {self.example}")
        return amount

    def _schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_AMOUNT}({'|'.join(self.units)})$", "examples": [self.example]}

    def _write(self, value: float) -> str:
        # The largest unit of which it is a whole number.
        units = sorted(self.units.items(), key=lambda unit: -unit[1])
        unit, worth = next((one for one in units if (value / one[1]).is_integer()), units[-1])
        number = f"{value / worth:.9f}".rstrip("0").rstrip(".")
        return f"{number}{unit}"


Seconds: TypeAlias = Annotated[float, Measure(_SECONDS, "60s")]
"""A time such as `500ms`, `60s`, `5m`, `2h` or `30d`, in seconds."""

Bytes: TypeAlias = Annotated[float, Measure(_BYTES, "1GB")]
"""A size such as `10kB`, `500MB` or `1GB`, in bytes; a kB is 1000 bytes."""


@dataclass(frozen=True, slots=True)
class Options(Value):
    """The answers of a field, as a list or as a mapping of answer to description; read as pairs, in order."""

    def _read(self, value: Any) -> tuple[tuple[str | int | bool, str], ...]:
        match value:
            case Mapping():
                pairs = tuple((_label(key, key), _described(key, one)) for key, one in value.items())
            case list():
                pairs = tuple((_label(one, position), "") for position, one in enumerate(value))
            case _:
                raise mistake(f"expected a list or a mapping, found {shown(value)}", "write [first, second]")
        if not pairs:
            raise mistake("is empty", "write [first, second]")
        return pairs

    def _write(self, value: Sequence[tuple[str | int | bool, str]]) -> Any:
        return dict(value) if any(description for _, description in value) else [answer for answer, _ in value]

    def _schema(self) -> dict[str, Any]:
        return {
            "anyOf": [
                {"type": "array", "items": {"type": list(_SCALAR)}, "minItems": 1},
                {"type": "object", "additionalProperties": {"type": [*_SCALAR, "null"]}, "minProperties": 1},
            ]
        }


@dataclass(frozen=True, slots=True)
class Params(Value):
    """A free-form mapping, its unquoted scalars read as JSON would: true, false, null, numbers, else text."""

    def _read(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise mistake(f"expected a mapping, found {shown(value)}", "write {name: value}")
        return {_key(key): _json(one, (key,)) for key, one in value.items()}

    def _schema(self) -> dict[str, Any]:
        return {"type": "object"}


def _label(value: Any, *at: Any) -> str | int | bool:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return value
    remedy = {"a mapping": "write the options as a mapping: {answer: description}", "nothing": "write `optional: true`"}
    raise mistake(f"expected one answer, found {shown(value)}", remedy.get(shown(value)), at=at)


def _described(answer: Any, description: Any) -> str:
    if description is None and isinstance(answer, str) and ":" in answer:
        label, _, text = answer.partition(":")
        raise mistake("the space after `:` is missing", f"write `{label}: {text}`", at=(answer,))
    if description is not None and not isinstance(description, str):
        raise mistake(f"expected a description, found {shown(description)}", at=(answer,))
    return str(description or "")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise mistake(f"expected text as a key, found {shown(key)}")
    return key


def _json(value: Any, at: tuple[str | int, ...]) -> Any:
    match value:
        case Plain():
            return _resolved(value, at)
        case Mapping():
            return {_key(key): _json(one, (*at, key)) for key, one in value.items()}
        case list():
            return [_json(one, (*at, position)) for position, one in enumerate(value)]
        case float() if not math.isfinite(value):
            raise mistake(f"JSON has no number {value!r}", at=at)
        case None | bool() | int() | float() | str():
            return value
        case _:
            raise mistake(f"expected a JSON value, found {shown(value)}", at=at)


def _resolved(text: str, at: tuple[str | int, ...]) -> Any:
    if text in ("true", "false"):
        return text == "true"
    number = re.fullmatch(_JSON_NUMBER, text)
    if not number:
        return str(text)
    if not math.isfinite(float(text)):
        raise mistake(f"the number {text} is too large", at=at)
    return float(text) if number[1] or number[2] else int(text)


def _bounded(value: float, low: float | None, high: float | None, *, strict: bool = False) -> None:
    """Raise a `mistake` where `value` is out of its range; `high` stands only where `low` does."""
    if low is None:
        return
    below = value <= low if strict else value < low
    if high is None:
        if below:
            raise mistake(f"must be {'more than' if strict else 'at least'} {low:g}, found {value:g}")
    elif below or (value >= high if strict else value > high):
        bounds = f"between {low:g} and {high:g}" if strict else f"from {low:g} to {high:g}"
        raise mistake(f"must be {bounds}, found {value:g}")
