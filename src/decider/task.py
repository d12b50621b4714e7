"""`Task`: schema and spec, loaded and checked together, with the place of every key kept for later mistakes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from decider.decision import Example, Input
from decider.errors import InputError, SpecError
from decider.schema import (
    Field,
    Inline,
    Option,
    fields_of,
    fingerprint,
    has_validators,
    inline_of,
    inputs_of,
    model_of,
    nest,
)
from decider.source import Source, confined, reference_to
from decider.spec import Document, check, from_keywords, read

if TYPE_CHECKING:
    from decider.spec import InlineField, Spec

S = TypeVar("S", bound=BaseModel)

_DECLARED = {"output", "input", "fields", "format"}
"""Keys that say how the schema is declared; two tasks are the same whichever way that was."""


FOUND = " (found "
"""What stands in the message of an `InputError` before a piece of the input."""


class Task(Generic[S]):
    """What is to be decided: an output schema, perhaps an input schema, and the spec's settings.

    Made in Python with the spec's keys as keywords, or with `Task.load` from a file; both give the same task. Raises
    `SpecError` for any mistake. A task does not change.
    """

    def __init__(
        self,
        output: type[S],
        *,
        name: str,
        instructions: str = "",
        input: type[BaseModel] | Mapping[str, Any] | None = None,  # the spec's word
        folder: str | Path | None = None,
        **keys: Any,
    ) -> None:
        given = {"name": name, "instructions": instructions or None, **keys}
        inputs: type[BaseModel] | None = None
        if isinstance(input, type):
            inputs = input
        elif input is not None:
            given["input"] = input
        document = from_keywords(given)
        spec, root = check(document), None if folder is None else Path(folder)
        source = Source(folder=root or Path(), allow_code=True)
        mask = _mask(spec, document, source)
        self._assemble(output, inputs, spec, document, root, tuple(source.files), mask=mask)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        output: type[S] | None = None,
        set: Mapping[str, Any] | None = None,  # the word of the command line
        allow_code: bool = True,
    ) -> Task[S]:
        """Load a spec; `output` types the task and takes the place of the spec's own `output:`.

        A spec is code to whoever loads it: `output: schema.py:Ticket` runs that file. `allow_code=False` refuses
        that, and any key but OpenAI's own for OpenAI's own host.
        """
        document = read(Path(path))
        if set:
            document = document.with_set(set)
        spec = check(document)
        folder = Path(path).resolve().parent
        source = Source(folder=folder, allow_code=allow_code)
        if not allow_code:
            _refuse_keys(spec, document)
        task = cls.__new__(cls)
        model: Any = output or _output(spec, document, source)
        inputs = source.load(spec.input, document, ("input",)) if isinstance(spec.input, str) else None
        mask = _mask(spec, document, source)
        files = (Path(path).resolve(), *source.files)
        task._assemble(model, inputs, spec, document, folder, files, mask=mask, declared=bool(output or spec.output))
        return task

    def _assemble(
        self,
        output: type[S],
        inputs: type[BaseModel] | None,
        spec: Spec,
        document: Document,
        folder: Path | None,
        files: tuple[Path, ...] = (),
        *,
        mask: Callable[[str], str] | None = None,
        declared: bool = True,
    ) -> None:
        if not _is_model(output):
            raise TypeError(f"the output schema must be a Pydantic model, not {output!r}")
        self.output = output
        self.input = inputs or _inline_input(spec, document)
        self.spec = spec
        self.folder = folder
        self._document = document
        self.name = spec.name
        self.version = spec.version
        self.instructions = spec.instructions.strip()
        self.fields = _described(output, spec, document, declared)
        self.inputs = () if self.input is None else inputs_of(self.input)
        self.has_validators = has_validators(output)
        self.as_said = not self.has_validators and not any(map(_read_anew, self.fields))
        """Whether a valid record holds the values that were said: no rule changes one, no type reads one anew."""
        self.schema_fingerprint = fingerprint(self.fields)
        self.only_text = _only_text(self.inputs)
        """The one input field that a bare text fills, or None."""
        self.mask = mask
        """The function of `redact.function`, or None."""
        self._files = files
        self.examples = self._read_examples()
        self.old_system = self._read_old_system()
        self.prompt_fingerprint = self._prompt_fingerprint()
        self._same_as = self._identity()

    def encode(self, x: Any, *, row: str | None = None) -> Input:
        """Return the canonical input: a text, or the input schema's values as JSON has them.

        `x` is a text, a mapping, or an instance of the input schema. Raises `InputError`, naming the row and the field.
        """
        return self.encoded(x, row=row)[0]

    def encoded(self, x: Any, *, row: str | None = None) -> tuple[Input, bytes]:
        """Return the canonical input, and its JSON; otherwise as `encode`."""
        value = self._text(x, row) if self.input is None else self._values(x, row)
        try:
            text = to_json(value)
        except PydanticSerializationError as error:
            raise InputError(f"holds half a character (a lone surrogate): {error}; decode it again", row=row) from error
        if not value or (value.isspace() if isinstance(value, str) else all(map(_is_empty, value.values()))):
            raise InputError("the input is empty", row=row)
        return value, text

    def validate(self, record: Mapping[str, Any]) -> S:
        """Return the user's model of a whole record in JSON types; raises `pydantic.ValidationError`.

        Strict: `"3"` is no integer, a field nobody declared is refused, and so are NaN and infinity.
        """
        text = to_json(record, inf_nan_mode="strings")
        if b'"NaN"' in text or b'Infinity"' in text:
            self._validated(to_json(record, inf_nan_mode="constants"))  # a text may say NaN, and not be it
        return self._validated(text)

    def parse(self, text: str) -> S:
        """Return the user's model of a whole record that is JSON already; otherwise as `validate`."""
        return self._validated(text)

    def objections(self, record: Mapping[str, Any], fields: Sequence[Field]) -> list[ErrorDetails]:
        """Return what the schema has against the values of `fields`, while the rest of the record is not there yet.

        Rules of single fields are asked; a rule of the whole record may read what is missing, and is not listened to.
        """
        try:
            self.validate(record)
        except ValidationError as error:
            asked = {field.path for field in fields}
            found = [one for one in error.errors(include_url=False) if one["type"] != "missing"]
            return [one for one in found if path_of(one, fields) in asked]
        except Exception:  # noqa: BLE001  # a rule of the user's own that reads what is not there yet
            return []
        return []

    def mistake(
        self, message: str, path: tuple[str | int, ...], *, field: str | None = None, remedy: str | None = None
    ) -> SpecError:
        """Return the error for a key of the spec that turns out wrong later, with its place."""
        error = self._document.error(message, path, remedy=remedy)
        return error if field is None else _with_field(error, field)

    def resolve(self, path: str, key: tuple[str | int, ...] = ()) -> Path:
        """Return a path of the spec as an absolute one; raises `SpecError` where it leaves the spec's folder.

        A task made in Python without a folder takes paths from the working directory, and any path.
        """
        if self.folder is None:
            return Path(path).resolve()
        return confined(self.folder, path, self._document, key)

    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        """Return name, time and size of every file that the task was loaded from: it changes when they do."""
        found = []
        for file in self._files:
            try:
                stat = file.stat()
            except OSError:
                found.append((str(file), 0, -1))
            else:
                found.append((str(file), stat.st_mtime_ns, stat.st_size))
        return tuple(found)

    def save(self, path: str | Path) -> None:
        """Write the task as a spec file; raises `SpecError` where its schema can stand neither inline nor beside it."""
        target = Path(path)
        text = yaml.safe_dump(self._declaration(target), sort_keys=False, allow_unicode=True, width=100)
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        aside.write_text(text, encoding="utf-8")
        aside.replace(target)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Task):
            return NotImplemented
        return self is other or (self._same_as == other._same_as and self.mask is other.mask)

    def __hash__(self) -> int:
        return hash(self._same_as)

    def __repr__(self) -> str:
        return f"Task({self.name!r}, version={self.version}, fields={[field.path for field in self.fields]})"

    def _identity(self) -> str:
        """What makes two tasks the same, as a text: tasks are compared wherever something is kept for each."""
        apart: dict[str, Any] = {**dict.fromkeys(_DECLARED | {"instructions"}, True), "redact": {"function"}}
        settings = self.spec.model_dump(mode="json", exclude=apart, by_alias=True)
        inputs = [[field.path, field.kind, list(field.labels), field.optional] for field in self.inputs]
        described = [field.description for field in self.inputs]
        return to_json([self.prompt_fingerprint, inputs, described, settings]).decode()

    def _declaration(self, target: Path) -> dict[str, Any]:
        """The whole spec as plain data, its schemas named in files beside it or written out."""
        settings = self.spec.model_dump(mode="json", exclude=_DECLARED, exclude_unset=True, by_alias=True)
        said: dict[str, Any] = {"name": self.name, "version": self.version}
        reference = reference_to(self.output, target.parent)
        if reference is not None:
            said["output"] = reference
        if self.input is not None:
            said["input"] = reference_to(self.input, target.parent) or inline_of(inputs_of(self.input), self.input)
        if reference is None:
            said["fields"] = inline_of(self.fields, self.output)
        elif self.spec.fields:
            said["fields"] = self.spec.model_dump(mode="json", include={"fields"}, exclude_unset=True)["fields"]
        if self.spec.redact is not None and callable(self.spec.redact.function):
            settings["redact"]["function"] = self._reference_to(self.spec.redact.function, target.parent)
        return {**said, **settings}

    def _reference_to(self, function: Callable[[str], str], folder: Path) -> str:
        reference = reference_to(function, folder)
        if reference is None:
            remedy = f"define it in a Python file in {folder}, and not inside another function"
            raise self.mistake("stands in no file beside the spec", ("redact", "function"), remedy=remedy)
        return reference

    def _validated(self, text: bytes | str) -> S:
        read = self.output.__pydantic_validator__.validate_json
        validated: S = read(text, strict=True, by_alias=False, by_name=True, extra="forbid")
        return validated

    def _text(self, x: Any, row: str | None) -> str:
        if isinstance(x, str):
            return x
        if isinstance(x, Mapping) and set(x) == {"text"} and isinstance(x["text"], str):
            return x["text"]
        found = "nothing" if x is None else f"a {type(x).__name__}"
        raise InputError(f"this task decides one text, and was given {found}; or declare `input:` in the spec", row=row)

    def _values(self, x: Any, row: str | None) -> dict[str, Any]:
        assert self.input is not None  # noqa: S101  # `encode` asks only then
        if isinstance(x, str) and self.only_text is not None:
            x = nest({self.only_text: x})
        if isinstance(x, self.input):
            return _as_json(x, row)
        if not isinstance(x, Mapping):
            names = ", ".join(field.path for field in self.inputs)
            shape = ", ".join(f'"{field.path}": …' for field in self.inputs)
            remedy = f"give them by name: {{{shape}}}"
            raise InputError(f"expected the fields {names}, and found a {type(x).__name__}; {remedy}", row=row)
        try:
            checked = self.input.model_validate(x, by_alias=False, by_name=True, extra="forbid")
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = ".".join(str(part) for part in first["loc"])
            raise InputError(_said(first), row=row, field=path) from error
        return _as_json(checked, row)

    def _read_examples(self) -> tuple[Example, ...]:
        """Every few-shot example, each checked against both schemas."""
        settings = self.spec.prompt.examples
        if settings is None:
            return ()
        file, text = self._read(settings.file, ("prompt", "examples", "file"))
        return tuple(self._example(line, file, n) for n, line in enumerate(text.split("\n"), 1) if line.strip())

    def _read_old_system(self) -> str | None:
        """The system message of a model tuned elsewhere; the line end that closes a text file is not part of it."""
        said = self.spec.finetuned.messages
        if said is None or said.system is None:
            return None
        return self._read(said.system, ("finetuned", "messages", "system"))[1].removesuffix("\n")

    def _read(self, name: str, key: tuple[str, ...]) -> tuple[Path, str]:
        """A text file that the spec names."""
        file = self.resolve(name, key)
        self._files = (*self._files, file)
        try:
            return file, file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise self.mistake(f"cannot read {file.name!r}: {error}", key) from error

    def _example(self, line: str, file: Path, n: int) -> Example:
        remedy = 'an example is one line: {"input": …, "output": {…}}, and its output fits the schema'
        try:
            row = _ExampleRow.model_validate_json(line)
            output = self.validate(row.output)
            return Example(input=self.encode(row.input), output=output.model_dump(mode="json", by_alias=False))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = ".".join(str(part) for part in first["loc"])
            raise SpecError(_said(first), file=str(file), line=n, field=path or None, remedy=remedy) from error
        except InputError as error:
            raise SpecError(str(error), file=str(file), line=n, remedy=remedy) from error

    def _prompt_fingerprint(self) -> str:
        settings = self.spec.prompt.examples
        parts = [
            self.name,
            self.version,
            self.schema_fingerprint,
            self.instructions,
            [
                [field.path, field.description, [option.description for option in field.options]]
                for field in self.fields
            ],
            [[example.input, example.output] for example in self.examples],
            None if settings is None else [settings.count, settings.select],
        ]
        if self.spec.finetuned.messages is not None:
            parts.append([self.old_system, self.spec.finetuned.messages.model_dump(mode="json")])
        return hashlib.sha256(to_json(parts)).hexdigest()


class _ExampleRow(BaseModel, extra="forbid"):
    """One line of an examples file."""

    input: str | dict[str, Any]
    output: dict[str, Any]
    id: str | int | None = None
    source: str | None = None
    split: str | None = None


def path_of(detail: ErrorDetails, fields: Sequence[Field] = ()) -> str:
    """The dotted path that a validation error is about, or of the one of `fields` that it is inside; empty for all."""
    path = ".".join(part for part in detail["loc"] if isinstance(part, str))
    return next((field.path for field in fields if path.startswith(f"{field.path}.")), path)


def _as_json(given: BaseModel, row: str | None) -> dict[str, Any]:
    try:
        return given.model_dump(mode="json", by_alias=False)
    except ValueError as error:  # a type that JSON lacks, bytes that are no text, a list inside itself
        raise InputError(f"cannot be written as JSON: {error}", row=row) from error


def _said(detail: Mapping[str, Any]) -> str:
    found = repr(detail["input"])
    return f"{detail['msg']}{FOUND}{found if len(found) < 80 else found[:79] + '…'})"


def _output(spec: Spec, document: Document, source: Source) -> type[BaseModel]:
    """The output model as the spec declares it: a class in a file, or inline fields."""
    if spec.output is not None:
        return source.load(spec.output, document, ("output",))
    if not spec.fields:
        raise document.error(
            "the spec declares nothing to decide",
            (),
            remedy="add `fields:` (such as  team: {options: [billing, technical]}), or output: schema.py:Class",
        )
    return _model("Output", spec.fields, document, "fields")


def _mask(spec: Spec, document: Document, source: Source) -> Callable[[str], str] | None:
    """The function of `redact`, as the spec names it, or as Python gave it."""
    given = None if spec.redact is None else spec.redact.function
    return source.function(given, document, ("redact", "function")) if isinstance(given, str) else given


def _inline_input(spec: Spec, document: Document) -> type[BaseModel] | None:
    if spec.input is None or isinstance(spec.input, str):
        return None
    return _model("Input", spec.input, document, "input")


def _model(name: str, fields: Mapping[str, InlineField], document: Document, key: str) -> type[BaseModel]:
    try:
        return model_of(name, {path: _inline(path, one, document, key) for path, one in fields.items()})
    except SpecError as error:
        raise _placed(error, document, (key, error.field or "")) from error


def _inline(path: str, one: InlineField, document: Document, key: str) -> Inline:
    kind = one.kind
    if kind is None:
        raise document.error("has neither a type nor options", (key, path), remedy="give it options: [a, b], or a type")
    whole = kind in ("scale", "integer")
    options = tuple(
        Option(value=_level(value, document, (key, path, "options")) if whole else value, description=text)
        for value, text in one.options
    )
    return Inline(
        type=kind, description=one.description, options=options, low=one.min, high=one.max, optional=one.optional
    )


def _level(value: Any, document: Document, key: tuple[str | int, ...]) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise document.error(
            f"the level {value!r} is not an integer", key, remedy="number the levels: 1, 2, 3"
        ) from error


def _described(output: type[BaseModel], spec: Spec, document: Document, declared: bool) -> tuple[Field, ...]:
    """The fields of the output, with what the spec adds in words; `declared` says that a class declares them."""
    try:
        fields = fields_of(output)
    except SpecError as error:
        raise _placed(error, document, ("output",) if declared else ("fields", error.field or "")) from error
    said = spec.fields
    paths = [field.path for field in fields]
    for path in said:
        if path not in paths:
            close = get_close_matches(path, paths, 1)
            remedy = f"did you mean {close[0]!r}?" if close else f"the schema has: {', '.join(paths)}"
            raise document.error(f"{output.__name__} has no field {path!r}", ("fields", path), remedy=remedy)
    return tuple(
        _worded(field, said[field.path], document, declared) if field.path in said else field for field in fields
    )


def _worded(field: Field, said: InlineField, document: Document, declared: bool) -> Field:
    """A field with the words of the spec; where a class has `declared` it, the spec may say nothing else about it."""
    key = ("fields", field.path)
    if declared:
        for name in ("type", "min", "max", "optional"):
            if name in said.model_fields_set:
                raise document.error("is decided by the schema", (*key, name), remedy=f"remove `{name}` here")
    texts = {str(value): text for value, text in said.options}
    known = {str(option.value): option for option in field.options}
    for text in texts:
        if text not in known:
            close = get_close_matches(text, known, 1)
            remedy = f"did you mean {close[0]!r}?" if close else f"its options: {', '.join(known)}"
            raise document.error(f"{text!r} is not one of its options", (*key, "options"), remedy=remedy)
    options = [
        Option(value=option.value, description=texts.get(str(option.value)) or option.description)
        for option in field.options
    ]
    return Field(
        path=field.path,
        kind=field.kind,
        options=tuple(options),
        optional=field.optional,
        description=said.description or field.description,
        strict=field.strict,
    )


def _read_anew(field: Field) -> bool:
    """Whether a valid value may be another than was said: an `IntEnum` takes `true` and `1.0` for 1."""
    return not field.closed or any(type(label) is int for label in field.labels)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _is_model(given: object) -> bool:
    return isinstance(given, type) and issubclass(given, BaseModel)


def _only_text(inputs: Sequence[Field]) -> str | None:
    """The one text field that a bare text can fill, where every other field may be missing."""
    texts = [field.path for field in inputs if field.kind == "text" and not field.optional]
    needed = [field for field in inputs if not field.optional]
    return texts[0] if len(texts) == 1 and len(needed) == 1 else None


def _placed(error: SpecError, document: Document, key: tuple[str | int, ...]) -> SpecError:
    if error.file is not None or error.line is not None:
        return error
    placed = document.error(error.message, key, remedy=error.remedy)
    return _with_field(placed, error.field) if error.field else placed


def _with_field(error: SpecError, field: str) -> SpecError:
    return SpecError(
        error.message, file=error.file, line=error.line, column=error.column, field=field, remedy=error.remedy
    )


def _refuse_keys(spec: Spec, document: Document) -> None:
    """Refuse to send a key that a stranger's spec chose, or to a host that it chose."""
    for role in ("prompt", "finetuned"):
        asked = spec.asked(role)
        if asked.api_key_env is not None and (asked.api_key_env != "OPENAI_API_KEY" or not asked.is_openai):
            remedy = "this spec was loaded with allow_code=False, which sends only OPENAI_API_KEY, and only to OpenAI"
            message = f"would send {asked.api_key_env} to {asked.base_url or 'OpenAI'}"
            raise document.error(message, (role, "api_key_env"), remedy=remedy)
